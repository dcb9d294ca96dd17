package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// petra is an account of acme with a password.
func petra(t *testing.T, p *portal) {
	t.Helper()
	hash, err := identity.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	u, err := p.System.PutUser(context.Background(), models.User{Email: "petra@acme.example", Name: "Petra", PasswordHash: hash})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.System.PutMember(context.Background(), p.Acme.ID, u.ID, models.RoleUser); err != nil {
		t.Fatal(err)
	}
}

func signIn(b *browser, email, password, next string) *httptest.ResponseRecorder {
	return b.post("/sign-in", url.Values{"email": {email}, "password": {password}, "next": {next}})
}

func cookie(answer *httptest.ResponseRecorder) *http.Cookie {
	for _, c := range answer.Result().Cookies() {
		if c.Name == "millwright" {
			return c
		}
	}
	return nil
}

func TestSignInLandsOnTheDashboard(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	petra(t, p)
	answer := signIn(p.anonymous(), "petra@acme.example", "correct horse", "")
	if answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/" || cookie(answer) == nil {
		t.Fatalf("%d %v", answer.Code, answer.Header())
	}
	b := &browser{p: p, token: cookie(answer).Value}
	if answer := b.get("/"); answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/orgs/acme/" {
		t.Errorf("/: %d %s", answer.Code, answer.Header().Get("Location"))
	}
	if answer := b.get("/sign-in?next=/orgs/acme/tasks"); answer.Header().Get("Location") != "/orgs/acme/tasks" {
		t.Errorf("signed in already: %d %s", answer.Code, answer.Header().Get("Location"))
	}
	if answer := p.as("operator@provider.example").get("/"); answer.Header().Get("Location") != "/provider/" {
		t.Errorf("operator: %s", answer.Header().Get("Location"))
	}
}

func TestNextLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("user@acme.example")
	for next, want := range map[string]string{
		"/orgs/acme/machines?q=a": "/orgs/acme/machines?q=a",
		"https://evil.example/":   "/", "//evil.example": "/", "/\\evil.example": "/", "\\\\evil.example": "/", "///evil.example": "/",
		"/\t/evil.example": "/", "/\n//evil.example": "/", "javascript:alert(1)": "/", "evil.example": "/", "": "/", "/%5Cevil.example": "/",
		"/%2Fevil.example": "/", "http:/evil.example": "/", "/.//evil.example/..": "/.//evil.example/..",
	} {
		answer := b.get("/sign-in?" + url.Values{"next": {next}}.Encode())
		if answer.Header().Get("Location") != want {
			t.Errorf("%q leads to %q", next, answer.Header().Get("Location"))
		}
	}
}

func TestSessionIsRotatedAtSignInAndEndsAtSignOut(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		petra(t, p)
		planted := p.as("user@acme.example") // a session that somebody set in Petra's browser
		answer := signIn(planted, "petra@acme.example", "correct horse", "/orgs/acme/")
		fresh := cookie(answer)
		if fresh == nil || fresh.Value == planted.token {
			t.Fatalf("no fresh cookie: %v", answer.Header())
		}
		if answer := planted.get("/orgs/acme/"); answer.Code != http.StatusSeeOther {
			t.Errorf("the planted session still works: %d", answer.Code)
		}
		b := &browser{p: p, token: fresh.Value}
		if answer := b.get("/orgs/acme/"); answer.Code != http.StatusOK {
			t.Fatalf("the fresh one: %d", answer.Code)
		}
		answer = b.post("/sign-out", nil)
		if answer.Code != http.StatusSeeOther || cookie(answer) == nil || cookie(answer).MaxAge >= 0 {
			t.Errorf("sign-out: %d %v", answer.Code, answer.Header())
		}
		if answer := b.get("/orgs/acme/"); answer.Code != http.StatusSeeOther {
			t.Errorf("after sign-out: %d", answer.Code)
		}
		for _, action := range []models.Action{models.ActionSignIn, models.ActionSignOut} {
			if told := p.events(models.EventFilter{Action: action, Actor: "Petra"}); len(told) != 1 || told[0].Source != "192.0.2.1" || told[0].RequestID == "" {
				t.Errorf("%s: %+v", action, told)
			}
		}
	})
}

func TestSignInTellsNothingOfAccounts(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	petra(t, p)
	known, unknown := signIn(p.anonymous(), "petra@acme.example", "wrong", ""), signIn(p.anonymous(), "nobody@acme.example", "wrong", "")
	if known.Code != http.StatusUnprocessableEntity || unknown.Code != known.Code {
		t.Fatalf("%d and %d", known.Code, unknown.Code)
	}
	same := func(body, email string) string { return strings.ReplaceAll(body, email, "EMAIL") }
	if same(known.Body.String(), "petra@acme.example") != same(unknown.Body.String(), "nobody@acme.example") {
		t.Error("the pages differ")
	}
	if cookie(known) != nil {
		t.Error("a refused sign-in sets a cookie")
	}
}

func TestGuessingIsTooMany(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	petra(t, p)
	for range 10 {
		if answer := signIn(p.anonymous(), "petra@acme.example", "guess", ""); answer.Code != http.StatusUnprocessableEntity {
			t.Fatalf("%d", answer.Code)
		}
	}
	answer := signIn(p.anonymous(), "petra@acme.example", "correct horse", "")
	if answer.Code != http.StatusTooManyRequests || answer.Header().Get("Retry-After") == "" || cookie(answer) != nil {
		t.Errorf("%d %v", answer.Code, answer.Header())
	}
}

func TestRevokedSessionEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("user@acme.example")
	if answer := b.get("/orgs/acme/"); answer.Code != http.StatusOK {
		t.Fatal(answer.Code)
	}
	if err := p.System.RevokeSession(context.Background(), b.who); err != nil {
		t.Fatal(err)
	}
	if answer := b.get("/orgs/acme/"); answer.Code != http.StatusSeeOther {
		t.Errorf("after the session was revoked: %d", answer.Code)
	}
}

func TestOpenTabKeepsNobodySignedIn(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	if answer := p.lastSeen("user@acme.example", models.Now().Add(-identity.IdleTime)).get("/orgs/acme/"); answer.Code != http.StatusSeeOther {
		t.Errorf("an idle session: %d", answer.Code)
	}
	b := p.lastSeen("user@acme.example", models.Now().Add(-time.Hour))
	seen := func() time.Duration {
		who, err := p.System.SessionByToken(context.Background(), b.who.Session.TokenHash, identity.IdleTime)
		if err != nil {
			t.Fatal(err)
		}
		return time.Since(who.Session.LastSeenAt)
	}
	if b.get("/orgs/acme/?part=live", "HX-Request", "true"); seen() < time.Minute {
		t.Error("what the page fetched by itself counts as use")
	}
	if b.get("/orgs/acme/"); seen() > time.Minute {
		t.Error("a page that was opened doesn't count as use")
	}
}
