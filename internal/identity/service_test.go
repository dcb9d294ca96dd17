package identity_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// person makes an account with a password, in acme.
func person(t *testing.T, w *testkit.World, email string) models.User {
	t.Helper()
	hash, err := identity.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	u, err := w.System.PutUser(context.Background(), models.User{Email: email, Name: "Petra Example", PasswordHash: hash})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.System.PutMember(context.Background(), w.Acme.ID, u.ID, models.RoleUser); err != nil {
		t.Fatal(err)
	}
	return u
}

func attempt(email, password string) identity.Attempt {
	return identity.Attempt{Email: email, Password: password, Source: "192.0.2.7", UserAgent: "test", RequestID: "r1"}
}

func events(t *testing.T, w *testkit.World, action models.Action) []models.AuditEvent {
	t.Helper()
	var page models.Page[models.AuditEvent]
	err := w.System.Look(context.Background(), w.Acme.ID, func(r *models.Reader) error {
		var err error
		page, err = r.Events(models.EventFilter{Action: action})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return page.Rows
}

func TestSignInOpensASessionAndTellsTheOrg(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		u := person(t, w, "petra@acme.example")
		s := identity.New(w.System, 0)
		token, who, err := s.SignIn(context.Background(), attempt(" Petra@ACME.example ", "correct horse"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Authenticate(context.Background(), token)
		if err != nil || again.User.ID != u.ID || again.Session.ID != who.Session.ID {
			t.Fatalf("the token leads to %v, %v", again.User, err)
		}
		told := events(t, w, models.ActionSignIn)
		if len(told) == 0 || told[0].ActorName != "Petra Example" || told[0].Source != "192.0.2.7" {
			t.Errorf("history: %+v", told)
		}
		if err := s.SignOut(context.Background(), who); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Authenticate(context.Background(), token); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("after sign-out: %v", err)
		}
	})
}

func TestWrongPasswordAndUnknownAccountGetOneAnswer(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	person(t, w, "petra@acme.example")
	s := identity.New(w.System, 0)
	_, _, wrong := s.SignIn(context.Background(), attempt("petra@acme.example", "nope"))
	_, _, unknown := s.SignIn(context.Background(), attempt("nobody@acme.example", "nope"))
	_, _, passwordless := s.SignIn(context.Background(), attempt("user@acme.example", "nope"))
	if wrong == nil || fmt.Sprint(wrong) != fmt.Sprint(unknown) || fmt.Sprint(wrong) != fmt.Sprint(passwordless) {
		t.Fatalf("answers differ: %v / %v / %v", wrong, unknown, passwordless)
	}
	told := events(t, w, models.ActionSignInRefused)
	if len(told) != 2 || told[1].ObjectName != "Petra Example" || told[1].Outcome != models.OutcomeRefused {
		t.Errorf("history of the org: %+v", told)
	}
	var provider models.Overview
	p, err := w.System.Provider(w.SignedIn(t, "operator@provider.example"))
	if err == nil {
		provider, err = p.Overview(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range provider.Events {
		if e.Action == models.ActionSignInRefused && e.ObjectName == "nobody@acme.example" {
			return
		}
	}
	t.Errorf("history of the provider: %+v", provider.Events)
}

// What is typed into the wrong field may be a password.
func TestHistoryNeverKeepsWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	s := identity.New(w.System, 0)
	secrets := []string{"hunter2-my-password", "P@ssw0rd", "p@ss word.x"}
	for _, secret := range secrets {
		if _, _, err := s.SignIn(context.Background(), attempt(secret, "x")); !errors.Is(err, models.ErrInvalid) {
			t.Fatal(err)
		}
	}
	p, err := w.System.Provider(w.SignedIn(t, "operator@provider.example"))
	if err != nil {
		t.Fatal(err)
	}
	overview, err := p.Overview(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range overview.Events {
		for _, secret := range secrets {
			if strings.EqualFold(e.ObjectName, secret) {
				t.Errorf("%s is in the history", secret)
			}
		}
	}
}

func TestAccountWithoutAPasswordCannotSignIn(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	s := identity.New(w.System, 0)
	if _, _, err := s.SignIn(context.Background(), attempt("admin@acme.example", "")); models.FieldsOf(err)["password"] == "" {
		t.Errorf("empty password: %v", err)
	}
	if _, _, err := s.SignIn(context.Background(), attempt("admin@acme.example", "anything")); !errors.Is(err, models.ErrInvalid) {
		t.Errorf("any password: %v", err)
	}
}

func TestElevenGuessesAreTooMany(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		person(t, w, "petra@acme.example")
		s := identity.New(w.System, 2)
		var tooMany atomic.Int64
		var wg sync.WaitGroup
		for range 30 { // at once: guesses in parallel count as well
			wg.Go(func() {
				_, _, err := s.SignIn(context.Background(), attempt("petra@acme.example", "guess"))
				if errors.Is(err, models.ErrTooMany) {
					tooMany.Add(1)
				}
			})
		}
		wg.Wait()
		if n := 30 - tooMany.Load(); n < 10 || n > 11 {
			t.Errorf("%d guesses were taken", n)
		}
		// The right password doesn't help while it lasts, and the answer says for how long.
		_, _, err := s.SignIn(context.Background(), attempt("petra@acme.example", "correct horse"))
		var e *models.Error
		if !errors.As(err, &e) || e.Code != models.CodeTooMany || e.RetryAfterSeconds < 60 || e.RetryAfterSeconds > 900 {
			t.Errorf("answer %+v", err)
		}
	})
}

func TestUnknownAccountIsThrottledAlike(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	s := identity.New(w.System, 0)
	for range 10 {
		if _, _, err := s.SignIn(context.Background(), attempt("nobody@acme.example", "x")); !errors.Is(err, models.ErrInvalid) {
			t.Fatal(err)
		}
	}
	if _, _, err := s.SignIn(context.Background(), attempt("nobody@acme.example", "x")); !errors.Is(err, models.ErrTooMany) {
		t.Errorf("the eleventh: %v", err)
	}
}

func TestBrokenInputIsRefusedUncounted(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	s := identity.New(w.System, 0)
	for _, email := range []string{"", "a\x00@b.example", "\xff\xfe@b.example", string(make([]byte, 300))} {
		if _, _, err := s.SignIn(context.Background(), attempt(email, "x")); models.FieldsOf(err)["email"] == "" {
			t.Errorf("%q: %v", email, err)
		}
	}
	if _, _, err := s.SignIn(context.Background(), attempt("a@b.example", string(make([]byte, 5000)))); models.FieldsOf(err)["password"] == "" {
		t.Errorf("a password of 5,000 bytes: %v", err)
	}
}
