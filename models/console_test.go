package models_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestTicketIsRedeemedOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		m := w.Machine(t, "web-1")
		ctx := context.Background()
		s := w.Scope(t, "user@acme.example", "acme")
		issue := func(hash string, ttl time.Duration) {
			err := s.Change(ctx, func(tx *models.Writer) error {
				_, err := tx.InsertConsoleTicket(hash, &m, models.ConsoleAsk{Mode: models.ConsoleOperate}, ttl)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		issue("expired", -time.Second)
		issue("good", time.Minute)
		if _, err := w.System.RedeemConsoleTicket(ctx, "expired", s.SessionID()); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("expired: %v", err)
		}
		if _, err := w.System.RedeemConsoleTicket(ctx, "good", "another session"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("other session: %v", err)
		}
		var wg sync.WaitGroup
		grants := make(chan models.ConsoleGrant, 20)
		for range 20 {
			wg.Go(func() {
				g, err := w.System.RedeemConsoleTicket(ctx, "good", s.SessionID())
				if err == nil {
					grants <- g
				} else if !errors.Is(err, models.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		close(grants)
		if len(grants) != 1 {
			t.Fatalf("redeemed %d times", len(grants))
		}
		g := <-grants
		if g.Machine.ID != m.ID || g.Role != models.RoleUser || g.Actor.Name == "" || g.Ticket.OrgID != w.Acme.ID {
			t.Errorf("grant is %+v", g)
		}
		c, err := w.System.OpenConsole(ctx, g, "node-1", models.ConsoleLimits{})
		if err != nil {
			t.Fatal(err)
		}
		c.OrgID = g.Ticket.OrgID
		for range 2 {
			if err := w.System.CloseConsole(ctx, c, g.Actor, m.Object(), "left", 1, 2); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.Read(ctx, func(r *models.Reader) error {
			for _, a := range []models.Action{models.ActionConsoleTicket, models.ActionConsoleOpen, models.ActionConsoleClose} {
				page, err := r.Events(models.EventFilter{Action: a})
				if want := map[models.Action]int{models.ActionConsoleTicket: 2}[a]; err != nil || len(page.Rows) != max(1, want) {
					t.Errorf("%s: %d events, %v", a, len(page.Rows), err)
				}
			}
			return nil
		})
	})
}

// The consoles of a killed node are in nobody's way for long: after a few
// seconds whoever asks to operate does. Should that node live after all, its
// console is told to end: two never operate.
func TestOperatorOfALostNodeIsNotInTheWay(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		m := w.Machine(t, "web-1")
		ctx := context.Background()
		grant := func(email string, takeover bool) models.ConsoleGrant {
			s := w.Scope(t, email, "acme")
			hash := string(models.NewID[models.MachineID]())
			err := s.Change(ctx, func(tx *models.Writer) error {
				_, err := tx.InsertConsoleTicket(hash, &m, models.ConsoleAsk{Mode: models.ConsoleOperate, Takeover: takeover}, time.Minute)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			g, err := w.System.RedeemConsoleTicket(ctx, hash, s.SessionID())
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		lost, err := w.System.OpenConsole(ctx, grant("user@acme.example", false), "node-1", models.ConsoleLimits{})
		if err != nil {
			t.Fatal(err)
		}
		silentFor := func(d time.Duration) {
			t.Helper()
			tx, err := db.SQL().BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			if db.Kind() == models.PostgreSQL {
				if _, err := tx.ExecContext(ctx, "SELECT set_config('millwright.system', 'on', true)"); err != nil {
					t.Fatal(err)
				}
			}
			done, err := tx.ExecContext(ctx, "UPDATE console_sessions SET seen_at = $1 WHERE id = $2", models.Now().Add(-d), string(lost.ID))
			if err == nil {
				err = tx.Commit()
			}
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := done.RowsAffected(); n != 1 {
				t.Fatalf("%d consoles made silent", n)
			}
		}
		other := grant("admin@acme.example", false)
		operators := func() (n int) {
			err := w.Scope(t, "admin@acme.example", "acme").Read(ctx, func(r *models.Reader) error {
				rows, err := r.ConsoleOperators(m.ID, other.Ticket.SessionID)
				n = len(rows)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		silentFor(10 * time.Second)
		if n := operators(); n != 1 {
			t.Errorf("two notes missed: %d operators, want 1", n)
		}
		if _, err := w.System.OpenConsole(ctx, other, "node-2", models.ConsoleLimits{}); models.CodeOf(err) != models.CodeConflict {
			t.Errorf("beside one whose node spoke 10 s ago: %v", err)
		}
		silentFor(20 * time.Second)
		if n := operators(); n != 0 {
			t.Errorf("a lost node's console: %d operators", n)
		}
		if _, err := w.System.OpenConsole(ctx, other, "node-2", models.ConsoleLimits{}); err != nil {
			t.Errorf("beside a lost one: %v", err)
		}
		standings, err := w.System.ConsoleStandings(ctx, []models.ConsoleSessionID{lost.ID})
		if err != nil || standings[lost.ID].Asked != models.ConsoleTakenOver {
			t.Errorf("the lost one is told %+v, %v", standings[lost.ID], err)
		}
	})
}
