package bench

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/web"
)

// What stands before a handler: headers, limits, session, scope and
// permission. The route behind does nothing but redirect; the bare handler
// does the same without anything before it.
func BenchmarkMiddleware(b *testing.B) {
	const rounds = 3000
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			portal, cookie := signedInPortal(b, kind)
			bare := echo.New()
			bare.GET("/orgs/:org", func(c echo.Context) error { return c.Redirect(http.StatusSeeOther, "/orgs/"+c.Param("org")+"/") })
			for b.Loop() {
				var guarded, alone []time.Duration
				for range rounds { // in turns, so that a machine that drifts drifts for both
					guarded = append(guarded, once(b, portal, cookie))
					alone = append(alone, once(b, bare, cookie))
				}
				over := median(guarded) - median(alone)
				b.ReportMetric(micros(median(guarded)), "guarded-µs")
				b.ReportMetric(micros(median(alone)), "bare-µs")
				b.ReportMetric(micros(over), "middleware-µs")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// A sign-in, from the form sent to the cookie set, beside one hash of its
// password.
func BenchmarkSignIn(b *testing.B) {
	const rounds = 15
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			portal, _ := signedInPortal(b, kind)
			form := url.Values{"email": {"user@acme.example"}, "password": {"a password"}}.Encode()
			for b.Loop() {
				var signIn, hash []time.Duration
				for range rounds {
					r := httptest.NewRequest(http.MethodPost, "/sign-in", strings.NewReader(form))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					r.Header.Set("Sec-Fetch-Site", "same-origin")
					w := httptest.NewRecorder()
					start := time.Now()
					portal.ServeHTTP(w, r)
					signIn = append(signIn, time.Since(start))
					if w.Code != http.StatusSeeOther {
						b.Fatalf("sign-in: %d", w.Code)
					}
					start = time.Now()
					if _, err := identity.HashPassword("a password"); err != nil {
						b.Fatal(err)
					}
					hash = append(hash, time.Since(start))
				}
				b.ReportMetric(micros(median(signIn))/1000, "sign-in-ms")
				b.ReportMetric(micros(median(hash))/1000, "argon2id-ms")
				b.ReportMetric(float64(median(signIn))/float64(median(hash)), "sign-in÷argon2id")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// signedInPortal is a portal with two orgs, and the cookie of a user of one.
func signedInPortal(b *testing.B, kind string) (http.Handler, string) {
	b.Helper()
	db := map[string]func(testing.TB) *models.DB{"sqlite": testkit.SQLite, "postgres": testkit.Postgres}[kind](b)
	w := testkit.NewWorld(b, db)
	hash, err := identity.HashPassword("a password")
	if err == nil {
		err = db.System().SetPassword(context.Background(), w.User("user@acme.example").ID, hash)
	}
	if err != nil {
		b.Fatal(err)
	}
	server, err := web.New(web.Options{Logger: testkit.Quiet()}, db.System(), identity.New(db.System(), 2), handlers.Rooms{})
	if err != nil {
		b.Fatal(err)
	}
	site := httptest.NewServer(server.Handler())
	b.Cleanup(site.Close)
	visitor := testkit.NewVisitor(b, site.URL)
	visitor.SignIn(b, "user@acme.example", "a password")
	return server.Handler(), visitor.Cookies(b)
}

func once(b *testing.B, h http.Handler, cookie string) time.Duration {
	b.Helper()
	r := httptest.NewRequest(http.MethodGet, "/orgs/acme", nil)
	r.Header.Set("Cookie", cookie)
	w := httptest.NewRecorder()
	start := time.Now()
	h.ServeHTTP(w, r)
	took := time.Since(start)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/orgs/acme/" {
		b.Fatalf("%d to %s", w.Code, w.Header().Get("Location"))
	}
	return took
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
