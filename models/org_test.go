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
		var ticket models.ConsoleTicket
		err := s.Change(ctx, func(tx *models.Writer) error {
			var err error
			ticket, err = tx.InsertConsoleTicket("one", &m, models.ConsoleOperate, time.Minute)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		suspend(t, db, w.Acme.ID)
		if role, _, err := w.System.ConsoleAllowed(ctx, ticket); err != nil || role != "" {
			t.Errorf("it may stay open, as %q (%v)", role, err)
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
