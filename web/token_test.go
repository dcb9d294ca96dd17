package web

import (
	"context"
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

// makeToken makes one in acme on the account page, and returns text and id.
func makeToken(t *testing.T, b *browser, name, role string) (text, id string) {
	t.Helper()
	answer := b.post("/account/tokens", url.Values{"name": {name}, "org": {"acme"}, "role": {role}})
	found := regexp.MustCompile(`mw_[A-Za-z0-9_-]{43}`).FindString(answer.Body.String())
	if answer.Code != http.StatusOK || found == "" {
		t.Fatalf("%d", answer.Code)
	}
	page := b.get("/account").Body.String()
	if strings.Contains(page, found) {
		t.Error("the token is shown again")
	}
	for _, row := range regexp.MustCompile(`data-token-id="([^"]+)"[\s\S]*?</tr>`).FindAllStringSubmatch(page, -1) {
		if strings.Contains(row[0], ">"+name+"<") {
			return found, row[1]
		}
	}
	t.Fatal("the token is not listed")
	return "", ""
}

// program is a client without a cookie, and not a browser: nothing says where
// its requests come from.
func (p *portal) program(token string) func(method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	return func(method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
		r := p.anonymous().request(method, path, form, append([]string{"Authorization", "Bearer " + token, "Accept", "*/*"}, header...)...)
		r.Header.Del("Sec-Fetch-Site")
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return p.anonymous().send(r)
	}
}

func TestTokenDoesWhatItsRoleMayOnEveryTenantRoute(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		ids, _ := p.ids()
		admin := p.as("admin@acme.example")
		for _, role := range []models.Role{models.RoleAdmin, models.RoleUser, models.RoleAuditor} {
			text, _ := makeToken(t, admin, "as "+string(role), string(role))
			call := p.program(text)
			for _, r := range p.orgRoutes() {
				if strings.HasSuffix(r.path, "/events") || strings.HasSuffix(r.path, "/vpn/off") {
					continue // the one never ends, the other takes the devices of the routes behind it
				}
				answer := call(r.method, address(r.path, "acme", p.idFor(r.path, ids)), url.Values{}, "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site")
				refused := answer.Code == http.StatusForbidden
				if refused == role.May(r.permission) || answer.Code == http.StatusUnauthorized || answer.Code == http.StatusNotFound || answer.Code >= 500 {
					t.Errorf("%s %s as %s: %d", r.method, r.path, role, answer.Code)
				}
				if answer := call(r.method, address(r.path, "globex", ids[noun(r.path)]), url.Values{}); answer.Code != http.StatusNotFound {
					t.Errorf("%s %s in another org: %d", r.method, r.path, answer.Code)
				}
			}
		}
		told := p.events(models.EventFilter{Action: models.ActionAccessRefused})
		if len(told) == 0 || told[0].ActorKind != models.ActorToken || told[0].ActorName != "Admin of acme" {
			t.Errorf("history: %+v", told)
		}
	})
}

func TestOrderByTokenIsInTheHistoryAsItsMakers(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		text, id := makeToken(t, p.as("user@acme.example"), "deploy", "user")
		order := url.Values{"name": {"by-token"}, "template": {p.Template.Slug}, "instance_type": {p.Small.Slug}}
		if answer := p.program(text)(http.MethodPost, "/orgs/acme/machines", order); answer.Code != http.StatusSeeOther {
			t.Fatalf("%d", answer.Code)
		}
		told := p.events(models.EventFilter{Action: models.ActionMachineCreate, Object: "by-token"})
		if len(told) != 1 || told[0].ActorKind != models.ActorToken || told[0].ActorName != "User of acme" || string(told[0].SessionID) != id {
			t.Errorf("history: %+v", told)
		}
		err := p.System.Look(context.Background(), p.Acme.ID, func(r *models.Reader) error {
			tasks, err := r.Tasks(models.TaskFilter{})
			if err == nil && (len(tasks.Rows) != 1 || tasks.Rows[0].Actor().Kind != models.ActorToken) {
				t.Errorf("task %+v", tasks.Rows)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestTokenReachesNothingButItsOrg(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	text, _ := makeToken(t, p.as("admin@acme.example"), "deploy", "admin")
	for _, r := range p.server.routes {
		if strings.HasPrefix(r.path, orgPrefix) != (r.door == doorOrg) {
			t.Errorf("%s is behind the door %s", r.path, r.door)
		}
		if r.door != doorSignedIn && r.door != doorProvider {
			continue
		}
		answer := p.program(text)(r.method, address(r.path, "acme", "x"), url.Values{"name": {"child"}, "org": {"acme"}, "role": {"user"}})
		toSignIn := answer.Code == http.StatusSeeOther && strings.HasPrefix(answer.Header().Get("Location"), "/sign-in")
		if !toSignIn && answer.Code != http.StatusUnauthorized {
			t.Errorf("%s %s: %d", r.method, r.path, answer.Code)
		}
	}
	// With a cookie beside it, the cookie's own rules hold there.
	b := p.as("user@acme.example")
	answer := b.post("/account/tokens", url.Values{"name": {"x"}, "org": {"acme"}, "role": {"user"}}, "Authorization", "Bearer "+text, "Sec-Fetch-Site", "cross-site")
	if answer.Code != http.StatusForbidden {
		t.Errorf("another site's page adds a header: %d", answer.Code)
	}
}

func TestTokenTakesThePlaceOfTheCookie(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	admin := p.as("admin@acme.example")
	auditors, _ := makeToken(t, admin, "weak", "auditor")
	for name, header := range map[string]string{"wrong": "Bearer nonsense", "empty": "Bearer ", "bare": "bearer"} {
		answer := admin.get("/orgs/acme/machines", "Authorization", header)
		if answer.Code != http.StatusUnauthorized || answer.Header().Get("WWW-Authenticate") != "Bearer" || answer.Header().Get("Location") != "" {
			t.Errorf("%s: %d %v", name, answer.Code, answer.Header())
		}
	}
	order := url.Values{"name": {"x"}, "template": {p.Template.Slug}, "instance_type": {p.Small.Slug}}
	if answer := admin.post("/orgs/acme/machines", order, "Authorization", "Bearer "+auditors); answer.Code != http.StatusForbidden {
		t.Errorf("the cookie's role counted: %d", answer.Code)
	}
	if answer := admin.get("/orgs/acme/machines", "Authorization", "Basic eDp5"); answer.Code != http.StatusOK {
		t.Errorf("another scheme: %d", answer.Code)
	}
	if answer := p.program("nonsense")(http.MethodGet, "/orgs/acme/machines", nil, "Accept", "application/json"); answer.Code != http.StatusUnauthorized || !strings.HasPrefix(answer.Body.String(), "{") {
		t.Errorf("as JSON: %d %s", answer.Code, answer.Body)
	}
}

func TestTokenEndsAtOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		p.server.recheck = 20 * time.Millisecond
		site := httptest.NewServer(p.server.Handler())
		t.Cleanup(site.Close)
		b := p.as("user@acme.example")
		text, id := makeToken(t, b, "deploy", "user")
		call := p.program(text)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL+"/orgs/acme/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+text)
		stream, err := http.DefaultClient.Do(r)
		if err != nil || stream.StatusCode != http.StatusOK {
			t.Fatalf("stream: %v", err)
		}
		defer func() { _ = stream.Body.Close() }()
		if answer := call(http.MethodGet, "/orgs/acme/", nil); answer.Code != http.StatusOK {
			t.Fatal(answer.Code)
		}
		if answer := b.post("/account/tokens/"+id+"/revoke", nil); answer.Code != http.StatusSeeOther {
			t.Fatal(answer.Code)
		}
		if answer := call(http.MethodGet, "/orgs/acme/", nil); answer.Code != http.StatusUnauthorized {
			t.Errorf("revoked: %d", answer.Code)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			buffer := make([]byte, 1024)
			for {
				if _, err := stream.Body.Read(buffer); err != nil {
					return
				}
			}
		}()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("its stream goes on")
		}
	})
}

func TestDemotedMakersTokenIsDemoted(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		text, _ := makeToken(t, p.as("user@acme.example"), "deploy", "user")
		order := url.Values{"name": {"x-1"}, "template": {p.Template.Slug}, "instance_type": {p.Small.Slug}}
		if answer := p.program(text)(http.MethodPost, "/orgs/acme/machines", order); answer.Code != http.StatusSeeOther {
			t.Fatal(answer.Code)
		}
		if err := p.System.PutMember(t.Context(), p.Acme.ID, p.User("user@acme.example").ID, models.RoleAuditor); err != nil {
			t.Fatal(err)
		}
		order.Set("name", "x-2")
		if answer := p.program(text)(http.MethodPost, "/orgs/acme/machines", order); answer.Code != http.StatusForbidden {
			t.Errorf("after its maker's demotion: %d", answer.Code)
		}
		if page := p.as("user@acme.example").get("/account").Body.String(); !strings.Contains(page, "Auditor, made as User") {
			t.Error("the page does not say so")
		}
	})
}

func TestWrongTokensAreTooManyPerSource(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		text, _ := makeToken(t, p.as("user@acme.example"), "deploy", "user")
		wrong := text[:len(text)-1] + map[bool]string{true: "A", false: "B"}[!strings.HasSuffix(text, "A")]
		for i := range 50 {
			if answer := p.program(wrong)(http.MethodGet, "/orgs/acme/", nil); answer.Code != http.StatusUnauthorized {
				t.Fatalf("%d: %d", i, answer.Code)
			}
		}
		answer := p.program(wrong)(http.MethodGet, "/orgs/acme/", nil)
		if answer.Code != http.StatusTooManyRequests || answer.Header().Get("Retry-After") == "" {
			t.Errorf("the 51st: %d", answer.Code)
		}
		if answer := p.program(text)(http.MethodGet, "/orgs/acme/", nil); answer.Code != http.StatusOK {
			t.Errorf("a right one from there: %d", answer.Code)
		}
	})
}

// An org that is suspended has no programs either, and they are told why.
func TestSuspendedOrgsTokenOpensNothing(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		text, _ := makeToken(t, p.as("user@acme.example"), "deploy", "user")
		call := p.program(text)
		operator := p.as("operator@provider.example")
		suspend := func(what string) {
			t.Helper()
			if answer := operator.post("/provider/orgs/acme/"+what, nil); answer.Code != http.StatusSeeOther {
				t.Fatalf("%s: %d", what, answer.Code)
			}
		}
		suspend("suspend")
		order := url.Values{"name": {"x-1"}, "template": {p.Template.Slug}, "instance_type": {p.Small.Slug}}
		for path, form := range map[string]url.Values{"/orgs/acme/": nil, "/orgs/acme/machines": nil, "/orgs/acme/events": nil, "/orgs/acme/machines?": order} {
			method := http.MethodGet
			if form != nil {
				method = http.MethodPost
			}
			answer := call(method, path, form, "Accept", "application/json")
			if answer.Code != http.StatusForbidden || !strings.Contains(answer.Body.String(), "suspended by the provider") {
				t.Errorf("%s %s: %d %s", method, path, answer.Code, answer.Body)
			}
		}
		if answer := call(http.MethodGet, "/orgs/globex/", nil); answer.Code != http.StatusNotFound {
			t.Errorf("another org: %d", answer.Code)
		}
		suspend("resume")
		if answer := call(http.MethodGet, "/orgs/acme/", nil); answer.Code != http.StatusOK {
			t.Errorf("resumed: %d", answer.Code)
		}
	})
}
