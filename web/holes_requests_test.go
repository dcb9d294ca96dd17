package web

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// The classes of hole that this field is known for, each tried on every route
// of the table, so that a new one is tried by itself.

var acmeAdmin, operator = named("admin"), named("operator")

func named(name string) actor {
	for _, a := range actors {
		if a.name == name {
			return a
		}
	}
	panic(name)
}

// visitor is whose routes these are: the operator's, or an org admin's.
func visitor(r route) actor {
	if r.door == doorProvider {
		return operator
	}
	return acmeAdmin
}

// knock sends a request to a route's own thing.
func (m *matrix) knock(r route, a actor, form url.Values, change func(*http.Request)) *httptest.ResponseRecorder {
	m.p.t.Helper()
	path, ok := m.address(r.path, a, "own")
	if !ok {
		m.p.t.Fatalf("%s has no own address", r.path)
	}
	if m.entered[a.name] == nil {
		m.entered[a.name] = a.enter(m, a.email)
	}
	if r.method != http.MethodPost {
		form = nil
	} else if form == nil {
		form = url.Values{}
	}
	request := m.p.anonymous().request(r.method, path, form)
	m.entered[a.name](request)
	m.sources++
	request.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1234", m.sources>>16&255, m.sources>>8&255, m.sources&255)
	if change != nil {
		change(request)
	}
	answer := read(m.p.server.Handler(), request)
	if r.method == http.MethodPost && answer.Code < 400 {
		clear(m.ids)
		delete(m.entered, a.name)
	}
	return answer
}

// written counts the rows that were ever written on SQLite's one writer.
func (m *matrix) written() (n int) {
	m.p.t.Helper()
	if err := m.db.SQL().QueryRowContext(context.Background(), "SELECT total_changes()").Scan(&n); err != nil {
		m.p.t.Fatal(err)
	}
	return n
}

// toldOfSites counts what was tried by other sites' forms, and the events that
// tell of it.
func (m *matrix) toldOfSites() (tries, events int) {
	m.p.t.Helper()
	row := m.db.SQL().QueryRowContext(context.Background(), `SELECT COALESCE(SUM(tries), 0),
		(SELECT COUNT(*) FROM audit_events WHERE action = 'access.other_site') FROM audit_refusals`)
	if err := row.Scan(&tries, &events); err != nil {
		m.p.t.Fatal(err)
	}
	return tries, events
}

func lite(t testing.TB) *matrix { t.Helper(); return newMatrix(t, testkit.SQLiteURL(t)) }

func TestHoleForgedWriteFromAnotherSite(t *testing.T) {
	t.Parallel()
	m := lite(t)
	for _, r := range m.p.server.routes {
		if r.method != http.MethodPost {
			continue
		}
		m.knock(r, visitor(r), nil, func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") }) // makes what it needs
		for _, headers := range []map[string]string{
			{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
			{"Sec-Fetch-Site": "", "Origin": "null"}, {"Sec-Fetch-Site": "cross-site", "Origin": "http://example.com"},
			{"Sec-Fetch-Site": "cross-site", "X-Requested-With": "XMLHttpRequest", "HX-Request": "true"},
		} {
			before := m.written()
			tries, told := m.toldOfSites()
			answer := m.knock(r, visitor(r), maps.Clone(reach), func(q *http.Request) {
				for name, value := range headers {
					q.Header.Del(name)
					if value != "" {
						q.Header.Set(name, value)
					}
				}
			})
			// The refusal itself is counted, and told at once or, after many, by its
			// form's name; nothing else is written.
			triesNow, toldNow := m.toldOfSites()
			written := m.written() - before
			if answer.Code != http.StatusForbidden || triesNow-tries != 1 || written < 1+toldNow-told || written > 2 {
				t.Errorf("%s with %v: %d, %d counted, %d told, %d rows written", r.path, headers, answer.Code, triesNow-tries, toldNow-told, written)
			}
		}
	}
}

func TestHoleReadThatWritesOrMethodInDisguise(t *testing.T) {
	t.Parallel()
	m := lite(t)
	for _, r := range m.p.server.routes {
		if r.method != http.MethodPost {
			continue
		}
		path, _ := m.address(r.path, visitor(r), "own")
		for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
			b := m.p.anonymous()
			request := b.request(http.MethodGet, path+"?_method=POST&op=stop&confirm=m-1&method=POST", nil, header, "POST")
			if m.entered[visitor(r).name] == nil {
				m.entered[visitor(r).name] = visitor(r).enter(m, visitor(r).email)
			}
			m.entered[visitor(r).name](request)
			before := m.written()
			answer := read(m.p.server.Handler(), request)
			if m.written() != before || answer.Code >= 500 {
				t.Errorf("GET %s with %s: %d, and it wrote %d rows", path, header, answer.Code, m.written()-before)
			}
		}
	}
}

// elsewhere are ways to write another host that browsers follow.
var elsewhere = []string{
	"https://evil.example/", "//evil.example", "///evil.example", "////evil.example", `/\evil.example`, `\\evil.example`, `\/evil.example`, `/\/evil.example`,
	"/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "\t//evil.example", " //evil.example", "http:evil.example", "https:/evil.example", "/%2fevil.example", "/%5cevil.example",
	"/%09/evil.example", "//evil%2eexample", "https://example.com@evil.example", "//example.com@evil.example/", "/.//evil.example", "/..//evil.example",
	"javascript:alert(1)", "data:text/html,x", "http://example.com.evil.example/", "//[::1]@evil.example", "evil.example", "/%0d%0aLocation:%20https://evil.example", "/\x00/evil.example",
}

// leads is the host that a browser ends up at.
func leads(location string) string {
	location = strings.TrimLeft(location, " \t\r\n\x00")
	location = strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(location)
	base, _ := url.Parse("http://example.com/orgs/acme/")
	u, err := base.Parse(location)
	if err != nil {
		return "nowhere"
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return u.Scheme
	}
	return u.Host
}

func TestHoleRedirectToAnotherSite(t *testing.T) {
	t.Parallel()
	m := lite(t)
	for _, r := range m.p.server.routes {
		for _, target := range elsewhere {
			form := maps.Clone(reach)
			for _, name := range []string{"next", "return", "return_to", "redirect", "url", "back", "from"} {
				form.Set(name, target)
			}
			for _, a := range []actor{visitor(r), named("anonymous")} {
				answer := m.knock(r, a, form, func(q *http.Request) {
					q.Header.Set("Referer", strings.ReplaceAll(strings.ReplaceAll(target, "\n", ""), "\r", ""))
					q.URL.RawQuery = url.Values{"next": {target}, "return_to": {target}, "url": {target}}.Encode()
				})
				location := answer.Header().Get("Location")
				if location != "" && leads(location) != "example.com" {
					t.Errorf("%s %s as %s with %q leads to %s", r.method, r.path, a.name, target, location)
				}
				if refresh := answer.Header().Get("Refresh"); refresh != "" {
					t.Errorf("%s %s: Refresh %s", r.method, r.path, refresh)
				}
			}
		}
	}
	// After a sign-in that succeeds, too.
	petra(t, m.p)
	for _, target := range []string{"//evil.example", `/\evil.example`, "/\t/evil.example", "https://evil.example"} {
		if answer := signIn(m.p.anonymous(), "petra@acme.example", "correct horse", target); answer.Code != http.StatusSeeOther || leads(answer.Header().Get("Location")) != "example.com" {
			t.Errorf("sign-in with %q: %d to %s", target, answer.Code, answer.Header().Get("Location"))
		}
	}
}

// spoofed are headers that some proxy somewhere means seriously.
var spoofed = map[string]string{
	"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.7", "Forwarded": "for=203.0.113.7;host=evil.example;proto=https", "True-Client-IP": "203.0.113.7",
	"CF-Connecting-IP": "203.0.113.7", "X-Client-IP": "203.0.113.7", "X-Cluster-Client-IP": "203.0.113.7",
	"X-Forwarded-Host": "evil.example", "X-Host": "evil.example", "X-Original-Host": "evil.example", "X-Forwarded-Server": "evil.example",
	"X-Forwarded-Proto": "https", "X-Forwarded-Scheme": "https", "X-Forwarded-Ssl": "on", "Front-End-Https": "on", "X-Url-Scheme": "https",
	"X-Original-URL": "/provider/", "X-Rewrite-URL": "/provider/", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Uri": "/provider/",
	"X-Request-Id": "evil-request",
}

var identities = []string{"X-Remote-User", "Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Auth-Request-User",
	"X-Auth-Request-Email", "X-WebAuth-User", "X-User", "X-Email", "X-Authenticated-User", "X-Ssl-Client-S-Dn", "X-Amzn-Oidc-Identity", "Cf-Access-Authenticated-User-Email"}

func TestHoleIdentityFromAHeader(t *testing.T) {
	t.Parallel()
	m := lite(t)
	trusting := newPortalWith(t, testkit.SQLite(t), Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}})
	for _, r := range m.p.server.routes {
		plainly := m.knock(r, named("anonymous"), nil, nil)
		claimed := func(q *http.Request) {
			for _, name := range identities {
				q.Header.Set(name, "admin@acme.example")
			}
			q.Header.Set("X-Remote-Groups", "admin")
			q.SetBasicAuth("admin@acme.example", "x")
		}
		if answer := m.knock(r, named("anonymous"), nil, claimed); answer.Code != plainly.Code {
			t.Errorf("%s %s: %d, and with identity headers %d", r.method, r.path, plainly.Code, answer.Code)
		}
		if r.door == doorOrg { // not even a proxy is believed who somebody is
			path, _ := m.address(r.path, acmeAdmin, "own")
			q := trusting.anonymous().request(r.method, path, url.Values{})
			claimed(q)
			if answer := read(trusting.server.Handler(), q); answer.Code != http.StatusUnauthorized && answer.Code != http.StatusSeeOther {
				t.Errorf("%s %s behind a proxy: %d", r.method, r.path, answer.Code)
			}
		}
	}
}

func TestHoleForwardedHeadersOfStrangers(t *testing.T) {
	t.Parallel()
	m := lite(t)
	for _, r := range m.p.server.routes {
		if r.method == http.MethodPost { // its tellings are looked at below
			continue
		}
		a := visitor(r)
		answer := m.knock(r, a, nil, func(q *http.Request) {
			for name, value := range spoofed {
				q.Header.Set(name, value)
			}
			q.Host = "evil.example"
		})
		for name, values := range answer.Header() {
			if text := strings.Join(values, " "); strings.Contains(text, "evil") {
				t.Errorf("%s %s answers %s: %s", r.method, r.path, name, text)
			}
		}
		if strings.Contains(answer.Body.String(), "evil.example") || strings.Contains(answer.Body.String(), "/evil") {
			t.Errorf("%s %s: the page leads to another host", r.method, r.path)
		}
		if answer.Header().Get("Strict-Transport-Security") != "" {
			t.Errorf("%s %s: believed to come by TLS", r.method, r.path)
		}
	}
	// What the history and the throttle go by is the connection's other end.
	auditor := named("auditor")
	for _, r := range m.p.orgRoutes() {
		if r.method != http.MethodPost || models.RoleAuditor.May(r.permission) {
			continue
		}
		m.knock(r, auditor, nil, func(q *http.Request) {
			for name, value := range spoofed {
				q.Header.Set(name, value)
			}
		})
	}
	told := m.p.events(models.EventFilter{Action: models.ActionAccessRefused})
	if len(told) == 0 {
		t.Fatal("nothing was told")
	}
	for _, e := range told {
		if !strings.HasPrefix(e.Source, "10.") || strings.Contains(e.RequestID, "evil") {
			t.Errorf("the history believes %s, %s", e.Source, e.RequestID)
		}
	}
}

func TestHoleOversizedBodyOnEveryRoute(t *testing.T) {
	t.Parallel()
	m := lite(t)
	large := url.Values{"name": {strings.Repeat("a", bodyMaxBytes+1)}}
	for _, r := range m.p.server.routes {
		if r.method != http.MethodPost {
			continue
		}
		large := large
		if r.path == statusPath { // a gateway has more to say
			large = url.Values{"name": {strings.Repeat("a", statusMaxBytes+1)}}
		}
		if answer := m.knock(r, visitor(r), large, nil); answer.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: announced, %d", r.path, answer.Code)
		}
		before := m.written()
		answer := m.knock(r, visitor(r), large, func(q *http.Request) { q.ContentLength = -1 })
		// A route that reads no form does what it does without reading on.
		if answer.Code != http.StatusRequestEntityTooLarge && m.written() == before && answer.Code < 300 {
			t.Errorf("%s: not announced, %d", r.path, answer.Code)
		}
		if answer.Code >= 500 {
			t.Errorf("%s: %d", r.path, answer.Code)
		}
	}
}

func TestHolePathOutOfTheAssets(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	for _, path := range []string{
		"/static/../web/routes.go", "/static/../../etc/passwd", "/static/%2e%2e/library.go", "/static/..%2f..%2fgo.mod", "/static/..%5c..%5cgo.mod",
		"/static/%252e%252e/go.mod", "/static/....//go.mod", "/static/./../go.mod", "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/.git/config",
		"/static/", "/static/vendor/", "/static/css/", "/static/library.go", "/static/js/../library.go", "/static/%00", "/static/app.js%00.css",
	} {
		q := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
		u, err := url.Parse("http://example.com" + path)
		if err != nil {
			t.Fatal(err)
		}
		q.URL = u
		answer := p.anonymous().send(q)
		if body := answer.Body.String(); answer.Code < 300 || answer.Code >= 500 || strings.Contains(body, "package ") || strings.Contains(body, "module github") || strings.Contains(body, "root:") {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
}
