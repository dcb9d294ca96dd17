package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// People write an address in many ways, browsers an origin in one.
func TestPublicURLIsTakenAsBrowsersWriteIt(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"https://Portal.Example/":     "https://portal.example",
		"https://portal.example:443":  "https://portal.example",
		"http://portal.example:80/":   "http://portal.example",
		"https://portal.example:8443": "https://portal.example:8443",
		"HTTPS://portal.example":      "https://portal.example",
	} {
		o := Options{PublicURL: given}
		if got := o.Origins()(httptest.NewRequest(http.MethodGet, "/", nil)); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %v", given, got)
		}
	}
	p := newPortalWith(t, testkit.SQLite(t), Options{PublicURL: "https://Portal.Example:443/"})
	answer := p.anonymous().post("/sign-out", url.Values{}, "Origin", "https://portal.example", "Sec-Fetch-Site", "")
	if answer.Code != http.StatusSeeOther {
		t.Errorf("the portal's own page: %d", answer.Code)
	}
}

// Where people come by TLS the cookie is for TLS alone, even if nobody named
// the proxy that ends it.
func TestCookieIsSecureWhereThePortalIs(t *testing.T) {
	t.Parallel()
	p := newPortalWith(t, testkit.SQLite(t), Options{PublicURL: "https://portal.example"})
	answer := p.anonymous().post("/sign-out", url.Values{})
	cookies := answer.Result().Cookies()
	if len(cookies) != 1 || !cookies[0].Secure || cookies[0].Name != "__Host-millwright" {
		t.Errorf("cookies: %v", cookies)
	}
}
