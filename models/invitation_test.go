package models_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func invite(t *testing.T, w *testkit.World, email, hash string) models.Invitation {
	t.Helper()
	var i models.Invitation
	err := w.Scope(t, "admin@acme.example", "acme").Change(context.Background(), func(tx *models.Writer) error {
		var err error
		i, err = tx.InsertInvitation(w.Acme.ID, email, models.RoleUser, hash)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// newcomer redeems with an account of its own.
func newcomer(w *testkit.World, hash string) error {
	user := models.User{ID: models.NewID[models.UserID](), Name: "Nina New", PasswordHash: "x"}
	session := models.Session{ID: models.NewID[models.SessionID](), TokenHash: models.NewID[string](), UserID: user.ID,
		CreatedAt: models.Now(), LastSeenAt: models.Now(), ExpiresAt: models.Now().AddDate(0, 0, 1)}
	_, err := w.System.AccountByInvitation(context.Background(), hash, user, session, models.Actor{Kind: models.ActorUser, ID: string(user.ID), Name: user.Name})
	return err
}

// An invitation that is redeemed many times at once is redeemed once, by
// newcomers and by somebody who has an account.
func TestInvitationIsRedeemedOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		who := w.SignedIn(t, "user@globex.example")
		for round, redeem := range map[string]struct {
			email string
			as    func(hash string) error
		}{
			"new":  {"nina@example.com", func(hash string) error { return newcomer(w, hash) }},
			"have": {"user@globex.example", func(hash string) error { _, err := w.System.JoinByInvitation(ctx, who, hash); return err }},
		} {
			hash := "hash " + round
			invite(t, w, redeem.email, hash)
			const tries = 8
			errs := make([]error, tries)
			var wg sync.WaitGroup
			start := make(chan struct{})
			for n := range tries {
				wg.Go(func() { <-start; errs[n] = redeem.as(hash) })
			}
			close(start)
			wg.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if !errors.Is(err, models.ErrNotFound) && !errors.Is(err, models.ErrConflict) {
					t.Errorf("%s: %v", round, err)
				}
			}
			if won != 1 {
				t.Errorf("%s: redeemed %d times: %v", round, won, errs)
			}
			if p := people(t, w.Scope(t, "admin@acme.example", "acme"))[redeem.email]; p.Role != models.RoleUser {
				t.Errorf("%s: member is %+v", round, p)
			}
			joined := w.Scope(t, "admin@acme.example", "acme")
			err := joined.Read(ctx, func(r *models.Reader) error {
				page, err := r.Events(models.EventFilter{Action: models.ActionMemberJoin, Text: redeem.email})
				if err == nil && len(page.Rows) != 1 {
					err = fmt.Errorf("%d events", len(page.Rows))
				}
				return err
			})
			if err != nil {
				t.Errorf("%s: history: %v", round, err)
			}
		}
	})
}

func TestInvitationOpensNothingForOthers(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		first := invite(t, w, "Nina@Example.com", "first")
		// Somebody who is signed in with another address has no such invitation.
		if _, err := w.System.JoinByInvitation(ctx, w.SignedIn(t, "user@globex.example"), "first"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("another address: %v", err)
		}
		// An invitation for an address that has an account makes no second one.
		invite(t, w, "admin@globex.example", "known")
		if err := newcomer(w, "known"); !errors.Is(err, models.ErrAccountExists) {
			t.Errorf("a second account: %v", err)
		}
		if _, err := w.System.InvitationByToken(ctx, "known"); err != nil {
			t.Errorf("the refused try spent it: %v", err)
		}
		// Another org can neither see, renew nor withdraw it.
		theirs := w.Scope(t, "admin@globex.example", "globex")
		err := theirs.Change(ctx, func(tx *models.Writer) error { return tx.WithdrawInvitation(first.ID) })
		if !errors.Is(err, models.ErrNotFound) {
			t.Errorf("withdrawn by another org: %v", err)
		}
		err = theirs.Change(ctx, func(tx *models.Writer) error { _, err := tx.RenewInvitation(first.ID, "theirs"); return err })
		if !errors.Is(err, models.ErrNotFound) {
			t.Errorf("renewed by another org: %v", err)
		}
		err = theirs.Change(ctx, func(tx *models.Writer) error {
			_, err := tx.InsertInvitation(w.Acme.ID, "x@example.com", models.RoleAdmin, "into acme")
			return err
		})
		if err == nil {
			t.Error("another org's admin invited into acme")
		}
		mine := w.Scope(t, "admin@acme.example", "acme")
		// A new token ends the old one; withdrawn, neither opens anything.
		err = mine.Change(ctx, func(tx *models.Writer) error { _, err := tx.RenewInvitation(first.ID, "second"); return err })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.System.InvitationByToken(ctx, "first"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("the old token: %v", err)
		}
		if err := mine.Change(ctx, func(tx *models.Writer) error { return tx.WithdrawInvitation(first.ID) }); err != nil {
			t.Fatal(err)
		}
		if err := newcomer(w, "second"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("withdrawn: %v", err)
		}
		// Expired ones are as absent, and make room for another.
		old := invite(t, w, "old@example.com", "old")
		expire(t, w, old.ID)
		if err := newcomer(w, "old"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("expired: %v", err)
		}
		invite(t, w, "old@example.com", "old again")
		err = mine.Change(ctx, func(tx *models.Writer) error {
			_, err := tx.InsertInvitation(w.Acme.ID, "OLD@example.com", models.RoleUser, "twice")
			return err
		})
		if models.FieldsOf(err)["email"] == "" {
			t.Errorf("invited twice: %v", err)
		}
	})
}

func expire(t *testing.T, w *testkit.World, id models.InvitationID) {
	t.Helper()
	err := w.System.Within(context.Background(), w.Acme.ID, models.SystemActor, func(tx *models.Writer) error {
		return tx.Gorm().Model(&models.Invitation{}).Where("id = ?", id).Update("expires_at", models.Now().Add(-1)).Error
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNoAddressIsNotInvited(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	s := w.Scope(t, "admin@acme.example", "acme")
	for _, email := range []string{"", "ada", "ada@", "@example.com", "Ada <ada@example.com>", "a@b.example\r\nBcc: all@example.com", "a b@example.com", "admin@acme.example"} {
		err := s.Change(context.Background(), func(tx *models.Writer) error {
			_, err := tx.InsertInvitation(w.Acme.ID, email, models.RoleUser, "hash")
			return err
		})
		if models.FieldsOf(err)["email"] == "" {
			t.Errorf("%q: %v", email, err)
		}
	}
	for _, role := range []models.Role{"", models.RoleOperator, "owner"} {
		err := s.Change(context.Background(), func(tx *models.Writer) error {
			_, err := tx.InsertInvitation(w.Acme.ID, "ada@example.com", role, "hash")
			return err
		})
		if models.FieldsOf(err)["role"] == "" {
			t.Errorf("role %q: %v", role, err)
		}
	}
}
