package host

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// A node that is drained while it is dead comes back drained, and one that is
// wanted again while it is dead comes back ready; neither is told as drift.
func TestDeadNodeComesBackAsItIsWanted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
	r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, a, b)}
	r.start()
	r.want()
	p := haproxy{ns: namespaceOf(r.orgs[0].Key), key: r.orgs[0].Key, socket: filepath.Join(r.sockets, r.orgs[0].Key+".sock")}
	drift := func(s edge.Status) {
		t.Helper()
		if d := orgOf(s, r.orgs[0].ID).Drift; len(d) > 0 {
			t.Errorf("told as drift: %+v", d)
		}
	}
	// until waits for what HAProxy itself says of the node, and asks the service
	// all the while.
	until := func(status, answers string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; {
			stats, err := p.stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			now := ""
			for at, s := range stats {
				if strings.Contains(at, "/") && strings.HasPrefix(s.status, status) && s.name != "BACKEND" && s.name != "FRONTEND" {
					now = at
				}
			}
			if answers != "" {
				r.passes(r.inet, clientOne, "http://203.0.113.11/", answers)
			}
			if now != "" {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("no node is %s: %+v", status, stats)
			}
		}
	}
	ticks := func() {
		t.Helper()
		n := -1 // the first is the one that is there
		r.status(func(s edge.Status) bool { drift(s); n++; return n == 3 })
	}
	dead := func(draining bool) {
		t.Helper()
		a.cut()
		until("DOWN", "")
		r.orgs[0].Services[0].Nodes[0].Draining = draining
		r.want()
		ticks()
		a.serve()
	}
	dead(true)
	until("DRAIN", b.name)
	ticks()
	r.passes(r.inet, clientOne, "http://203.0.113.11/", b.name)

	dead(false)
	r.status(func(s edge.Status) bool {
		drift(s)
		return nodeOf(s, r.orgs[0].ID, "web", fmt.Sprint("web-", 0)).State == edge.NodeUp
	})
	ticks()
	seen := map[string]bool{}
	for range 4 {
		seen[r.passes(r.inet, clientOne, "http://203.0.113.11/", "")[:3]] = true
	}
	if !seen[a.name] || !seen[b.name] {
		t.Errorf("only %v answer", seen)
	}
}
