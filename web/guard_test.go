package web

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestEveryAnswerCarriesTheHeaders(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	ids, _ := p.ids()
	want := map[string]string{
		"Content-Security-Policy": contentPolicy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	}
	check := func(name string, answer *httptest.ResponseRecorder) {
		t.Helper()
		for header, value := range want {
			got := answer.Header().Get(header)
			if header == "Referrer-Policy" && got == "no-referrer" {
				continue // stricter: an address with a secret in it
			}
			if got != value {
				t.Errorf("%s: %s: %q", name, header, got)
			}
		}
		if answer.Header().Get("X-Request-Id") == "" || answer.Header().Get("Permissions-Policy") == "" {
			t.Errorf("%s: headers %v", name, answer.Header())
		}
		if !strings.Contains(name, "/static/") && answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control %q", name, answer.Header().Get("Cache-Control"))
		}
		if answer.Header().Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: HSTS on a plain connection", name)
		}
	}
	for _, b := range []*browser{p.anonymous(), p.as("auditor@acme.example")} {
		for _, r := range p.server.routes {
			if strings.HasSuffix(r.path, "/events") && b.token != "" {
				continue // TestStreamTellsWhichRowChanged reads it
			}
			path := address(r.path, "acme", ids[noun(r.path)])
			check(r.method+" "+path, b.send(b.request(r.method, path, url.Values{})))
		}
		check("GET /nothing", b.get("/nothing"))
		check("PUT /sign-in", b.send(b.request(http.MethodPut, "/sign-in", nil)))
	}
	r := p.anonymous().request(http.MethodGet, "/sign-in", nil)
	r.TLS = &tls.ConnectionState{}
	if p.anonymous().send(r).Header().Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS over TLS")
	}
}

func TestAnonymousIsSentToSignInAndBack(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.anonymous()
	answer := b.get("/orgs/acme/machines?q=web&sort=name")
	if answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/sign-in?next=%2Forgs%2Facme%2Fmachines%3Fq%3Dweb%26sort%3Dname" {
		t.Errorf("page: %d %s", answer.Code, answer.Header().Get("Location"))
	}
	if answer := b.get("/"); answer.Header().Get("Location") != "/sign-in" {
		t.Errorf("/: %s", answer.Header().Get("Location"))
	}
	for name, answer := range map[string]*httptest.ResponseRecorder{
		"part":   b.get("/orgs/acme/machines?part=list", "HX-Request", "true"),
		"post":   b.post("/orgs/acme/machines", url.Values{"name": {"x"}}),
		"events": b.get("/orgs/acme/events", "Accept", "text/event-stream"),
		"curl":   b.get("/orgs/acme/events", "Accept", "*/*"),
		"socket": b.get("/console", "Connection", "Upgrade", "Upgrade", "websocket", "Accept", "*/*"),
		"json":   b.get("/orgs/acme/machines", "Accept", "application/json"),
	} {
		if answer.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, answer.Code)
		}
	}
}

func TestForeignOriginCannotWrite(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	id := string(p.Machine(t, "web-1").ID)
	b := p.as("user@acme.example")
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"},
	} {
		for _, path := range []string{"/orgs/acme/machines/" + id + "/power", "/orgs/acme/machines", "/sign-in", "/sign-out"} {
			if answer := b.post(path, url.Values{"op": {"stop"}}, header...); answer.Code != http.StatusForbidden {
				t.Errorf("%s %v: %d", path, header, answer.Code)
			}
		}
	}
	if answer := b.post("/orgs/acme/machines/"+id+"/power", url.Values{"op": {"stop"}}, "Origin", "http://example.com"); answer.Code != http.StatusSeeOther {
		t.Errorf("own page: %d", answer.Code)
	}
}

func TestBrokenInputIsRefusedNotStored(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		ids, _ := p.ids()
		b := p.as("user@acme.example")
		for path, status := range map[string]int{
			"/orgs/acme/machines?q=%00":                         400,
			"/orgs/acme/machines?q=%ff%fe":                      400,
			"/orgs/acme/machines?q=%zz":                         400,
			"/orgs/acme/machines?sort=price":                    422,
			"/orgs/acme/machines?state=flying":                  422,
			"/orgs/acme/machines?after=nonsense":                422,
			"/orgs/acme/machines?q=" + strings.Repeat("a", 900): 422,
			"/orgs/acme/machines?limit=100000":                  422,
			"/orgs/acme/tasks?kind=magic":                       422,
			"/orgs/acme/history?from=yesterday":                 422,
			"/orgs/acme/history?action=x&outcome=y":             422,
			"/orgs/acme/machines/%00":                           404,
			"/orgs/acme/machines?q=%25_%5C%27%22&sort=name":     200,
			"/orgs/acme/history?q=%C3%BC&to=2026-01-31":         200,
		} {
			if answer := b.get(path); answer.Code != status {
				t.Errorf("%s: %d, want %d", path, answer.Code, status)
			}
		}
		order := url.Values{"name": {"a\x00b"}, "template": {"\xff"}, "instance_type": {"small"}}
		if answer := b.post("/orgs/acme/machines", order); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("order: %d", answer.Code)
		}
		if answer := b.post("/orgs/acme/machines/"+ids["machines"]+"/power", url.Values{"op": {"\x00"}}); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("power: %d", answer.Code)
		}
	})
}

func TestLargeBodyIsNotRead(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("user@acme.example")
	large := url.Values{"name": {strings.Repeat("a", 2<<20)}}
	if answer := b.post("/orgs/acme/machines", large); answer.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("announced: %d", answer.Code)
	}
	r := b.request(http.MethodPost, "/orgs/acme/machines", large)
	r.ContentLength = -1
	r.Body = io.NopCloser(r.Body)
	if answer := b.send(r); answer.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("not announced: %d", answer.Code)
	}
}

func TestPanicBecomesAPageWithoutInternals(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	group{server: p.server}.GET("/boom", p.server.Anyone(func(echo.Context) error { panic("secret of the house") }))
	answer := p.anonymous().get("/boom")
	if answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "secret") {
		t.Errorf("%d: %s", answer.Code, answer.Body)
	}
	if !strings.Contains(answer.Body.String(), answer.Header().Get("X-Request-Id")) {
		t.Error("the page has no reference to give to the provider")
	}
}

func TestForwardedHeadersCountFromTrustedProxiesAlone(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "10.0.0.9:1234"
	r.Header.Set("X-Forwarded-For", "203.0.113.5, 198.51.100.7")
	r.Header.Set("X-Forwarded-Proto", "https")
	for name, c := range map[string]struct {
		proxies         []netip.Prefix
		address, scheme string
	}{
		"none":          {nil, "10.0.0.9", "http"},
		"another":       {[]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, "10.0.0.9", "http"},
		"this one":      {[]netip.Prefix{netip.MustParsePrefix("10.0.0.9/32")}, "198.51.100.7", "https"},
		"both in front": {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("198.51.100.0/24")}, "203.0.113.5", "https"},
	} {
		if got := clientAddress(c.proxies)(r); got != c.address {
			t.Errorf("%s: address %s", name, got)
		}
		if got := clientScheme(c.proxies)(r); got != c.scheme {
			t.Errorf("%s: scheme %s", name, got)
		}
	}
}

func TestHealthNeedsNobody(t *testing.T) {
	t.Parallel()
	db := testkit.SQLite(t)
	p := newPortal(t, db)
	for _, path := range []string{"/healthz", "/readyz"} {
		if answer := p.anonymous().get(path); answer.Code != http.StatusOK {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if answer := p.anonymous().get("/readyz"); answer.Code != http.StatusServiceUnavailable {
		t.Errorf("/readyz without a database: %d", answer.Code)
	}
	if answer := p.anonymous().get("/healthz"); answer.Code != http.StatusOK {
		t.Errorf("/healthz without a database: %d", answer.Code)
	}
}
