package identity_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// Whatever answers in the identity provider's place leads the portal nowhere
// else, fills no memory and keeps nobody waiting.
func TestFalseProviderLeadsNowhere(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	var asked atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(inside.Close)
	names := func(field, address string) http.HandlerFunc {
		return func(out http.ResponseWriter, r *http.Request) {
			self := "http://" + r.Host
			told := map[string]string{"authorization_endpoint": self + "/a", "token_endpoint": self + "/t", "jwks_uri": self + "/k"}
			told[field] = address
			_, _ = fmt.Fprintf(out, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"jwks_uri":%q,"userinfo_endpoint":%q,"end_session_endpoint":%q}`,
				self, told["authorization_endpoint"], told["token_endpoint"], told["jwks_uri"], told["userinfo_endpoint"], told["end_session_endpoint"])
		}
	}
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	noise := bytes.Repeat([]byte(" "), 64<<10)
	answers := map[string]http.HandlerFunc{
		"another host": func(out http.ResponseWriter, r *http.Request) {
			http.Redirect(out, r, inside.URL+"/latest/meta-data/", http.StatusTemporaryRedirect)
		},
		"a circle": func(out http.ResponseWriter, r *http.Request) { http.Redirect(out, r, r.URL.Path, http.StatusFound) },
		"an answer without end": func(out http.ResponseWriter, _ *http.Request) {
			for range 4096 { // 256 MiB
				if _, err := out.Write(noise); err != nil {
					return
				}
			}
		},
		"silence": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		},
		"a page":           func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write([]byte("<h1>It works</h1>")) },
		"keys in a file":   names("jwks_uri", "file:///etc/passwd"),
		"a gopher":         names("token_endpoint", "gopher://127.0.0.1:25/"),
		"a script":         names("authorization_endpoint", "javascript:alert(1)"),
		"no host":          names("userinfo_endpoint", "http:///me"),
		"a leaving script": names("end_session_endpoint", "data:text/html,x"),
		"another scheme":   names("token_endpoint", "https://127.0.0.1:1/"),
		"not of this issuer": func(out http.ResponseWriter, _ *http.Request) {
			_, _ = out.Write([]byte(`{"issuer":"https://elsewhere.example"}`))
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := httptest.NewServer(answer)
			t.Cleanup(provider.Close)
			s := identity.New(w.System, 1)
			s.UseSSO(identity.SSOOptions{Issuer: provider.URL, ClientID: "portal", ClientSecret: "secret", Label: "Example SSO", PublicURL: "https://portal.example"})
			began := time.Now()
			address, cookie, err := s.BeginSSO(t.Context(), "/", "")
			if models.CodeOf(err) != models.CodeDown || address != "" || cookie != "" {
				t.Errorf("leads to %q: %v", address, err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	t.Cleanup(func() {
		if n := asked.Load(); n != 0 {
			t.Errorf("the portal asked an inner host %d times", n)
		}
	})
}
