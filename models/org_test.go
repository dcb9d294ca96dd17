package models_test

import (
	"context"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestSuspendedOrgHasNoConsole(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		m := w.Machine(t, "web-1")
		ctx := context.Background()
		s := w.Scope(t, "user@acme.example", "acme")
		err := s.Change(ctx, func(tx *models.Writer) error {
			if _, err := tx.InsertConsoleTicket("open", &m, models.ConsoleAsk{Mode: models.ConsoleOperate}, time.Minute); err != nil {
				return err
			}
			_, err := tx.InsertConsoleTicket("one", &m, models.ConsoleAsk{Mode: models.ConsoleOperate}, time.Minute)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		grant, err := w.System.RedeemConsoleTicket(ctx, "open", s.SessionID())
		if err != nil {
			t.Fatal(err)
		}
		open, err := w.System.OpenConsole(ctx, grant, "node-1", models.ConsoleLimits{})
		if err != nil {
			t.Fatal(err)
		}
		role := func() models.Role {
			all, err := w.System.ConsoleStandings(ctx, []models.ConsoleSessionID{open.ID})
			if err != nil {
				t.Fatal(err)
			}
			return all[open.ID].Role
		}
		if got := role(); got != models.RoleUser {
			t.Errorf("before, it stands as %q", got)
		}
		suspend(t, db, w.Acme.ID)
		if got := role(); got != "" {
			t.Errorf("it may stay open, as %q", got)
		}
		if g, err := w.System.RedeemConsoleTicket(ctx, "one", s.SessionID()); err == nil && g.Role != "" {
			t.Errorf("a ticket was redeemed as %q", g.Role)
		}
	})
}

func suspend(t *testing.T, db *models.DB, org models.OrgID) {
	t.Helper()
	ctx := context.Background()
	tx, err := db.SQL().BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if db.Kind() == models.PostgreSQL {
		if _, err := tx.ExecContext(ctx, "SELECT set_config('millwright.system', 'on', true)"); err != nil {
			t.Fatal(err)
		}
	}
	done, err := tx.ExecContext(ctx, "UPDATE orgs SET suspended_at = CURRENT_TIMESTAMP WHERE id = $1", string(org))
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := done.RowsAffected(); n != 1 {
		t.Fatalf("%d orgs were suspended", n)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}
