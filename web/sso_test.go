package web

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// ssoSite is a portal on a real socket with an identity provider beside it.
type ssoSite struct {
	*portal
	issuer *testkit.Issuer
	url    string
}

func newSSOSite(t *testing.T, db *models.DB) *ssoSite {
	t.Helper()
	s := &ssoSite{portal: newPortal(t, db), issuer: testkit.NewIssuer(t)}
	server := httptest.NewServer(s.server.Handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	s.identity.UseSSO(identity.SSOOptions{
		Issuer: s.issuer.Issuer(), ClientID: s.issuer.ClientID, ClientSecret: s.issuer.ClientSecret, Label: "Example SSO",
		Scopes: []string{"profile", "email", "groups"}, GroupsClaim: "groups", PublicURL: s.url,
		Mappings: []models.GroupRole{
			{Group: "acme-admins", Org: "acme", Role: models.RoleAdmin},
			{Group: "acme-people", Org: "acme", Role: models.RoleUser},
			{Group: "globex-people", Org: "globex", Role: models.RoleAuditor},
			{Group: "ops", ProviderRole: models.RoleOperator},
		},
	})
	return s
}

func jane(groups ...string) *mockoidc.MockUser {
	return &mockoidc.MockUser{Subject: "subject-1", Email: "jane@people.example", EmailVerified: true, PreferredUsername: "Jane Doe", Groups: groups}
}

// surfer is a browser with cookies, that follows redirects.
type surfer struct {
	*http.Client
	t    testing.TB
	site *ssoSite
}

func (s *ssoSite) surfer() *surfer {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &surfer{Client: &http.Client{Jar: jar}, t: s.t, site: s}
}

type seen struct {
	status int
	url    *url.URL
	body   string
	header http.Header
}

func (v *surfer) do(r *http.Request) seen {
	v.t.Helper()
	r.Header.Set("Accept", "text/html")
	answer, err := v.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return seen{answer.StatusCode, answer.Request.URL, string(body), answer.Header}
}

func (v *surfer) get(path string) seen {
	v.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = v.site.url + path
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.do(r)
}

func (v *surfer) post(path string, form url.Values) seen {
	v.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, v.site.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.do(r)
}

// signIn goes to the provider and back as somebody.
func (v *surfer) signIn(who *mockoidc.MockUser) seen {
	v.t.Helper()
	v.site.issuer.QueueUser(who)
	return v.get("/sign-in/sso?next=" + url.QueryEscape("/account"))
}

func (s *ssoSite) roles(slug string) map[string]models.Person {
	s.t.Helper()
	org, err := s.System.OrgBySlug(context.Background(), slug)
	if err != nil {
		s.t.Fatal(err)
	}
	list := map[string]models.Person{}
	err = s.System.Look(context.Background(), org.ID, func(r *models.Reader) error {
		people, err := r.People(models.PeopleFilter{})
		for _, p := range people.Rows {
			list[p.Email] = p
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

var onwardLink = regexp.MustCompile(`href="([^"]+)"[^>]*data-onward`)

// From discovery to logout, against a real provider.
func TestSingleSignOnFromDiscoveryToLogout(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		s := newSSOSite(t, db)
		v := s.surfer()
		if page := v.get("/sign-in"); !strings.Contains(page.body, "Sign in with Example SSO") {
			t.Fatal("no button")
		}
		if page := v.signIn(jane("acme-people", "globex-people", "of no interest")); page.status != http.StatusOK || page.url.Path != "/account" {
			t.Fatalf("landed on %s: %d", page.url, page.status)
		}
		acme, globex := s.roles("acme")["jane@people.example"], s.roles("globex")["jane@people.example"]
		if acme.Role != models.RoleUser || !acme.SSO || acme.Name != "Jane Doe" || globex.Role != models.RoleAuditor || acme.LastSignInAt == nil {
			t.Errorf("acme %+v, globex %+v", acme, globex)
		}
		// Again, with other groups: one role grows, the other goes, and what it
		// opened is shut for the older session too.
		again := s.surfer()
		if page := again.signIn(jane("acme-admins", "acme-people")); page.status != http.StatusOK {
			t.Fatalf("again: %d", page.status)
		}
		if p := s.roles("acme")["jane@people.example"]; p.Role != models.RoleAdmin || p.UserID != acme.UserID {
			t.Errorf("acme is %+v", p)
		}
		if _, left := s.roles("globex")["jane@people.example"]; left {
			t.Error("globex was not taken away")
		}
		if page := v.get("/orgs/globex/"); page.status != http.StatusNotFound {
			t.Errorf("the older session sees globex: %d", page.status)
		}
		// Signing out here leads on to signing out there, and back.
		page := v.post("/sign-out", nil)
		link := onwardLink.FindStringSubmatch(page.body)
		if page.status != http.StatusOK || link == nil || !strings.HasPrefix(page.header.Get("Refresh"), "0; url="+s.issuer.Addr()) {
			t.Fatalf("sign-out: %d %q", page.status, page.header.Get("Refresh"))
		}
		if page := v.get(strings.ReplaceAll(link[1], "&amp;", "&")); page.url.String() != s.url+"/sign-in" {
			t.Errorf("came back to %s: %s", page.url, page.body)
		}
		if out := s.issuer.SignedOut(); !slices.Equal(out, []string{"subject-1"}) {
			t.Errorf("signed out there: %v", out)
		}
		if page := v.get("/account"); page.url.Path != "/sign-in" {
			t.Errorf("still signed in: %s", page.url)
		}
		// All groups gone: no way in, and the session that is left ends.
		none := s.surfer()
		s.makeAdmin("user@acme.example")
		if page := none.signIn(jane("of no interest")); page.status != http.StatusForbidden || !strings.Contains(page.body, "Sign in") {
			t.Errorf("without groups: %d", page.status)
		}
		if page := again.get("/account"); page.url.Path != "/sign-in" {
			t.Errorf("the last session lives: %s", page.url)
		}
	})
}

func (s *ssoSite) makeAdmin(email string) {
	s.t.Helper()
	if err := s.System.PutMember(context.Background(), s.Acme.ID, s.User(email).ID, models.RoleAdmin); err != nil {
		s.t.Fatal(err)
	}
}

// The rules of linking: by issuer and subject, never silently by an address.
func TestSingleSignOnTakesNobodysAccount(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		s := newSSOSite(t, db)
		ctx := context.Background()
		hash, err := identity.HashPassword("correct horse battery")
		if err != nil {
			t.Fatal(err)
		}
		owner := s.User("admin@acme.example")
		if err := s.System.SetPassword(ctx, owner.ID, hash); err != nil {
			t.Fatal(err)
		}
		refused := func(name string, who *mockoidc.MockUser, words string) {
			t.Helper()
			page := s.surfer().signIn(who)
			if page.status != http.StatusForbidden || !strings.Contains(page.body, words) {
				t.Errorf("%s: %d", name, page.status)
			}
		}
		// An account with a password is its owner's, address verified or not.
		as := jane("acme-people")
		as.Email = "admin@acme.example"
		refused("verified address of an account with a password", as, "Sign in with that")
		as = jane("acme-people")
		as.EmailVerified = false
		refused("unverified address", as, "vouch")
		as.Email = "user@acme.example"
		refused("unverified address of an account", as, "vouch")
		refused("no group", jane(), "opens nothing here")
		if _, made := s.roles("acme")["jane@people.example"]; made {
			t.Error("a refused person has an account")
		}
		// One that the configuration made and nobody has entered yet is its
		// address's, where the provider verified that.
		as = jane("acme-people")
		as.Email = "auditor@acme.example"
		if page := s.surfer().signIn(as); page.status != http.StatusOK {
			t.Errorf("account without a password: %d", page.status)
		}
		if p := s.roles("acme")["auditor@acme.example"]; p.SSO || p.Role != models.RoleAuditor {
			t.Errorf("what the org decided was overruled: %+v", p)
		}
		// Who changes the address over there keeps the account.
		as.Email = "renamed@people.example"
		if page := s.surfer().signIn(as); page.status != http.StatusOK || !strings.Contains(page.body, "auditor@acme.example") {
			t.Errorf("renamed over there: %d", page.status)
		}
		// The owner connects it from the account page, with the password.
		v := s.surfer()
		v.post("/sign-in", url.Values{"email": {"admin@acme.example"}, "password": {"correct horse battery"}})
		page := v.post("/account/sso", nil)
		link := onwardLink.FindStringSubmatch(page.body)
		if link == nil {
			t.Fatalf("connect: %d", page.status)
		}
		other := jane("acme-people")
		other.Subject = "subject-2"
		s.issuer.QueueUser(other)
		if page := v.get(strings.ReplaceAll(link[1], "&amp;", "&")); page.url.Path != "/account" || !strings.Contains(page.body, "Connected") {
			t.Errorf("connected: %s %d", page.url, page.status)
		}
		w := s.surfer()
		if page := w.signIn(other); page.status != http.StatusOK || !strings.Contains(page.body, "admin@acme.example") {
			t.Errorf("signed in by the connection: %d", page.status)
		}
		// A suspended member comes in no more by it.
		if err := s.System.SetMemberRole(ctx, s.Scope(t, "admin@acme.example", "acme"), s.User("user@acme.example").ID, models.RoleAdmin); err != nil {
			t.Fatal(err)
		}
		if err := s.System.DisableMember(ctx, s.Scope(t, "user@acme.example", "acme"), owner.ID); err != nil {
			t.Fatal(err)
		}
		refused("disabled in the only org", other, "opens nothing here")
	})
}

func TestLastAdminOutlivesTheirGroup(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		s := newSSOSite(t, db)
		if page := s.surfer().signIn(jane("acme-admins", "ops")); page.status != http.StatusOK {
			t.Fatal(page.status)
		}
		if err := s.System.RemoveMember(context.Background(), s.Scope(t, "admin@acme.example", "acme"), s.User("admin@acme.example").ID); err != nil {
			t.Fatal(err)
		}
		v := s.surfer()
		if page := v.signIn(jane("of no interest")); page.status != http.StatusOK {
			t.Errorf("the last admin can't get in: %d", page.status)
		}
		if p := s.roles("acme")["jane@people.example"]; p.Role != models.RoleAdmin {
			t.Errorf("the org has lost its last admin: %+v", p)
		}
		if page := v.get("/provider/"); page.status != http.StatusNotFound {
			t.Errorf("the provider's role outlived its group: %d", page.status)
		}
		if told := s.events(models.EventFilter{Action: models.ActionMemberRole, Outcome: models.OutcomeRefused}); len(told) != 1 {
			t.Errorf("%d events tell why", len(told))
		}
	})
}

// A callback counts in the browser that began it, once, and nowhere else.
func TestCallbackIsBoundToItsBrowser(t *testing.T) {
	t.Parallel()
	s := newSSOSite(t, testkit.SQLite(t))
	// The attacker goes as far as the provider's answer, and keeps it.
	attacker := s.surfer()
	var answer string
	attacker.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasSuffix(r.URL.Path, "/sso/callback") {
			answer = r.URL.RequestURI()
			return http.ErrUseLastResponse
		}
		return nil
	}
	attacker.signIn(jane("acme-people"))
	if answer == "" {
		t.Fatal("the provider didn't answer")
	}
	victim := s.surfer()
	refused := func(name string, v *surfer, path string) {
		t.Helper()
		if page := v.get(path); page.status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, page.status)
		}
		if page := v.get("/account"); page.url.Path != "/sign-in" {
			t.Errorf("%s: signed in", name)
		}
	}
	refused("another's answer, without a start", victim, answer)
	victim.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	victim.get("/sign-in/sso")
	victim.CheckRedirect = nil
	refused("another's answer, after an own start", victim, answer)
	// Its own browser may finish it, once.
	attacker.CheckRedirect = nil
	if page := attacker.get(answer); page.status != http.StatusOK {
		t.Fatalf("its own browser: %d", page.status)
	}
	attacker.post("/sign-out", nil)
	refused("sent twice", attacker, answer)
	for _, path := range []string{"/sign-in/sso/callback", "/sign-in/sso/callback?error=access_denied&state=x", "/sign-in/sso/callback?code=x&state=", "/sign-in/sso/callback?code=x&state=" + strings.Repeat("A", 43)} {
		refused(path, s.surfer(), path)
	}
}

// Where to go afterwards leads nowhere else, whatever the address says.
func TestSingleSignOnLeadsToNoOtherSite(t *testing.T) {
	t.Parallel()
	s := newSSOSite(t, testkit.SQLite(t))
	for _, next := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "/%5cevil.example", "javascript:alert(1)", "/\t/evil.example"} {
		v := s.surfer()
		v.site.issuer.QueueUser(jane("acme-people"))
		if page := v.get("/sign-in/sso?next=" + url.QueryEscape(next)); page.url.Host != strings.TrimPrefix(s.url, "http://") || page.status != http.StatusOK {
			t.Errorf("%q led to %s (%d)", next, page.url, page.status)
		}
	}
}

// A provider that is away is told of, and passwords work on.
func TestPasswordsWorkWhileTheProviderIsAway(t *testing.T) {
	t.Parallel()
	s := newSSOSite(t, testkit.SQLite(t))
	hash, err := identity.HashPassword("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.System.SetPassword(context.Background(), s.User("user@acme.example").ID, hash); err != nil {
		t.Fatal(err)
	}
	s.issuer.Away.Store(true)
	v := s.surfer()
	page := v.get("/sign-in/sso")
	if page.status != http.StatusServiceUnavailable || !strings.Contains(page.body, "Example SSO does not answer just now") || !strings.Contains(page.body, `name="password"`) {
		t.Errorf("away: %d", page.status)
	}
	if page := v.post("/sign-in", url.Values{"email": {"user@acme.example"}, "password": {"correct horse battery"}}); page.status != http.StatusOK || page.url.Path != "/orgs/acme/" {
		t.Errorf("password: %d %s", page.status, page.url)
	}
	// It comes back by itself.
	s.issuer.Away.Store(false)
	for late := time.After(20 * time.Second); ; {
		s.issuer.QueueUser(jane("acme-people"))
		if s.surfer().get("/sign-in/sso").status == http.StatusOK {
			break
		}
		select {
		case <-late:
			t.Fatal("single sign-on does not work again")
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// The portal follows the provider to no other host: an address inside our own
// network must not be asked for anything.
func TestProviderSendsThePortalNowhereElse(t *testing.T) {
	t.Parallel()
	s := newSSOSite(t, testkit.SQLite(t))
	asked := make(chan string, 10)
	inside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	t.Cleanup(inside.Close)
	s.issuer.Elsewhere.Store(inside.URL + "/latest/meta-data")
	if page := s.surfer().signIn(jane("acme-people")); page.status == http.StatusOK {
		t.Errorf("signed in without the provider's keys: %d", page.status)
	}
	select {
	case path := <-asked:
		t.Errorf("the portal asked an inner host for %s", path)
	default:
	}
}
