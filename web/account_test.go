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

// Two sign-ins from two places: each is told by its browser, its address, and
// when it was last seen, and can be ended without the other.
func TestSessionsTellBrowserAddressAndWhenLastSeen(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		petra(t, p)
		from := func(agent, address string) *browser {
			b := p.anonymous()
			r := b.request(http.MethodPost, "/sign-in", url.Values{"email": {"petra@acme.example"}, "password": {"correct horse"}}, "User-Agent", agent)
			r.RemoteAddr = address
			answer := b.send(r)
			if cookie(answer) == nil {
				t.Fatalf("sign-in: %d", answer.Code)
			}
			return &browser{p: p, token: cookie(answer).Value}
		}
		began := models.Now()
		phone := from("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "[2001:db8::7]:4711")
		desk := from("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "192.0.2.17:4711")
		page := desk.get("/account").Body.String()
		ids := map[bool]string{true: sessionID(t, page, true), false: sessionID(t, page, false)}
		// The phone was put away twenty minutes ago.
		away := began.Add(-20 * time.Minute)
		execRaw(t, db, "UPDATE sessions SET last_seen_at = '"+away.Format("2006-01-02 15:04:05-07:00")+"' WHERE id = '"+ids[false]+"'")
		rows := sessionRows(desk.get("/account").Body.String())
		if len(rows) != 2 {
			t.Fatalf("%d sessions are listed", len(rows))
		}
		for current, want := range map[bool][]string{true: {"Firefox on Linux", "192.0.2.17"}, false: {"Safari on iPhone", "2001:db8::7"}} {
			row := rows[ids[current]]
			for _, text := range want {
				if !strings.Contains(row, ">"+text+"<") {
					t.Errorf("the session of %s doesn't tell %q: %s", want[0], text, row)
				}
			}
			found := regexp.MustCompile(`data-label="Last seen">\s*<time[^>]* datetime="([^"]+)"`).FindStringSubmatch(row)
			if found == nil {
				t.Fatalf("when %s was last seen isn't told: %s", want[0], row)
			}
			seen, err := time.Parse(time.RFC3339, found[1])
			if from, until := map[bool]time.Time{true: began.Add(-time.Second), false: away.Add(-time.Second)}[current],
				map[bool]time.Time{true: models.Now().Add(time.Second), false: away.Add(time.Second)}[current]; err != nil || seen.Before(from) || seen.After(until) {
				t.Errorf("%s was last seen at %s (%v)", want[0], found[1], err)
			}
		}
		if !strings.Contains(rows[ids[false]], `action="/account/sessions/`+ids[false]+`/revoke"`) || !strings.Contains(rows[ids[true]], `action="/sign-out"`) {
			t.Error("a row has no way to end it")
		}
		if answer := desk.post("/account/sessions/"+ids[false]+"/revoke", nil); answer.Code != http.StatusSeeOther {
			t.Fatalf("%d", answer.Code)
		}
		if left := sessionRows(desk.get("/account").Body.String()); len(left) != 1 || left[ids[true]] == "" {
			t.Errorf("%d are left on the page", len(left))
		}
		if phone.get("/orgs/acme/").Code != http.StatusSeeOther || desk.get("/orgs/acme/").Code != http.StatusOK {
			t.Error("not just the phone's session has ended")
		}
	})
}

// sessionRows are the account page's, by session.
func sessionRows(page string) map[string]string {
	rows := map[string]string{}
	for _, found := range regexp.MustCompile(`(?s)<tr data-session-id="([^"]+)".*?</tr>`).FindAllStringSubmatch(page, -1) {
		rows[found[1]] = found[0]
	}
	return rows
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
