package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

const ownPassword = "correct horse battery"

// connected is an account with a password and a place in acme that was given
// here, which is also somebody at the provider.
func (s *ssoSite) connected(email, subject string, groups ...string) *surfer {
	s.t.Helper()
	hash, err := identity.HashPassword(ownPassword)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.System.SetPassword(s.t.Context(), s.User(email).ID, hash); err != nil {
		s.t.Fatal(err)
	}
	v := s.surfer()
	v.post("/sign-in", url.Values{"email": {email}, "password": {ownPassword}})
	link := onwardLink.FindStringSubmatch(v.post("/account/sso", nil).body)
	if link == nil {
		s.t.Fatal("single sign-on isn't offered")
	}
	as := jane(groups...)
	as.Subject = subject
	s.issuer.QueueUser(as)
	if page := v.get(strings.ReplaceAll(link[1], "&amp;", "&")); page.url.Path != "/account" || !strings.Contains(page.body, "Connected") {
		s.t.Fatalf("connected: %s %d", page.url, page.status)
	}
	return v
}

// Who disconnects single sign-on loses what it alone gave, and whoever is
// signed in by it; the password is the way in.
func TestSingleSignOnIsDisconnected(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		s := newSSOSite(t, db)
		v := s.connected("user@acme.example", "subject-7", "globex-people", "ops")
		as := jane("globex-people", "ops")
		as.Subject = "subject-7"
		other := s.surfer()
		if page := other.signIn(as); page.status != http.StatusOK || !strings.Contains(page.body, "user@acme.example") {
			t.Fatalf("signed in by it: %d", page.status)
		}
		if _, in := s.roles("globex")["user@acme.example"]; !in || other.get("/provider/").status != http.StatusOK {
			t.Fatal("the groups gave nothing")
		}
		page := v.get("/account").body
		for _, word := range []string{"Globex", "You are operator no more", "/account/sso/disconnect"} {
			if !strings.Contains(page, word) {
				t.Errorf("the page does not say %q", word)
			}
		}
		if answer := v.post("/account/sso/disconnect", url.Values{"password": {"a guess"}}); answer.status != http.StatusUnprocessableEntity || !strings.Contains(answer.body, "This is not your password") || !strings.Contains(answer.body, "data-dialog-shown") {
			t.Errorf("wrong password: %d", answer.status)
		}
		if answer := v.post("/account/sso/disconnect", url.Values{"password": {ownPassword}}); answer.status != http.StatusOK || answer.url.Path != "/account" || !strings.Contains(answer.body, "Single sign-on is disconnected") {
			t.Fatalf("disconnect: %d %s", answer.status, answer.url)
		}
		if _, in := s.roles("globex")["user@acme.example"]; in || s.roles("acme")["user@acme.example"].Role != models.RoleUser {
			t.Error("the wrong memberships are left")
		}
		if page := other.get("/account"); page.url.Path != "/sign-in" {
			t.Errorf("the session that came by it lives: %s", page.url)
		}
		if page := v.get("/provider/"); page.status != http.StatusNotFound {
			t.Errorf("still at the provider: %d", page.status)
		}
		// The identity opens nothing any more; it makes an account of its own.
		if page := s.surfer().signIn(as); page.status != http.StatusOK || strings.Contains(page.body, "user@acme.example") {
			t.Errorf("by the old identity: %d", page.status)
		}
		fresh := s.surfer()
		if page := fresh.post("/sign-in", url.Values{"email": {"user@acme.example"}, "password": {ownPassword}}); page.status != http.StatusOK || page.url.Path != "/orgs/acme/" {
			t.Errorf("by the password: %d %s", page.status, page.url)
		}
		told := s.events(models.EventFilter{Action: models.ActionAccountUnlink})
		if len(told) != 2 || told[0].Outcome != models.OutcomeSucceeded || told[1].Outcome != models.OutcomeRefused {
			t.Errorf("the history tells %+v", told)
		}
		if page := fresh.post("/account/sso/disconnect", url.Values{"password": {ownPassword}}); page.status != http.StatusNotFound {
			t.Errorf("again: %d", page.status)
		}
	})
}

// The last way in, and an org's last admin, stay.
func TestSingleSignOnStaysWhereItIsTheOnlyWayIn(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		s := newSSOSite(t, db)
		// No password: neither a second factor of ours, nor an end to it.
		v := s.surfer()
		if page := v.signIn(jane("acme-people")); page.status != http.StatusOK || strings.Contains(page.body, "/account/sso/disconnect") || strings.Contains(page.body, "/account/second-factor") {
			t.Fatalf("signed in: %d", page.status)
		}
		for path, words := range map[string]string{"/account/second-factor": "Set up a second factor there", "/account/sso/disconnect": "password"} {
			page := v.post(path, url.Values{"password": {ownPassword}})
			if page.status < 400 || page.status >= 500 || !strings.Contains(page.body, words) || !strings.Contains(page.body, "Your account") {
				t.Errorf("%s without a password: %d", path, page.status)
			}
		}
		if page := v.get("/account/second-factor"); page.status != http.StatusNotFound {
			t.Errorf("a second factor is shown: %d", page.status)
		}
		// A password, and nothing but what the groups gave.
		user := s.roles("acme")["jane@people.example"].UserID
		hash, err := identity.HashPassword(ownPassword)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.System.SetPassword(t.Context(), user, hash); err != nil {
			t.Fatal(err)
		}
		v = s.surfer()
		v.post("/sign-in", url.Values{"email": {"jane@people.example"}, "password": {ownPassword}})
		if page := v.get("/account"); strings.Contains(page.body, "/account/sso/disconnect") || !strings.Contains(page.body, "it can't be disconnected") {
			t.Error("the page offers to disconnect")
		}
		if page := v.post("/account/sso/disconnect", url.Values{"password": {ownPassword}}); page.status != http.StatusConflict || !strings.Contains(page.body, "invite you first") {
			t.Errorf("with nothing else: %d", page.status)
		}
		// The last admin of an org, by their group.
		boss := s.connected("auditor@acme.example", "subject-8", "globex-people")
		if err := s.System.PutMember(t.Context(), s.Globex.ID, s.User("user@globex.example").ID, models.RoleUser); err != nil {
			t.Fatal(err)
		}
		as := jane("globex-people")
		as.Subject = "subject-8"
		s.surfer().signIn(as)
		execRaw(t, db, "UPDATE members SET role = 'admin' WHERE org_id = '"+string(s.Globex.ID)+"' AND sso")
		if err := s.System.RemoveMember(t.Context(), s.Scope(t, "admin@globex.example", "globex"), s.User("admin@globex.example").ID); err != nil {
			t.Fatal(err)
		}
		if page := boss.post("/account/sso/disconnect", url.Values{"password": {ownPassword}}); page.status != http.StatusConflict || !strings.Contains(page.body, "last active admin") {
			t.Errorf("the last admin: %d", page.status)
		}
		if p := s.roles("globex")["auditor@acme.example"]; p.Role != models.RoleAdmin || !p.SSO {
			t.Errorf("globex has %+v", p)
		}
	})
}
