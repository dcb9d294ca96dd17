package identity_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func byTLS(r *http.Request) bool { return r.TLS != nil }

// browser signs in and returns the store and a maker of requests with the cookie.
func browser(t *testing.T, w *testkit.World) (*identity.Service, *identity.Store, func() *http.Request) {
	t.Helper()
	person(t, w, "petra@acme.example")
	service := identity.New(w.System, 0)
	store := identity.NewStore(service, byTLS)
	token, _, err := service.SignIn(context.Background(), attempt("petra@acme.example", "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	store.Begin(answer, httptest.NewRequest(http.MethodPost, "/sign-in", nil), token)
	return service, store, func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(answer.Result().Cookies()[0])
		return r
	}
}

func TestCookieIsOutOfReach(t *testing.T) {
	t.Parallel()
	store := identity.NewStore(nil, byTLS)
	for name, secure := range map[string]bool{"millwright": false, "__Host-millwright": true} {
		r := httptest.NewRequest(http.MethodPost, "/sign-in", nil)
		if secure {
			r.TLS = &tls.ConnectionState{}
		}
		answer := httptest.NewRecorder()
		store.Begin(answer, r, "token")
		c := answer.Result().Cookies()[0]
		if c.Name != name || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure != secure || c.Path != "/" || c.Domain != "" || c.MaxAge != 12*3600 {
			t.Errorf("cookie %+v", c)
		}
	}
}

func TestFlashIsShownOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		_, store, request := browser(t, testkit.NewWorld(t, db))
		if err := store.AddFlash(httptest.NewRecorder(), request(), identity.Flash{Tone: "good", Text: "Done."}); err != nil {
			t.Fatal(err)
		}
		first, err := store.TakeFlashes(httptest.NewRecorder(), request())
		if err != nil || len(first) != 1 || first[0] != (identity.Flash{Tone: "good", Text: "Done."}) {
			t.Fatalf("first page: %v, %v", first, err)
		}
		if second, err := store.TakeFlashes(httptest.NewRecorder(), request()); err != nil || len(second) != 0 {
			t.Errorf("second page: %v, %v", second, err)
		}
	})
}

func TestLateSaveDoesNotReviveARevokedSession(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		service, store, request := browser(t, testkit.NewWorld(t, db))
		slow := request()
		who, err := store.SignedIn(slow) // a request that is still being worked on …
		if err != nil {
			t.Fatal(err)
		}
		if err := service.SignOut(context.Background(), who); err != nil { // … while its user signs out
			t.Fatal(err)
		}
		if err := store.AddFlash(httptest.NewRecorder(), slow, identity.Flash{Tone: "good", Text: "Late."}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.SignedIn(request()); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("the session lives again: %v", err)
		}
	})
}

func TestForeignTokensAreNobody(t *testing.T) {
	t.Parallel()
	_, store, request := browser(t, testkit.NewWorld(t, testkit.SQLite(t)))
	known, err := request().Cookie("millwright")
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"", "x", strings.Repeat("A", 43), known.Value[:42], known.Value + "A", strings.ToLower(known.Value)} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(&http.Cookie{Name: "millwright", Value: token})
		if _, err := store.SignedIn(r); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("%q: %v", token, err)
		}
		if err := store.AddFlash(httptest.NewRecorder(), r, identity.Flash{Text: "x"}); err != nil {
			t.Errorf("flash for nobody: %v", err)
		}
	}
	// The plain cookie is not taken on a TLS connection: a neighbour could set it.
	r := request()
	r.TLS = &tls.ConnectionState{}
	if _, err := store.SignedIn(r); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("plain cookie over TLS: %v", err)
	}
}

// Whoever posts and never looks must not let the session grow.
func TestFlashesDoNotPileUp(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	service, store, request := browser(t, w)
	for i := range 50 {
		if err := store.AddFlash(httptest.NewRecorder(), request(), identity.Flash{Tone: "good", Text: strings.Repeat("x", i+1)}); err != nil {
			t.Fatal(err)
		}
	}
	who, err := service.Authenticate(context.Background(), store.Token(request()))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(who.Session.Data); n > 1000 {
		t.Errorf("the session has %d bytes", n)
	}
	flashes, err := store.TakeFlashes(httptest.NewRecorder(), request())
	if err != nil || len(flashes) == 0 || flashes[len(flashes)-1].Text != strings.Repeat("x", 50) {
		t.Errorf("the latest is not there: %d, %v", len(flashes), err)
	}
}
