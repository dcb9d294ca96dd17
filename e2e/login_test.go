package e2e_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the owner's own connection

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// As docs/operate.md recommends: a login that owns nothing serves, takes an
// order and works on it, and sets passwords.
func TestPortalServesWithALoginThatOwnsNothing(t *testing.T) {
	t.Parallel()
	address := testkit.PostgresURL(t)
	owner, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close() }()
	for _, statement := range []string{"CREATE ROLE millwright_portal LOGIN", "GRANT " + models.AppRole + " TO millwright_portal"} {
		if _, err := owner.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("millwright_portal")
	v := testkit.RunLabVCenter(t, "--name", "east", "--guest-boot-delay", "50ms")
	s := testkit.NewSite(t, u.String(), map[string]*testkit.LabVCenter{"east": v})
	visitor := s.Start()
	s.SetPassword("user@acme.example")
	visitor.SignIn(t, "user@acme.example", testkit.SitePassword)
	a, err := visitor.Post("/orgs/acme/machines", url.Values{"name": {"web-1"}, "template": {"debian-13"}, "instance_type": {"small"}})
	if err != nil || a.Status != http.StatusSeeOther {
		t.Fatalf("order: %d %v", a.Status, err)
	}
	page := a.Location
	for deadline := time.Now().Add(time.Minute); ; {
		a, err := visitor.Get(strings.TrimPrefix(page, visitor.URL))
		if m := state.FindStringSubmatch(a.Body); err == nil && m != nil && m[1] == "running" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d %v", page, a.Status, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
