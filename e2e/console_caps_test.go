package e2e_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// What the configuration's console section says is what is refused, each bound
// by its own sentence; what it leaves out stays as it was.
func TestConfiguredConsoleCapsAreKept(t *testing.T) {
	t.Parallel()
	v := testkit.RunLabVCenter(t, "--name", "east", "--clone-delay", "100ms", "--guest-boot-delay", "100ms")
	for name, c := range map[string]struct {
		console string
		open    int // consoles before the refusal, by one person on one machine
		tickets int // asked for besides
		says    string
	}{
		"person":  {"{open_per_user: 2}", 2, 0, "One person may have 2 consoles open at once"},
		"machine": {"{open_per_machine: 3}", 3, 0, "A machine may have 3 consoles open at once"},
		"host":    {"{open_per_host: 1}", 1, 0, "carries 1 console at once"},
		"rate":    {"{tickets_per_minute_per_machine: 8}", 1, 3, "faster than anybody can look at them"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testkit.NewSite(t, "sqlite://"+filepath.Join(t.TempDir(), "portal.db"), map[string]*testkit.LabVCenter{"east": v})
			s.Add("console: " + c.console + "\n")
			visitor := s.Start()
			s.SetPassword("user@acme.example")
			visitor.SignIn(t, "user@acme.example", testkit.SitePassword)
			page := order(t, visitor, "caps-"+name)
			watch(t, visitor, page, "running", is("running"))
			for range c.open {
				screenOf(t, visitor, page)
			}
			ticket := func() testkit.Answer {
				t.Helper()
				a, err := visitor.Post(page+"/console/ticket", map[string][]string{"mode": {"view"}})
				if err != nil {
					t.Fatal(err)
				}
				return a
			}
			for range c.tickets {
				if a := ticket(); a.Status != http.StatusOK {
					t.Fatalf("refused early: %d %s", a.Status, a.Body)
				}
			}
			if a := ticket(); a.Status != http.StatusTooManyRequests || !strings.Contains(a.Body, c.says) {
				t.Errorf("beyond the bound: %d %s, want 429 and %q", a.Status, text(a.Body), c.says)
			}
		})
	}
}
