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

func people(t *testing.T, s *models.Scope) map[string]models.Person {
	t.Helper()
	byEmail := map[string]models.Person{}
	err := s.Read(context.Background(), func(r *models.Reader) error {
		page, err := r.People(models.PeopleFilter{})
		for _, p := range page.Rows {
			byEmail[p.Email] = p
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return byEmail
}

// lastAdminTries are the ways in which an admin could lose the role.
func lastAdminTries(w *testkit.World) map[string]func(s *models.Scope, id models.UserID) error {
	ctx := context.Background()
	return map[string]func(s *models.Scope, id models.UserID) error{
		"demote": func(s *models.Scope, id models.UserID) error {
			return w.System.SetMemberRole(ctx, s, id, models.RoleAuditor)
		},
		"disable": func(s *models.Scope, id models.UserID) error { return w.System.DisableMember(ctx, s, id) },
		"remove":  func(s *models.Scope, id models.UserID) error { return w.System.RemoveMember(ctx, s, id) },
		"configure": func(_ *models.Scope, id models.UserID) error {
			return w.System.PutMember(ctx, w.Acme.ID, id, models.RoleUser)
		},
	}
}

func TestLastActiveAdminStays(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		admin, user := w.User("admin@acme.example"), w.User("user@acme.example")
		// A second admin who is disabled is none.
		s := w.Scope(t, "admin@acme.example", "acme")
		for _, err := range []error{w.System.SetMemberRole(ctx, s, user.ID, models.RoleAdmin), w.System.DisableMember(ctx, s, user.ID)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for name, try := range lastAdminTries(w) {
			if err := try(s, admin.ID); !errors.Is(err, models.ErrLastAdmin) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if p := people(t, s)["admin@acme.example"]; p.Role != models.RoleAdmin || !p.Active() {
			t.Errorf("the last admin is %+v", p)
		}
		// Once there is another, the first may go.
		if err := w.System.EnableMember(ctx, s, user.ID); err != nil {
			t.Fatal(err)
		}
		if err := w.System.RemoveMember(ctx, s, admin.ID); err != nil {
			t.Errorf("with a second admin: %v", err)
		}
	})
}

// Two last admins lose the role at the same moment, by whatever way: one stays.
func TestOfTwoLastAdminsOneStays(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		first, second := w.User("admin@acme.example").ID, w.User("user@acme.example").ID
		for round := range 3 {
			for _, id := range []models.UserID{first, second} {
				if err := w.System.PutMember(ctx, w.Acme.ID, id, models.RoleAdmin); err != nil {
					t.Fatal(err)
				}
			}
			for name, try := range lastAdminTries(w) {
				a, b := w.Scope(t, "admin@acme.example", "acme"), w.Scope(t, "user@acme.example", "acme")
				var (
					wg   sync.WaitGroup
					errs [2]error
				)
				start := make(chan struct{})
				// Each takes the role from the other.
				wg.Go(func() { <-start; errs[0] = try(a, second) })
				wg.Go(func() { <-start; errs[1] = try(b, first) })
				close(start)
				wg.Wait()
				if (errs[0] == nil) == (errs[1] == nil) {
					t.Errorf("round %d, %s: %v and %v", round, name, errs[0], errs[1])
				}
				var left []models.Person
				err := w.System.Look(ctx, w.Acme.ID, func(r *models.Reader) error {
					page, err := r.People(models.PeopleFilter{})
					for _, p := range page.Rows {
						if p.Role == models.RoleAdmin && p.Active() {
							left = append(left, p)
						}
					}
					return err
				})
				if err != nil || len(left) != 1 {
					t.Fatalf("round %d, %s: %d admins are left (%v)", round, name, len(left), err)
				}
				restore(t, w, left[0].UserID, first, second)
			}
		}
	})
}

// restore makes both admins again.
func restore(t *testing.T, w *testkit.World, admin models.UserID, both ...models.UserID) {
	t.Helper()
	ctx := context.Background()
	email := "admin@acme.example"
	if admin != both[0] {
		email = "user@acme.example"
	}
	s := w.Scope(t, email, "acme")
	for _, id := range both {
		if err := w.System.PutMember(ctx, w.Acme.ID, id, models.RoleAdmin); err != nil {
			t.Fatal(err)
		}
		if err := w.System.EnableMember(ctx, s, id); err != nil && !errors.Is(err, models.ErrConflict) {
			t.Fatal(err)
		}
	}
}

// Whoever is disabled or removed has nothing left: no way in, no token, no
// session that opens anything, no invitation to come back by.
func TestLostMembershipTakesEverythingWithIt(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		for name, lose := range map[string]func(w *testkit.World, s *models.Scope, id models.UserID) error{
			"disabled": func(w *testkit.World, s *models.Scope, id models.UserID) error {
				return w.System.DisableMember(context.Background(), s, id)
			},
			"removed": func(w *testkit.World, s *models.Scope, id models.UserID) error {
				return w.System.RemoveMember(context.Background(), s, id)
			},
		} {
			db := db // each of the two has a database of its own, in either order
			if name == "removed" && db.Kind() == models.SQLite {
				db = testkit.SQLite(t)
			} else if name == "removed" {
				db = testkit.Postgres(t)
			}
			w := testkit.NewWorld(t, db)
			ctx, end := context.WithCancel(context.Background())
			var listening sync.WaitGroup
			listening.Go(func() { db.Listen(ctx) })
			if err := w.System.PutMember(ctx, w.Acme.ID, w.User("user@acme.example").ID, models.RoleAdmin); err != nil {
				t.Fatal(err)
			}
			who := w.SignedIn(t, "user@acme.example")
			theirs, err := w.System.Scope(ctx, who, "acme")
			if err != nil {
				t.Fatal(err)
			}
			token := models.APIToken{Name: "deploy", Role: models.RoleUser, TokenHash: "hash of the token", ExpiresAt: models.Now().AddDate(0, 0, 1)}
			err = theirs.Change(ctx, func(tx *models.Writer) error {
				if _, err := tx.InsertInvitation(w.Acme.ID, "second.self@example.com", models.RoleAdmin, "hash of an invitation"); err != nil {
					return err
				}
				return tx.InsertAPIToken(&token)
			})
			if err != nil {
				t.Fatal(err)
			}
			changes, stop := w.System.Watch()
			if err := lose(w, w.Scope(t, "admin@acme.example", "acme"), who.User.ID); err != nil {
				t.Fatal(name, err)
			}
			if _, err := w.System.SessionByToken(ctx, who.Session.TokenHash, time.Hour); !errors.Is(err, models.ErrNotFound) {
				t.Errorf("%s: the session lives: %v", name, err)
			}
			if got, err := w.System.SignedInByToken(ctx, "hash of the token"); !errors.Is(err, models.ErrNotFound) {
				t.Errorf("%s: the token lives: %+v, %v", name, got, err)
			}
			if _, err := w.System.InvitationByToken(ctx, "hash of an invitation"); !errors.Is(err, models.ErrNotFound) {
				t.Errorf("%s: the invitation lives: %v", name, err)
			}
			if err := w.System.SetMemberRole(ctx, theirs, w.User("auditor@acme.example").ID, models.RoleAdmin); !errors.Is(err, models.ErrForbidden) && !errors.Is(err, models.ErrNotFound) {
				t.Errorf("%s: a scope from before still changes people: %v", name, err)
			}
			announced(t, changes, "member", string(who.User.ID))
			stop()
			// Enabled again, the old token stays dead.
			if name == "disabled" {
				if err := w.System.EnableMember(ctx, w.Scope(t, "admin@acme.example", "acme"), who.User.ID); err != nil {
					t.Fatal(err)
				}
				if _, err := w.System.SignedInByToken(ctx, "hash of the token"); !errors.Is(err, models.ErrNotFound) {
					t.Errorf("the token lives again: %v", err)
				}
			}
			end()
			listening.Wait()
		}
	})
}

// announced waits until a change of the row is told: streams and consoles look
// again then.
func announced(t *testing.T, changes <-chan models.Change, kind, id string) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case c := <-changes:
			if c.Kind == kind && c.ID == id || c.Kind == "all" {
				return
			}
		case <-late:
			t.Fatalf("no change of %s %s was announced", kind, id)
		}
	}
}

// What the configuration gave once is not given again: an admin's change
// outlives a restart.
func TestStartDoesNotUndoWhatAnAdminChanged(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		admin, user, auditor := w.User("admin@acme.example").ID, w.User("user@acme.example").ID, w.User("auditor@acme.example").ID
		start := func() (kept bool) {
			t.Helper()
			for id, role := range map[models.UserID]models.Role{user: models.RoleUser, auditor: models.RoleAuditor} {
				if _, err := w.System.ConfigureMember(ctx, w.Acme.ID, id, role); err != nil {
					t.Fatal(err)
				}
			}
			kept, err := w.System.ConfigureMember(ctx, w.Acme.ID, admin, models.RoleUser)
			if err != nil {
				t.Fatal(err)
			}
			return kept
		}
		if !start() {
			t.Error("the configuration took the last admin's role")
		}
		s := w.Scope(t, "admin@acme.example", "acme")
		if err := w.System.SetMemberRole(ctx, s, user, models.RoleAuditor); err != nil {
			t.Fatal(err)
		}
		if err := w.System.RemoveMember(ctx, s, auditor); err != nil {
			t.Fatal(err)
		}
		start()
		now := people(t, s)
		if now["user@acme.example"].Role != models.RoleAuditor {
			t.Errorf("the role is %s again", now["user@acme.example"].Role)
		}
		if _, back := now["auditor@acme.example"]; back {
			t.Error("who was removed is back")
		}
	})
}
