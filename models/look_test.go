package models_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestLookIsReadOnlyLimitedAndTold(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		p, who := operator(t, w)
		ctx := context.Background()
		if _, err := w.System.Scope(ctx, who, "acme"); !errors.Is(err, models.ErrNotFound) {
			t.Fatalf("without a look: %v", err)
		}
		if _, err := p.StartLook(ctx, "acme", "", 15); !errors.Is(err, models.ErrInvalid) {
			t.Errorf("without a reason: %v", err)
		}
		if _, err := p.StartLook(ctx, "acme", "ticket 4711", 600); !errors.Is(err, models.ErrInvalid) {
			t.Errorf("for ten hours: %v", err)
		}
		through, _ := at(5, func(int) error { _, err := p.StartLook(ctx, "acme", "ticket 4711", 15); return err })
		if through != 1 {
			t.Fatalf("%d looks at once", through)
		}
		scope, err := w.System.Scope(ctx, who, "acme")
		if err != nil || scope.Role() != models.RoleAuditor || scope.Look() == nil || scope.Look().Reason != "ticket 4711" {
			t.Fatalf("scope %+v: %v", scope, err)
		}
		if scope.Can(models.MachineOrder) || scope.Can(models.ConsoleOpen) || !scope.Can(models.OrgRead) {
			t.Error("the look allows other than an auditor may")
		}
		// Another session of the same operator, and another org, see nothing.
		if _, err := w.System.Scope(ctx, w.SignedIn(t, "operator@provider.example"), "acme"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("another session: %v", err)
		}
		if _, err := w.System.Scope(ctx, who, "globex"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("another org: %v", err)
		}
		told := func(org models.OrgID, action models.Action) (n int) {
			err := w.System.Look(ctx, org, func(r *models.Reader) error {
				page, err := r.Events(models.EventFilter{Action: action})
				for _, e := range page.Rows {
					if e.ActorName == "Operator of provider" && strings.Contains(e.Before+e.After, "ticket 4711") {
						n++
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		for _, org := range []models.OrgID{w.Acme.ID, models.ProviderOrg} {
			if told(org, models.ActionLookStart) != 1 {
				t.Errorf("%s doesn't have the look's start", org)
			}
		}
		if err := p.EndLook(ctx, "acme"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.System.Scope(ctx, who, "acme"); !errors.Is(err, models.ErrNotFound) || told(w.Acme.ID, models.ActionLookEnd) != 1 {
			t.Errorf("after its end: %v", err)
		}
		// One that runs out opens nothing, whether it was swept or not.
		if _, err := p.StartLook(ctx, "acme", "ticket 4711", 15); err != nil {
			t.Fatal(err)
		}
		execAsSystem(t, db, "UPDATE provider_looks SET started_at = '2020-01-01 00:00:00.000000+00:00', expires_at = '2020-01-01 00:15:00.000000+00:00' WHERE ended_at IS NULL")
		if _, err := w.System.Scope(ctx, who, "acme"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("run out: %v", err)
		}
		at(3, func(int) error { return w.System.SweepLooks(ctx) })
		if n := told(w.Acme.ID, models.ActionLookExpire); n != 1 {
			t.Errorf("%d events of its running out", n)
		}
		// Signing out ends it.
		if _, err := p.StartLook(ctx, "acme", "ticket 4711", 15); err != nil {
			t.Fatal(err)
		}
		if err := w.System.RevokeSession(ctx, who); err != nil {
			t.Fatal(err)
		}
		if err := w.System.SweepLooks(ctx); err != nil {
			t.Fatal(err)
		}
		if n := told(w.Acme.ID, models.ActionLookEnd); n != 2 {
			t.Errorf("%d ends after the session's", n)
		}
	})
}

func execAsSystem(t *testing.T, db *models.DB, statement string) {
	t.Helper()
	ctx := context.Background()
	tx, err := db.SQL().BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if db.Kind() == models.PostgreSQL {
		if _, err := tx.ExecContext(ctx, "SELECT set_config('millwright.system', 'on', true)"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.ExecContext(ctx, statement); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestSuspendedOrgLetsNobodyInButALook(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		p, operatorIn := operator(t, w)
		ctx := context.Background()
		who := w.SignedIn(t, "admin@acme.example")
		changes, stop := w.System.Watch()
		defer stop()
		listening, end := context.WithCancel(ctx)
		var ended sync.WaitGroup
		ended.Go(func() { db.Listen(listening) })
		defer ended.Wait()
		defer end()
		if db.Kind() == models.PostgreSQL {
			<-changes // it listens, and says that it may have missed something
		}
		if err := p.SuspendOrg(ctx, "acme", true); err != nil {
			t.Fatal(err)
		}
		deadline := time.After(5 * time.Second)
		for told := false; !told; {
			select {
			case c := <-changes:
				told = c.Kind == "org" && c.Org == w.Acme.ID
			case <-deadline:
				t.Fatal("no live page or console was told")
			}
		}
		if _, err := w.System.Scope(ctx, who, "acme"); !errors.Is(err, models.ErrForbidden) || !strings.Contains(err.Error(), "suspended") {
			t.Errorf("its admin: %v", err)
		}
		if _, err := w.System.Scope(ctx, w.SignedIn(t, "user@globex.example"), "acme"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("a stranger: %v", err)
		}
		if err := p.SuspendOrg(ctx, "acme", true); !errors.Is(err, models.ErrConflict) {
			t.Errorf("twice: %v", err)
		}
		if _, err := p.StartLook(ctx, "acme", "why is it suspended", 15); err != nil {
			t.Fatal(err)
		}
		if _, err := w.System.Scope(ctx, operatorIn, "acme"); err != nil {
			t.Errorf("a look: %v", err)
		}
		if err := p.SuspendOrg(ctx, "acme", false); err != nil {
			t.Fatal(err)
		}
		if _, err := w.System.Scope(ctx, who, "acme"); err != nil {
			t.Errorf("resumed: %v", err)
		}
	})
}
