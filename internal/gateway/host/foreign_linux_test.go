package host

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// Whatever other hands hook in beside the org's rules is found, told by its
// name, and taken away, so that verdicts are the org's; counters go on.
func TestForeignRulesAreTakenAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
	r.start()
	r.want()
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
	ns := namespaceOf(r.orgs[0].Key)
	before := r.standing(r.orgs[0].Key)
	for name, harm := range map[string]struct{ script, words string }{
		"another table that refuses": {"add table inet evil; add chain inet evil c { type filter hook prerouting priority -500; policy drop; }", `inet "evil"`},
		"a chain in our table that refuses": {"add chain ip mw hidden { type filter hook prerouting priority -400; policy drop; }; add rule ip mw hidden drop",
			`"hidden"`},
		"a chain that our rules are made to jump to": {"add chain ip mw back; add rule ip mw back accept; insert rule ip mw mw_input jump back", `"back"`},
		"another policy":       {"add chain ip mw mw_forward { policy accept; }", "rules were changed"},
		"ours hooked nowhere":  {"flush chain ip mw mw_screen; delete chain ip mw mw_screen; add chain ip mw mw_screen", `"mw_screen"`},
		"a table that lets in": {"add table ip drop2; add chain ip drop2 nat { type nat hook prerouting priority -101; }; add rule ip drop2 nat tcp dport 2222 dnat to 10.0.0.5:80", `ip "drop2"`},
	} {
		if out, err := ns.run(t.Context(), harm.script+"\n", "nft", "-f", "-"); err != nil {
			t.Fatal(name, out, err)
		}
		began := time.Now()
		s := r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Drift) > 0 })
		if took, text := time.Since(began), orgOf(s, r.orgs[0].ID).Drift[0].Text; took > 5*time.Second || !strings.Contains(text, harm.words) {
			t.Errorf("%s: after %s told as %q", name, took, text)
		}
		r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Drift) == 0 })
		if after := r.standing(r.orgs[0].Key); sortedLines(after) != sortedLines(before) {
			t.Errorf("%s: before:\n%s\nafter:\n%s", name, before, after)
		}
		r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
		r.refused(r.inet, clientOne, "tcp", "203.0.113.11:2222")
	}
	// What came while no agent looked.
	r.kill()
	if out, err := ns.run(t.Context(), "add table inet evil; add chain inet evil c { type filter hook prerouting priority -500; policy drop; }\n", "nft", "-f", "-"); err != nil {
		t.Fatal(out, err)
	}
	r.start()
	r.orgs[0].Generation++
	r.portal.set(r.orgs[:]...)
	r.applied()
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
	r.status(func(s edge.Status) bool { return serviceOf(s, r.orgs[0].ID, "web").Total == 8 })
}

// sortedLines compares what the kernel may list in another order, whatever the
// generation.
func sortedLines(text string) string {
	lines := map[string]int{}
	for line := range strings.Lines(text) {
		lines[line]++
	}
	return fmt.Sprint(lines)
}
