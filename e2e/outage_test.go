package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
)

// watch asks for a page until its text is as wanted. Each answer has to come
// quickly, whatever vCenter does.
func watch(t *testing.T, v *testkit.Visitor, path, what string, met func(body string) bool) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		start := time.Now()
		a, err := v.Get(path)
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("%s: %d %v", path, a.Status, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %s", path, took)
		}
		if met(a.Body) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not %s in time: %s", path, what, text(a.Body))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

var tags = regexp.MustCompile(`(?s)<(script|style|svg)\b.*?</(script|style|svg)>|<[^>]*>|\s+`)

// text is what a page says, tags taken off, in short.
func text(body string) string {
	s := strings.Join(strings.Fields(tags.ReplaceAllString(body, " ")), " ")
	return s[:min(len(s), 1500)]
}

func is(want string) func(string) bool {
	return func(body string) bool {
		m := state.FindStringSubmatch(body)
		return m != nil && m[1] == want
	}
}

func order(t *testing.T, v *testkit.Visitor, name string) string {
	t.Helper()
	a, err := v.Post("/orgs/acme/machines", url.Values{"name": {name}, "template": {"debian-13"}, "instance_type": {"small"}})
	if err != nil || a.Status != http.StatusSeeOther {
		t.Fatalf("order %s: %d %v", name, a.Status, err)
	}
	return strings.TrimPrefix(a.Location, v.URL)
}

// vCenter hangs, then ends every session: an order is accepted all the same,
// waits and says so, and goes on by itself.
func TestOrderWaitsForAVCenterThatIsAway(t *testing.T) {
	t.Parallel()
	v := testkit.RunLabVCenter(t, "--name", "east", "--clone-delay", "100ms", "--guest-boot-delay", "100ms")
	s := testkit.NewSite(t, "sqlite://"+filepath.Join(t.TempDir(), "portal.db"), map[string]*testkit.LabVCenter{"east": v})
	visitor := s.Start()
	s.SetPassword("user@acme.example")
	visitor.SignIn(t, "user@acme.example", testkit.SitePassword)
	watch(t, visitor, order(t, visitor, "before"), "running", is("running"))

	v.Faults(t, lab.FaultRequest{Hang: "40s"})
	waiting := order(t, visitor, "during")
	watch(t, visitor, waiting, "waiting, in words", func(body string) bool {
		return is("building")(body) && strings.Contains(body, "does not answer")
	})
	watch(t, visitor, "/orgs/acme/machines", "quick", func(string) bool { return true })
	v.Faults(t, lab.FaultRequest{Clear: true, DropSessions: true})
	watch(t, visitor, waiting, "running", is("running"))

	// Sessions ended in the middle of work are made anew without a word.
	for i := range 3 {
		next := order(t, visitor, fmt.Sprintf("dropped-%d", i))
		v.Faults(t, lab.FaultRequest{DropSessions: true, DropConnections: true})
		watch(t, visitor, next, "running", is("running"))
	}
	if n := len(v.Machines(t)); n != 5 {
		t.Errorf("vCenter holds %d machines, want 5", n)
	}
}

// PostgreSQL drops every connection while orders are under way: pages answer
// 503 at worst, and every order ends as one machine.
func TestOrdersOutliveADatabaseRestart(t *testing.T) {
	t.Parallel()
	v := testkit.RunLabVCenter(t, "--name", "east", "--clone-delay", "300ms", "--guest-boot-delay", "100ms")
	database := testkit.PostgresURL(t)
	s := testkit.NewSite(t, database, map[string]*testkit.LabVCenter{"east": v})
	visitor := s.Start()
	s.SetPassword("user@acme.example")
	visitor.SignIn(t, "user@acme.example", testkit.SitePassword)
	admin, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var machines []string
	for i := range 6 {
		machines = append(machines, order(t, visitor, fmt.Sprintf("m-%d", i)))
		_, err := admin.ExecContext(context.Background(),
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		if err != nil {
			t.Fatal(err)
		}
		// The next page may be told 503; then all is well again.
		for range 50 {
			a, err := visitor.Get("/orgs/acme/machines")
			if err == nil && a.Status == http.StatusOK {
				break
			}
			if err != nil || a.Status != http.StatusServiceUnavailable {
				t.Fatalf("a page answers %d %v", a.Status, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	for _, m := range machines {
		watch(t, visitor, m, "running", is("running"))
	}
	if n := len(v.Machines(t)); n != len(machines) {
		t.Errorf("vCenter holds %d machines, want %d", n, len(machines))
	}
}
