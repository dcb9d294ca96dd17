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
