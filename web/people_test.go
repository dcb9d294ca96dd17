package web

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

var invitationLink = regexp.MustCompile(`/invitation\?token=([\w-]{43})`)

// invite invites by the page and returns the token that its answer shows once.
func (p *portal) invite(email, role string) string {
	p.t.Helper()
	answer := p.as("admin@acme.example").post("/orgs/acme/people/invitations", url.Values{"email": {email}, "role": {role}})
	found := invitationLink.FindStringSubmatch(answer.Body.String())
	if answer.Code != http.StatusOK || found == nil {
		p.t.Fatalf("invite %s: %d", email, answer.Code)
	}
	return found[1]
}

// follow opens an invitation's link as a browser without a session, and
// returns it with the cookie that keeps the token.
func (p *portal) follow(token string) (b *browser, cookie *http.Cookie) {
	p.t.Helper()
	b = p.anonymous()
	answer := b.get("/invitation?token=" + token)
	if answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/invitation" || answer.Header().Get("Referrer-Policy") != "no-referrer" {
		p.t.Fatalf("link: %d to %q", answer.Code, answer.Header().Get("Location"))
	}
	for _, c := range answer.Result().Cookies() {
		if c.Name == "millwright-invitation" {
			return b, c
		}
	}
	p.t.Fatal("no cookie keeps the token")
	return nil, nil
}

func (b *browser) accept(cookie *http.Cookie, form url.Values) *httptest.ResponseRecorder {
	r := b.request(http.MethodPost, "/invitation", form)
	r.AddCookie(cookie)
	return b.send(r)
}

func newcomerForm() url.Values {
	return url.Values{"name": {"Nina New"}, "password": {"a long new password"}, "again": {"a long new password"}}
}

// Invite, follow the link, make an account, be signed in: and the token is in
// no log, no history and on no second page.
func TestInvitationBringsSomebodyIn(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		var log bytes.Buffer
		p := newPortalWith(t, db, Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		token := p.invite("Nina@People.example", "user")
		b, cookie := p.follow(token)
		r := b.request(http.MethodGet, "/invitation", nil)
		r.AddCookie(cookie)
		if page := b.send(r); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "nina@people.example") || strings.Contains(page.Body.String(), token) {
			t.Fatalf("page: %d", page.Code)
		}
		// What was typed comes back with what is wrong with it; nothing is spent.
		bad := newcomerForm()
		bad.Set("password", "short")
		if page := b.accept(cookie, bad); page.Code != http.StatusUnprocessableEntity || !strings.Contains(page.Body.String(), `value="Nina New"`) || strings.Contains(page.Body.String(), "short") {
			t.Errorf("short password: %d", page.Code)
		}
		done := b.accept(cookie, newcomerForm())
		if done.Code != http.StatusSeeOther || done.Header().Get("Location") != "/orgs/acme/" {
			t.Fatalf("accept: %d %s", done.Code, done.Body)
		}
		for _, c := range done.Result().Cookies() {
			if c.Name == "millwright" {
				b.token = c.Value
			}
		}
		if page := b.get("/orgs/acme/"); page.Code != http.StatusOK {
			t.Errorf("signed in: %d", page.Code)
		}
		if page := b.get("/orgs/globex/"); page.Code != http.StatusNotFound {
			t.Errorf("another org: %d", page.Code)
		}
		if again, c := p.follow(token); again.accept(c, newcomerForm()).Code != http.StatusNotFound {
			t.Error("the link works twice")
		}
		// The password signs in.
		if page := p.anonymous().post("/sign-in", url.Values{"email": {"nina@people.example"}, "password": {"a long new password"}}); page.Code != http.StatusSeeOther {
			t.Errorf("sign-in: %d", page.Code)
		}
		for _, e := range p.events(models.EventFilter{}) {
			if full := p.event(e.ID); strings.Contains(full, token) || strings.Contains(full, "a long new password") {
				t.Errorf("the history tells a secret: %s", full)
			}
		}
		if strings.Contains(log.String(), token) || strings.Contains(log.String(), "a long new password") {
			t.Error("the log tells a secret")
		}
		if page := p.as("admin@acme.example").get("/orgs/acme/people").Body.String(); strings.Contains(page, token) || !strings.Contains(page, "Nina New") {
			t.Error("the page shows the token again, or not the member")
		}
	})
}

func (p *portal) event(id models.EventID) string {
	p.t.Helper()
	var body string
	err := p.System.Look(context.Background(), p.Acme.ID, func(r *models.Reader) error {
		e, err := r.Event(id)
		body = e.Body
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return body
}

// Who has an account joins with it, and with no other.
func TestInvitationIsForItsAddress(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	token := p.invite("user@globex.example", "auditor")
	b, cookie := p.follow(token)
	// Making a second account for the address doesn't work, and spends nothing.
	if page := b.accept(cookie, newcomerForm()); page.Code != http.StatusConflict {
		t.Errorf("second account: %d", page.Code)
	}
	stranger := p.as("admin@globex.example")
	r := stranger.request(http.MethodGet, "/invitation", nil)
	r.AddCookie(cookie)
	if page := stranger.send(r); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "another address") {
		t.Errorf("a stranger's page: %d", page.Code)
	}
	if page := stranger.accept(cookie, nil); page.Code != http.StatusNotFound {
		t.Errorf("a stranger joins: %d", page.Code)
	}
	invited := p.as("user@globex.example")
	if page := invited.accept(cookie, url.Values{}); page.Code != http.StatusSeeOther {
		t.Errorf("joins: %d", page.Code)
	}
	if page := invited.get("/orgs/acme/people"); page.Code != http.StatusOK || strings.Contains(page.Body.String(), `action="/orgs/acme/people/invitations"`) {
		t.Errorf("as auditor: %d, or may invite", page.Code)
	}
}

// Changes by the pages hold at once, for sessions that are open too.
func TestRoleChangeHoldsAtOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		admin, user := p.as("admin@acme.example"), p.as("user@acme.example")
		at := "/orgs/acme/people/" + string(p.User("user@acme.example").ID)
		if page := user.get("/orgs/acme/machines/new"); page.Code != http.StatusOK {
			t.Fatal(page.Code)
		}
		if done := admin.post(at+"/role", url.Values{"role": {"auditor"}}); done.Code != http.StatusSeeOther {
			t.Fatalf("role: %d", done.Code)
		}
		if page := user.get("/orgs/acme/machines/new"); page.Code != http.StatusForbidden {
			t.Errorf("as auditor: %d", page.Code)
		}
		for _, bad := range []string{"", "operator", "root"} {
			if page := admin.post(at+"/role", url.Values{"role": {bad}}); page.Code != http.StatusUnprocessableEntity {
				t.Errorf("role %q: %d", bad, page.Code)
			}
		}
		self := "/orgs/acme/people/" + string(p.User("admin@acme.example").ID)
		for _, act := range []string{"/role", "/disable", "/remove"} {
			page := admin.post(self+act, url.Values{"role": {"user"}})
			if page.Code != http.StatusConflict || !strings.Contains(page.Body.String(), "last active admin") {
				t.Errorf("%s of the last admin: %d", act, page.Code)
			}
		}
		if done := admin.post(at+"/disable", nil); done.Code != http.StatusSeeOther {
			t.Fatalf("disable: %d", done.Code)
		}
		if page := user.get("/orgs/acme/"); page.Code != http.StatusSeeOther { // to sign in: there is no other org
			t.Errorf("disabled: %d", page.Code)
		}
	})
}

// An open page's stream ends when its user loses the org: told, not by chance
// of the next look.
func TestStreamEndsWithTheMembership(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	p.server.recheck = time.Hour // only what is announced ends it
	server := httptest.NewServer(p.server.Handler())
	t.Cleanup(server.Close)
	user := p.as("user@acme.example")
	r := user.request(http.MethodGet, "/orgs/acme/events", nil)
	open, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+"/orgs/acme/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	open.Header = r.Header
	answer, err := server.Client().Do(open)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = new(bytes.Buffer).ReadFrom(answer.Body)
	}()
	if done := p.as("admin@acme.example").post("/orgs/acme/people/"+string(p.User("user@acme.example").ID)+"/remove", nil); done.Code != http.StatusSeeOther {
		t.Fatal(done.Code)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the stream outlives the membership")
	}
}

// The table that people read is the one that decides.
func TestPermissionTableIsTheCodes(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	for email, path := range map[string]string{"admin@acme.example": "/orgs/acme/permissions", "user@acme.example": "/orgs/acme/permissions",
		"auditor@acme.example": "/orgs/acme/permissions", "operator@provider.example": "/provider/permissions"} {
		page := p.as(email).get(path)
		if page.Code != http.StatusOK {
			t.Fatalf("%s: %d", email, page.Code)
		}
		rows := regexp.MustCompile(`(?s)data-permission="([^"]+)"(.*?)</tr>`).FindAllStringSubmatch(page.Body.String(), -1)
		seen := 0
		for _, row := range rows {
			yes := strings.Count(row[2], "Yes")
			want := len(models.RolesWith(models.Permission(row[1])))
			if yes != want {
				t.Errorf("%s: %d roles say yes, %d have it", row[1], yes, want)
			}
			seen++
		}
		if want := len(models.PermissionsOf(allRoles)); seen != want {
			t.Errorf("%d of %d permissions are shown", seen, want)
		}
	}
}
