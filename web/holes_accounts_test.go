package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// Whatever is wrong with a sign-in, the answer is the same, and so is the work:
// neither page, header nor time tells which accounts there are.
func TestHoleAccountsToldBySignIn(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		petra(t, p)
		gone := p.User("user@acme.example")
		execRaw(t, db, "UPDATE users SET disabled_at = created_at, password_hash = (SELECT password_hash FROM users WHERE email = 'petra@acme.example') WHERE id = '"+string(gone.ID)+"'")
		var first *httptest.ResponseRecorder
		for name, try := range map[string][2]string{
			"wrong password": {"petra@acme.example", "guess"}, "no such account": {"nobody@acme.example", "guess"}, "disabled": {"user@acme.example", "guess"},
			"disabled, right password": {"user@acme.example", "correct horse"}, "without a password": {"admin@acme.example", "guess"}, "no address": {"petra", "guess"},
		} {
			before := p.server.identity.Hashed()
			answer := signIn(p.anonymous(), try[0], try[1], "")
			if n := p.server.identity.Hashed() - before; n != 1 {
				t.Errorf("%s: %d passwords were compared", name, n)
			}
			body := strings.ReplaceAll(answer.Body.String(), try[0], "ADDRESS")
			switch {
			case answer.Code != http.StatusUnprocessableEntity || cookie(answer) != nil:
				t.Errorf("%s: %d", name, answer.Code)
			case first == nil:
				first = answer
				first.Body.Reset()
				first.Body.WriteString(body)
			case body != first.Body.String() || headerText(answer.Header()) != headerText(first.Header()):
				t.Errorf("%s: the answer differs", name)
			}
		}
	})
}

// A session that was planted, real, made up or half, is not the one that a
// sign-in gives.
func TestHoleSessionFixation(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	petra(t, p)
	seen := map[string]bool{}
	for name, planted := range map[string]string{
		"made up": strings.Repeat("A", 43), "short": "x", "somebody's": p.as("admin@acme.example").token, "header": "a; millwright=b",
	} {
		b := &browser{p: p, token: planted}
		answer := signIn(b, "petra@acme.example", "correct horse", "")
		fresh := cookie(answer)
		if fresh == nil || fresh.Value == planted || seen[fresh.Value] || !fresh.HttpOnly || fresh.SameSite != http.SameSiteLaxMode || fresh.Domain != "" {
			t.Fatalf("%s: %d %v", name, answer.Code, fresh)
		}
		seen[fresh.Value] = true
		if answer := b.get("/account"); answer.Code == http.StatusOK {
			t.Errorf("%s: the planted session is in", name)
		}
		// Nor by the address, or a form.
		if answer := p.anonymous().get("/account?millwright=" + url.QueryEscape(fresh.Value) + "&session=" + url.QueryEscape(fresh.Value)); answer.Code == http.StatusOK {
			t.Errorf("%s: a session in the address counts", name)
		}
	}
}

// After sign-out the cookie opens nothing, no page may be kept, and what was
// open ends.
func TestHoleLogoutThatLeavesSomething(t *testing.T) {
	t.Parallel()
	m := lite(t)
	p := m.p
	p.server.recheck = 20 * time.Millisecond
	site := httptest.NewServer(p.server.Handler())
	t.Cleanup(site.Close)
	b := p.as("admin@acme.example")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL+"/orgs/acme/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "millwright", Value: b.token})
	stream, err := http.DefaultClient.Do(r)
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatalf("stream: %v", err)
	}
	defer func() { _ = stream.Body.Close() }()
	out := b.post("/sign-out", nil)
	if c := cookie(out); out.Code != http.StatusSeeOther || c == nil || c.MaxAge >= 0 || out.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("sign-out: %d %v", out.Code, out.Header())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, 512)
		for {
			if _, err := stream.Body.Read(buffer); err != nil {
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the stream goes on")
	}
	for _, route := range p.server.routes {
		if route.door == doorAnyone {
			continue
		}
		path, _ := m.address(route.path, acmeAdmin, "own")
		answer := b.send(b.request(route.method, path, url.Values{}))
		toSignIn := answer.Code == http.StatusSeeOther && strings.HasPrefix(answer.Header().Get("Location"), "/sign-in")
		if !toSignIn && answer.Code != http.StatusUnauthorized {
			t.Errorf("%s %s with the old cookie: %d", route.method, path, answer.Code)
		}
		if answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s may be kept", route.method, path)
		}
	}
}

// Fields that a form doesn't have change nothing.
func TestHoleFieldsThatNoFormHas(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("user@acme.example")
		extra := func(form url.Values) url.Values {
			for name, value := range map[string]string{
				"org": "acme", "org_id": string(p.Globex.ID), "OrgID": string(p.Globex.ID), "owner_id": string(p.User("admin@acme.example").ID), "user_id": string(p.User("admin@acme.example").ID),
				"UserID": string(p.User("admin@acme.example").ID), "state": "running", "State": "running", "reserved": "false", "price": "0", "price_per_hour_micros": "0", "vcpus": "64", "VCPUs": "64",
				"memory_mib": "1", "disk_gib": "1", "id": "chosen-by-me", "ID": "chosen-by-me", "observed_address": "10.20.0.66", "cloud_id": string(p.Private.ID), "created_at": "2001-01-01",
				"token_hash": "abc", "expires_at": "2999-01-01", "provider_role": "operator", "ProviderRole": "operator", "email": "evil@evil.example", "disabled_at": "", "is_admin": "true",
			} {
				if !form.Has(name) {
					form.Set(name, value)
				}
			}
			return form
		}
		answer := b.post("/orgs/acme/machines", extra(url.Values{"name": {"web-1"}, "template": {p.Template.Slug}, "instance_type": {p.Small.Slug}, "cloud": {p.Public.Slug}}))
		if answer.Code != http.StatusSeeOther {
			t.Fatalf("order: %d", answer.Code)
		}
		id := models.MachineID(strings.TrimPrefix(answer.Header().Get("Location"), "/orgs/acme/machines/"))
		err := p.System.Look(t.Context(), p.Acme.ID, func(r *models.Reader) error {
			m, err := r.MachineRecord(id)
			if err == nil && (m.State != models.MachineBuilding || !m.Reserved || m.OwnerID != b.who.User.ID || m.VCPUs != p.Small.VCPUs || m.MemoryMiB != p.Small.MemoryMiB ||
				m.DiskGiB != p.Small.DiskGiB || m.PricePerHourMicros != p.Small.PricePerHourMicros || m.CloudID != p.Public.ID || m.ObservedAddress == "10.20.0.66" || m.ID == "chosen-by-me" || m.CreatedAt.Year() < 2020) {
				t.Errorf("ordered %+v", m)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		answer = b.post("/account/tokens", extra(url.Values{"name": {"deploy"}, "role": {"auditor"}}))
		if answer.Code != http.StatusOK {
			t.Fatalf("token: %d", answer.Code)
		}
		tokens, err := p.System.APITokens(t.Context(), b.who.User.ID)
		if err != nil || len(tokens) != 1 || tokens[0].OrgID != p.Acme.ID || tokens[0].Role != models.RoleAuditor || tokens[0].TokenHash == "abc" || tokens[0].ExpiresAt.Year() > 2900 {
			t.Errorf("tokens %+v (%v)", tokens, err)
		}
		for _, r := range p.server.routes { // whatever else it is put into, nobody has become more
			if r.method == http.MethodPost && r.door == doorSignedIn {
				fresh := p.as("user@acme.example")
				fresh.post(address(r.path, "acme", "x"), extra(url.Values{"role": {"admin"}}))
			}
		}
		u, err := p.System.UserByEmail(t.Context(), "user@acme.example")
		if err != nil || u.ProviderRole != "" || u.DisabledAt != nil || u.ID != b.who.User.ID {
			t.Errorf("%+v (%v)", u, err)
		}
		if scope := p.Scope(t, "user@acme.example", "acme"); scope.Role() != models.RoleUser {
			t.Errorf("the user is %s", scope.Role())
		}
		if answer := p.as("user@acme.example").get("/provider/"); answer.Code != http.StatusNotFound {
			t.Errorf("/provider/: %d", answer.Code)
		}
	})
}

// Nobody makes a token that may do more than they may, anywhere.
func TestHoleTokenStrongerThanItsMaker(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	strong := map[models.Role]int{models.RoleAuditor: 1, models.RoleUser: 2, models.RoleAdmin: 3}
	for _, maker := range []models.Role{models.RoleAuditor, models.RoleUser, models.RoleAdmin} {
		b := p.as(string(maker) + "@acme.example")
		for _, role := range []string{"auditor", "user", "admin", "operator", "provider_auditor", "", "ADMIN", "admin "} {
			made := b.post("/account/tokens", url.Values{"name": {"t-" + role}, "org": {"acme"}, "role": {role}}).Code == http.StatusOK
			known := strong[models.Role(strings.TrimSpace(role))]
			if may := known > 0 && known <= strong[maker]; made && !may {
				t.Errorf("%s made a token as %q", maker, role)
			}
		}
		for _, org := range []string{"globex", string(p.Globex.ID), "nosuchorg", ""} {
			if answer := b.post("/account/tokens", url.Values{"name": {"t"}, "org": {org}, "role": {"auditor"}}); answer.Code < 400 {
				t.Errorf("%s made a token in %q: %d", maker, org, answer.Code)
			}
		}
	}
}
