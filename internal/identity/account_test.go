package identity_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

const password = "correct horse"

// signedIn signs person in by password alone.
func signedIn(t *testing.T, s *identity.Service) (string, models.SignedIn) {
	t.Helper()
	token, who, err := s.SignIn(context.Background(), attempt("petra@acme.example", password))
	if err != nil {
		t.Fatal(err)
	}
	return token, who
}

// code is what the phone shows a number of steps from now.
func code(t *testing.T, w *testkit.World, user models.UserID, steps int) string {
	t.Helper()
	f, err := w.System.Factor(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	text, err := totp.GenerateCode(f.Secret, time.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// enrolled turns a second factor on, with the present code: the next one is
// still fresh, and taken already, for clocks differ.
func enrolled(t *testing.T, w *testkit.World, s *identity.Service) (who models.SignedIn, recovery []string) {
	t.Helper()
	person(t, w, "petra@acme.example")
	_, who = signedIn(t, s)
	if err := s.BeginFactor(context.Background(), who); err != nil {
		t.Fatal(err)
	}
	recovery, err := s.ConfirmFactor(context.Background(), who, code(t, w, who.User.ID, 0))
	if err != nil {
		t.Fatal(err)
	}
	return who, recovery
}

// challenged gives the password and returns what waits for the code.
func challenged(t *testing.T, s *identity.Service) string {
	t.Helper()
	token, _, err := s.SignIn(context.Background(), attempt("petra@acme.example", password))
	var needed *identity.CodeNeededError
	if !errors.As(err, &needed) || token != "" {
		t.Fatalf("the password alone gives %q, %v", token, err)
	}
	return needed.Challenge
}

func answer(s *identity.Service, challenge, code string) (string, error) {
	a := attempt("", "")
	token, _, err := s.AnswerCode(context.Background(), a, challenge, code)
	return token, err
}

func TestFactorIsOnOnlyAfterARightCode(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 2)
		person(t, w, "petra@acme.example")
		_, who := signedIn(t, s)
		ctx := context.Background()
		if err := s.BeginFactor(ctx, who); err != nil {
			t.Fatal(err)
		}
		e, err := s.Enrolment(ctx, who)
		if err != nil || !strings.HasPrefix(e.QR, "data:image/png;base64,") || len(e.Secret) < 32 {
			t.Fatalf("enrolment %+v, %v", e, err)
		}
		for _, wrong := range []string{"", "000000x", "12345", "abcdef"} {
			if _, err := s.ConfirmFactor(ctx, who, wrong); models.FieldsOf(err)["code"] == "" {
				t.Errorf("%q: %v", wrong, err)
			}
		}
		signedIn(t, s) // not on yet: no code is asked for
		codes, err := s.ConfirmFactor(ctx, who, code(t, w, who.User.ID, 0))
		if err != nil || len(codes) != 10 {
			t.Fatalf("%v, %v", codes, err)
		}
		if _, err := s.Enrolment(ctx, who); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("the secret is shown again: %v", err)
		}
		if err := s.BeginFactor(ctx, who); !errors.Is(err, models.ErrConflict) {
			t.Errorf("a second secret over a confirmed one: %v", err)
		}
		challenged(t, s)
		if told := events(t, w, models.ActionFactorOn); len(told) != 1 || told[0].ActorName != "Petra Example" {
			t.Errorf("history: %+v", told)
		}
	})
}

// What the database holds opens nothing.
func TestSecretsAreNotStoredReadable(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 2)
		who, recovery := enrolled(t, w, s)
		f, err := w.System.Factor(context.Background(), who.User.ID)
		if err != nil {
			t.Fatal(err)
		}
		var sealed []byte
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
		if err := tx.QueryRowContext(ctx, "SELECT secret FROM second_factors").Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(sealed), f.Secret) {
			t.Error("the secret is stored as it is")
		}
		var hashes int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM recovery_codes WHERE length(hash) = 64").Scan(&hashes); err != nil || hashes != len(recovery) {
			t.Errorf("%d hashes, %v", hashes, err)
		}
	})
}

func TestCodeOpensOneSessionHoweverOftenItComes(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 2)
		who, _ := enrolled(t, w, s)
		if _, err := answer(s, challenged(t, s), code(t, w, who.User.ID, -1)); !errors.Is(err, identity.ErrWrongCode) {
			t.Errorf("the code that turned it on is taken again: %v", err)
		}
		right := code(t, w, who.User.ID, 1)
		challenges := []string{challenged(t, s), challenged(t, s), challenged(t, s), challenged(t, s)}
		var opened, refused atomic.Int64
		var wg sync.WaitGroup
		for _, c := range challenges { // somebody looked over Petra's shoulder
			wg.Go(func() {
				switch token, err := answer(s, c, right); {
				case err == nil && token != "":
					opened.Add(1)
				case errors.Is(err, identity.ErrWrongCode):
					refused.Add(1)
				default:
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if opened.Load() != 1 || refused.Load() != 3 {
			t.Errorf("%d sessions, %d refused", opened.Load(), refused.Load())
		}
	})
}

func TestRecoveryCodeWorksOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 2)
		_, recovery := enrolled(t, w, s)
		challenge := challenged(t, s)
		if token, err := answer(s, challenge, strings.ToUpper(recovery[3])); err != nil || token == "" {
			t.Fatalf("first: %v", err)
		}
		if _, err := answer(s, challenge, recovery[4]); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("an answered challenge is answered again: %v", err)
		}
		if _, err := answer(s, challenged(t, s), recovery[3]); !errors.Is(err, identity.ErrWrongCode) {
			t.Errorf("twice: %v", err)
		}
		if _, err := answer(s, challenged(t, s), strings.Repeat("a", 16)); !errors.Is(err, identity.ErrWrongCode) {
			t.Errorf("invented: %v", err)
		}
		if told := events(t, w, models.ActionRecoveryUse); len(told) != 1 {
			t.Errorf("history: %+v", told)
		}
	})
}

func TestGuessingCodesIsTooManyAndThePasswordResetsNothing(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 2)
		who, recovery := enrolled(t, w, s)
		challenge := challenged(t, s)
		var looked, tooMany atomic.Int64
		var wg sync.WaitGroup
		for range 40 { // at once
			wg.Go(func() {
				switch _, err := answer(s, challenge, "not it"); {
				case errors.Is(err, identity.ErrWrongCode):
					looked.Add(1)
				case errors.Is(err, models.ErrTooMany):
					tooMany.Add(1)
				default:
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if looked.Load() != 10 || tooMany.Load() != 30 {
			t.Errorf("%d codes were looked at, %d refused", looked.Load(), tooMany.Load())
		}
		if _, err := answer(s, challenge, code(t, w, who.User.ID, 1)); !errors.Is(err, models.ErrTooMany) {
			t.Errorf("the right code: %v", err)
		}
		if _, err := answer(s, challenge, recovery[0]); !errors.Is(err, models.ErrTooMany) {
			t.Errorf("a recovery code: %v", err)
		}
		if _, _, err := s.SignIn(context.Background(), attempt("petra@acme.example", password)); !errors.Is(err, models.ErrTooMany) {
			t.Errorf("the password: %v", err)
		}
	})
}

func TestTurningTheFactorOffAsksForThePassword(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 2)
		who, _ := enrolled(t, w, s)
		if err := s.EndFactor(context.Background(), who, "wrong"); models.FieldsOf(err)["password"] == "" {
			t.Errorf("wrong password: %v", err)
		}
		challenged(t, s)
		if err := s.EndFactor(context.Background(), who, password); err != nil {
			t.Fatal(err)
		}
		signedIn(t, s)
		if told := events(t, w, models.ActionFactorOff); len(told) != 2 || told[0].Outcome != models.OutcomeSucceeded || told[1].Outcome != models.OutcomeRefused {
			t.Errorf("history: %+v", told)
		}
	})
}

func TestNewPasswordEndsEveryOtherWayIn(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 2)
		ctx := context.Background()
		own, _ := enrolled(t, w, s)
		halfway := challenged(t, s)
		other := challenged(t, s)
		otherToken, err := answer(s, other, code(t, w, own.User.ID, 1))
		if err != nil {
			t.Fatal(err)
		}
		for field, try := range map[string][3]string{
			"old":   {"wrong", "a new long password", "a new long password"},
			"new":   {password, "short", "short"},
			"again": {password, "a new long password", "another long password"},
		} {
			if _, err := s.ChangePassword(ctx, own, try[0], try[1], try[2], false); models.FieldsOf(err)[field] == "" {
				t.Errorf("%s: %v", field, err)
			}
		}
		ended, err := s.ChangePassword(ctx, own, password, "a new long password", "a new long password", false)
		if err != nil || ended.Sessions != 1 {
			t.Fatalf("%d ended, %v", ended, err)
		}
		if _, err := s.Authenticate(ctx, otherToken); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("the other session lives: %v", err)
		}
		if err := s.Challenged(ctx, halfway); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("a sign-in with the old password can go on: %v", err)
		}
		list, err := w.System.LiveSessions(ctx, own.User.ID, identity.IdleTime)
		if err != nil || len(list) != 1 || list[0].ID != own.Session.ID {
			t.Errorf("sessions %+v, %v", list, err)
		}
		if _, _, err := s.SignIn(ctx, attempt("petra@acme.example", password)); !errors.Is(err, models.ErrInvalid) {
			t.Errorf("the old password: %v", err)
		}
		told := events(t, w, models.ActionPasswordSet)
		if len(told) != 2 || told[0].Outcome != models.OutcomeSucceeded || told[1].Outcome != models.OutcomeRefused {
			t.Errorf("history: %+v", told)
		}
	})
}

// A session left open is no place to guess the password either.
func TestGuessingTheOldPasswordIsTooMany(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	s := identity.New(w.System, 2)
	person(t, w, "petra@acme.example")
	_, who := signedIn(t, s)
	for range 10 {
		if _, err := s.ChangePassword(context.Background(), who, "guess", "a new long password", "a new long password", false); !errors.Is(err, models.ErrInvalid) {
			t.Fatal(err)
		}
	}
	if _, err := s.ChangePassword(context.Background(), who, password, "a new long password", "a new long password", false); !errors.Is(err, models.ErrTooMany) {
		t.Errorf("the eleventh: %v", err)
	}
}
