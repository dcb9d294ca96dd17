package identity_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// can says what a token may do in its org at this moment.
func can(t *testing.T, w *testkit.World, s *identity.Service, token string, p models.Permission) bool {
	t.Helper()
	who, err := s.AuthenticateToken(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	scope, err := w.System.Scope(context.Background(), who, "acme")
	if errors.Is(err, models.ErrNotFound) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return scope.Can(p)
}

func TestTokenIsNeverStrongerThanItsMaker(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 2)
		ctx := context.Background()
		for email, strongest := range map[string]models.Role{"admin@acme.example": models.RoleAdmin, "user@acme.example": models.RoleUser, "auditor@acme.example": models.RoleAuditor} {
			scope := w.Scope(t, email, "acme")
			for _, role := range []models.Role{models.RoleAdmin, models.RoleUser, models.RoleAuditor, models.RoleOperator, "root"} {
				_, _, err := s.MakeToken(ctx, scope, "for "+string(role), role, 90)
				if allowed := models.WeakerRole(role, strongest) == role; allowed != (err == nil) {
					t.Errorf("%s makes a token as %s: %v", email, role, err)
				}
			}
		}
		text, token, err := s.MakeToken(ctx, w.Scope(t, "admin@acme.example", "acme"), "deploy", models.RoleUser, 90)
		if err != nil {
			t.Fatal(err)
		}
		if days := time.Until(token.ExpiresAt).Hours() / 24; days < 89 || days > 91 {
			t.Errorf("lives %.0f days", days)
		}
		maker := w.User("admin@acme.example").ID
		if err := w.System.PutMember(ctx, w.Acme.ID, w.User("user@acme.example").ID, models.RoleAdmin); err != nil {
			t.Fatal(err) // the org must not be left without one
		}
		for _, step := range []struct {
			maker       models.Role
			order, read bool
		}{{models.RoleAdmin, true, true}, {models.RoleUser, true, true}, {models.RoleAuditor, false, true}, {models.RoleAdmin, true, true}} {
			if err := w.System.PutMember(ctx, w.Acme.ID, maker, step.maker); err != nil {
				t.Fatal(err)
			}
			if can(t, w, s, text, models.MachineOrder) != step.order || can(t, w, s, text, models.OrgRead) != step.read {
				t.Errorf("with its maker as %s it may order: %t", step.maker, !step.order)
			}
		}
	})
}

func TestTokenMakesNoToken(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	s := identity.New(w.System, 2)
	ctx := context.Background()
	text, _, err := s.MakeToken(ctx, w.Scope(t, "admin@acme.example", "acme"), "deploy", models.RoleAdmin, 90)
	if err != nil {
		t.Fatal(err)
	}
	who, err := s.AuthenticateToken(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	scope, err := w.System.Scope(ctx, who, "acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.MakeToken(ctx, scope, "child", models.RoleAuditor, 90); !errors.Is(err, models.ErrForbidden) {
		t.Errorf("%v", err)
	}
	if _, err := w.System.Provider(who); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("provider: %v", err)
	}
}

func TestTokenLeadsToItsOwnOrgAlone(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 2)
		ctx := context.Background()
		both := w.User("user@acme.example")
		if err := w.System.PutMember(ctx, w.Globex.ID, both.ID, models.RoleAdmin); err != nil {
			t.Fatal(err)
		}
		text, _, err := s.MakeToken(ctx, w.Scope(t, "user@acme.example", "acme"), "deploy", models.RoleUser, 90)
		if err != nil {
			t.Fatal(err)
		}
		who, err := s.AuthenticateToken(ctx, text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.System.Scope(ctx, who, "globex"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("its maker's other org: %v", err)
		}
		scope, err := w.System.Scope(ctx, who, "acme")
		if err != nil || scope.UserID() != both.ID || scope.Actor().Kind != models.ActorToken || len(scope.Memberships()) != 1 {
			t.Errorf("scope %+v, %v", scope, err)
		}
	})
}

func TestTokenEndsWithItsTimeItsRevocationAndItsMaker(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 2)
		ctx := context.Background()
		scope := w.Scope(t, "user@acme.example", "acme")
		text, token, err := s.MakeToken(ctx, scope, "deploy", models.RoleUser, 90)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.MakeToken(ctx, scope, "deploy", models.RoleUser, 90); models.FieldsOf(err)["name"] == "" {
			t.Errorf("a second of the name: %v", err)
		}
		for _, days := range []int{0, -1, 367} {
			if _, _, err := s.MakeToken(ctx, scope, "other", models.RoleUser, days); models.FieldsOf(err)["days"] == "" {
				t.Errorf("%d days: %v", days, err)
			}
		}
		// A stranger, and a colleague, find no such token.
		for _, email := range []string{"admin@globex.example", "admin@acme.example"} {
			if err := w.System.RevokeAPIToken(ctx, w.SignedIn(t, email), token.ID); !errors.Is(err, models.ErrNotFound) {
				t.Errorf("%s revokes it: %v", email, err)
			}
		}
		if _, err := s.AuthenticateToken(ctx, text); err != nil {
			t.Fatal(err)
		}
		who := w.SignedIn(t, "user@acme.example")
		if err := w.System.RevokeAPIToken(ctx, who, token.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.AuthenticateToken(ctx, text); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("revoked: %v", err)
		}
		if err := w.System.RevokeAPIToken(ctx, who, token.ID); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("twice: %v", err)
		}
		old := models.APIToken{Name: "old", Role: models.RoleUser, TokenHash: "x", ExpiresAt: models.Now().Add(-time.Second)}
		if err := scope.Change(ctx, func(tx *models.Writer) error { return tx.InsertAPIToken(&old) }); err != nil {
			t.Fatal(err)
		}
		if _, err := w.System.SignedInByToken(ctx, "x"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("expired: %v", err)
		}
		if told := events(t, w, models.ActionTokenRevoke); len(told) != 1 || told[0].ObjectName != "deploy" {
			t.Errorf("history: %+v", told)
		}
	})
}

func TestUseOfATokenIsNotedOnceAMinute(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 2)
		ctx := context.Background()
		text, _, err := s.MakeToken(ctx, w.Scope(t, "user@acme.example", "acme"), "deploy", models.RoleUser, 90)
		if err != nil {
			t.Fatal(err)
		}
		used := func() time.Time {
			if _, err := s.EnterByToken(ctx, text, attempt("", ""), "acme"); err != nil {
				t.Fatal(err)
			}
			rows, err := w.System.APITokens(ctx, w.User("user@acme.example").ID)
			if err != nil || len(rows) != 1 || rows[0].LastUsedAt == nil {
				t.Fatalf("%+v, %v", rows, err)
			}
			return *rows[0].LastUsedAt
		}
		if first, second := used(), used(); !first.Equal(second) {
			t.Errorf("noted at %s and at %s", first, second)
		}
	})
}
