package web

import (
	"context"
	"database/sql"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// A database that takes requests and answers none must not hold up the portal:
// pages say so within the time that people wait.
func TestHangingDatabaseIsToldInTime(t *testing.T) {
	t.Parallel()
	address := testkit.PostgresURL(t)
	p := newPortal(t, testkit.Open(t, address))
	p.server.patience = 500 * time.Millisecond
	user := p.as("user@acme.example")
	ctx := context.Background()
	admin, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	lock, err := admin.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.ExecContext(ctx, "LOCK TABLE machines, sessions IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for _, r := range []*http.Request{
			user.request(http.MethodGet, "/orgs/acme/machines", nil),
			user.request(http.MethodPost, "/orgs/acme/machines", url.Values{"name": {"web-1"}, "template": {p.Template.Slug}, "instance_type": {p.Small.Slug}}),
			user.request(http.MethodPost, "/sign-out", url.Values{}),
			user.request(http.MethodGet, "/orgs/acme/events", nil), // streams last, but not the way in
			user.request(http.MethodGet, "/console", nil),
		} {
			answer := user.send(r)
			if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
				t.Errorf("%s %s: %d", r.Method, r.URL.Path, answer.Code)
			}
			if body := answer.Body.String(); strings.Contains(body, "context") || strings.Contains(body, "SQL") {
				t.Errorf("the page tells internals: %s", body)
			}
		}
	}()
	select {
	case <-answered:
	case <-time.After(15 * time.Second):
		t.Error("requests hang with the database")
	}
	_ = lock.Rollback()
	<-answered
	if answer := user.get("/orgs/acme/machines"); answer.Code != http.StatusOK {
		t.Errorf("afterwards: %d", answer.Code)
	}
}

// A browser that didn't wait is no fault of the portal's.
func TestBrowserThatLeftIsNoError(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		user := p.as("user@acme.example")
		ctx, leave := context.WithCancel(context.Background())
		leave()
		for _, r := range []*http.Request{
			user.request(http.MethodGet, "/orgs/acme/machines", nil), user.request(http.MethodPost, "/sign-out", url.Values{}),
			user.request(http.MethodGet, "/orgs/acme/machines", nil, "HX-Request", "true"),
		} {
			if answer := user.send(r.WithContext(ctx)); answer.Code != statusClientGone {
				t.Errorf("%s %s: %d", r.Method, r.URL.Path, answer.Code)
			}
		}
	})
}
