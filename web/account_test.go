package web

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// signedInPetra is petra's browser after a sign-in.
func signedInPetra(t *testing.T, p *portal, password string) *browser {
	t.Helper()
	answer := signIn(p.anonymous(), "petra@acme.example", password, "")
	if cookie(answer) == nil {
		t.Fatalf("sign-in: %d", answer.Code)
	}
	return &browser{p: p, token: cookie(answer).Value}
}

func sessionID(t *testing.T, page string, current bool) string {
	t.Helper()
	for _, row := range strings.Split(page, "<tr ")[1:] {
		found := regexp.MustCompile(`data-session-id="([^"]+)"`).FindStringSubmatch(row)
		if found != nil && strings.Contains(row, "This one") == current {
			return found[1]
		}
	}
	t.Fatal("no such session on the page")
	return ""
}

func TestAccountPageIsForSessionsAlone(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	for _, email := range []string{"admin@acme.example", "auditor@acme.example", "operator@provider.example"} {
		if answer := p.as(email).get("/account"); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "Your account") {
			t.Errorf("%s: %d", email, answer.Code)
		}
	}
	if answer := p.anonymous().get("/account"); answer.Code != http.StatusSeeOther {
		t.Errorf("anonymous: %d", answer.Code)
	}
}

func TestChangedPasswordKeepsThisSessionAlone(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		petra(t, p)
		b, other := signedInPetra(t, p, "correct horse"), signedInPetra(t, p, "correct horse")
		bystander := p.as("user@acme.example")
		form := url.Values{"old": {"wrong"}, "new": {"a new long password"}, "again": {"a new long password"}}
		if answer := b.post("/account/password", form); answer.Code != http.StatusUnprocessableEntity || !strings.Contains(answer.Body.String(), "This is not your password.") {
			t.Errorf("wrong: %d", answer.Code)
		}
		form.Set("old", "correct horse")
		form.Set("user_id", string(bystander.who.User.ID)) // whose is decided by the session
		form.Set("email", "user@acme.example")
		if answer := b.post("/account/password", form); answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/account" {
			t.Fatalf("%d", answer.Code)
		}
		if answer := b.get("/account"); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "One other session was ended.") {
			t.Errorf("this session: %d", answer.Code)
		}
		if answer := other.get("/orgs/acme/"); answer.Code != http.StatusSeeOther {
			t.Errorf("the other session: %d", answer.Code)
		}
		if answer := bystander.get("/orgs/acme/"); answer.Code != http.StatusOK {
			t.Errorf("somebody else's session: %d", answer.Code)
		}
		signedInPetra(t, p, "a new long password")
	})
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		a, b, c := p.as("user@acme.example"), p.as("user@acme.example"), p.as("user@acme.example")
		page := a.get("/account").Body.String()
		for _, session := range []*browser{a, b, c} {
			if !strings.Contains(page, string(session.who.Session.ID)) {
				t.Error("a session is not listed")
			}
		}
		if sessionID(t, page, true) != string(a.who.Session.ID) {
			t.Error("another one is marked as this one")
		}
		if answer := a.post("/account/sessions/"+string(b.who.Session.ID)+"/revoke", nil); answer.Code != http.StatusSeeOther {
			t.Fatalf("%d", answer.Code)
		}
		if answer := b.get("/orgs/acme/"); answer.Code != http.StatusSeeOther {
			t.Errorf("ended: %d", answer.Code)
		}
		if answer := a.post("/account/sessions/"+string(b.who.Session.ID)+"/revoke", nil); answer.Code != http.StatusNotFound {
			t.Errorf("twice: %d", answer.Code)
		}
		if answer := a.post("/account/sessions/revoke", nil); answer.Code != http.StatusSeeOther {
			t.Fatalf("all others: %d", answer.Code)
		}
		if c.get("/orgs/acme/").Code != http.StatusSeeOther || a.get("/orgs/acme/").Code != http.StatusOK {
			t.Error("not just the others have ended")
		}
		if told := p.events(models.EventFilter{Action: models.ActionSessionRevoke}); len(told) != 2 || told[0].ActorName != "User of acme" {
			t.Errorf("history: %+v", told)
		}
	})
}

func TestStrangersSessionAndTokenAreAbsent(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		victim := p.as("user@acme.example")
		_, token := makeToken(t, victim, "deploy", "user")
		want := p.anonymous().get("/no/such/page").Body.String()
		for _, email := range []string{"admin@globex.example", "admin@acme.example", "operator@provider.example"} {
			b := p.as(email)
			for _, path := range []string{
				"/account/sessions/" + string(victim.who.Session.ID), "/account/sessions/" + string(models.NewID[models.SessionID]()), "/account/sessions/" + strings.Repeat("a", 300),
				"/account/tokens/" + token, "/account/tokens/" + string(models.NewID[models.TokenID]()), "/account/tokens/" + strings.Repeat("a", 300),
			} {
				if answer := b.post(path+"/revoke", nil); answer.Code != http.StatusNotFound || answer.Body.String() != want {
					t.Errorf("%s as %s: %d", path, email, answer.Code)
				}
			}
		}
		if victim.get("/orgs/acme/").Code != http.StatusOK {
			t.Error("the session has ended")
		}
	})
}

func TestSecondFactorFromSetUpToSignIn(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		petra(t, p)
		b := signedInPetra(t, p, "correct horse")
		if answer := b.post("/account/second-factor", nil); answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/account/second-factor" {
			t.Fatalf("begin: %d", answer.Code)
		}
		page := b.get("/account/second-factor").Body.String()
		found := regexp.MustCompile(`data-secret="totp">([A-Z2-7 ]+)<`).FindStringSubmatch(page)
		if found == nil || !strings.Contains(page, `src="data:image/png;base64,`) {
			t.Fatal("no secret, or no picture of it")
		}
		code := func(steps int) string {
			text, err := totp.GenerateCode(strings.ReplaceAll(found[1], " ", ""), time.Now().Add(time.Duration(steps)*30*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		if answer := b.post("/account/second-factor/confirm", url.Values{"code": {"nonsense"}}); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("a wrong code: %d", answer.Code)
		}
		answer := b.post("/account/second-factor/confirm", url.Values{"code": {code(0)}})
		recovery := regexp.MustCompile(`<li>([a-z2-7-]{19})</li>`).FindAllStringSubmatch(answer.Body.String(), -1)
		if answer.Code != http.StatusOK || len(recovery) != 10 {
			t.Fatalf("confirm: %d, %d codes", answer.Code, len(recovery))
		}
		if answer := b.get("/account/second-factor"); answer.Code != http.StatusNotFound {
			t.Errorf("the secret again: %d", answer.Code)
		}

		fresh := p.anonymous()
		answer = signIn(fresh, "petra@acme.example", "correct horse", "/orgs/acme/tasks")
		if answer.Code != http.StatusSeeOther || cookie(answer) != nil || answer.Header().Get("Location") != "/sign-in/code?next=%2Forgs%2Facme%2Ftasks" {
			t.Fatalf("password: %d %v", answer.Code, answer.Header())
		}
		var challenge *http.Cookie
		for _, c := range answer.Result().Cookies() {
			if c.Name == "millwright-code" && c.HttpOnly && c.SameSite == http.SameSiteLaxMode {
				challenge = c
			}
		}
		if challenge == nil {
			t.Fatal("no challenge")
		}
		give := func(code string, challenge *http.Cookie) (int, *http.Cookie, string) {
			r := fresh.request(http.MethodPost, "/sign-in/code", url.Values{"code": {code}, "next": {"//evil.example"}})
			if challenge != nil {
				r.AddCookie(challenge)
			}
			answer := fresh.send(r)
			return answer.Code, cookie(answer), answer.Header().Get("Location")
		}
		if status, session, to := give(code(1), nil); status != http.StatusSeeOther || session != nil || to != "/sign-in" {
			t.Errorf("without a challenge: %d %v %s", status, session, to)
		}
		if status, session, _ := give("000", challenge); status != http.StatusUnprocessableEntity || session != nil {
			t.Errorf("a wrong code: %d %v", status, session)
		}
		status, session, to := give(code(1), challenge)
		if status != http.StatusSeeOther || session == nil || to != "/" {
			t.Fatalf("the right code: %d %v %s", status, session, to)
		}
		if answer := (&browser{p: p, token: session.Value}).get("/orgs/acme/"); answer.Code != http.StatusOK {
			t.Errorf("signed in: %d", answer.Code)
		}
		// Back to a password alone.
		if answer := b.post("/account/second-factor/off", url.Values{"password": {"wrong"}}); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("off with a wrong password: %d", answer.Code)
		}
		if answer := b.post("/account/second-factor/off", url.Values{"password": {"correct horse"}}); answer.Code != http.StatusSeeOther {
			t.Errorf("off: %d", answer.Code)
		}
		signedInPetra(t, p, "correct horse")
	})
}

// Whatever a form says beside its own fields changes nothing.
func TestTokenFormTakesItsOwnFieldsAlone(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("user@acme.example")
	victim := p.User("admin@acme.example")
	answer := b.post("/account/tokens", url.Values{
		"name": {"deploy"}, "org": {"acme"}, "role": {"auditor"}, "days": {"7"},
		"user_id": {string(victim.ID)}, "UserID": {string(victim.ID)}, "org_id": {string(p.Globex.ID)}, "expires_at": {"2099-01-01"},
		"token_hash": {"x"}, "id": {"y"}, "token": {"mw_chosen"}, "Role": {"admin"},
	})
	if answer.Code != http.StatusOK {
		t.Fatal(answer.Code)
	}
	rows, err := p.System.APITokens(context.Background(), b.who.User.ID)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%+v, %v", rows, err)
	}
	if r := rows[0]; r.Role != models.RoleAuditor || r.OrgID != p.Acme.ID || r.TokenHash == "x" || r.ID == "y" || time.Until(r.ExpiresAt) > 8*24*time.Hour {
		t.Errorf("token %+v", r)
	}
	for name, form := range map[string]url.Values{
		"stronger than its maker": {"name": {"a"}, "org": {"acme"}, "role": {"admin"}, "days": {"7"}},
		"a role of the provider":  {"name": {"a"}, "org": {"acme"}, "role": {"operator"}, "days": {"7"}},
		"another's org":           {"name": {"a"}, "org": {"globex"}, "role": {"user"}, "days": {"7"}},
		"an invented org":         {"name": {"a"}, "org": {"nosuch"}, "role": {"user"}, "days": {"7"}},
		"for ever":                {"name": {"a"}, "org": {"acme"}, "role": {"user"}, "days": {"99999"}},
		"no name":                 {"name": {" "}, "org": {"acme"}, "role": {"user"}, "days": {"7"}},
		"bytes that are no text":  {"name": {"\xff\x00"}, "org": {"acme"}, "role": {"user"}},
	} {
		if answer := b.post("/account/tokens", form); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, answer.Code)
		}
	}
	if rows, _ := p.System.APITokens(context.Background(), b.who.User.ID); len(rows) != 1 {
		t.Errorf("%d tokens", len(rows))
	}
}
