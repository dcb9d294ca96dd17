package host

import (
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/edge"
)

// Of each UDP node connections and bytes are told, of two services that share
// one apart, and go on growing over a change, a lost table and another agent.
func TestUDPNodesTellTheirTraffic(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
	a.echo(53)
	b.echo(53)
	first, second := service("first", 7, edge.ProtocolUDP, "203.0.113.11", 5353, a, b), service("second", 8, edge.ProtocolUDP, "203.0.113.11", 5354, a)
	for _, s := range []edge.Service{first, second} {
		for i := range s.Nodes {
			s.Nodes[i].Port = 53
		}
	}
	r.orgs[0].Services = []edge.Service{first, second}
	r.start()
	r.want()
	talk := func(port string, times int) {
		t.Helper()
		for range times {
			if _, err := ask(r.inet, clientOne, "203.0.113.11:"+port); err != nil {
				t.Error(err)
			}
		}
	}
	// tells waits until the nodes' connections are as many; a datagram of five
	// bytes is 33 on the wire, and its answer is longer.
	tells := func(firstA, firstB, secondA int64) {
		t.Helper()
		r.status(func(s edge.Status) bool {
			for node, want := range map[*edge.NodeStatus]int64{
				new(nodeOf(s, r.orgs[0].ID, "first", "first-0")): firstA, new(nodeOf(s, r.orgs[0].ID, "first", "first-1")): firstB,
				new(nodeOf(s, r.orgs[0].ID, "second", "second-0")): secondA} {
				if node.Total != want || node.BytesIn != 33*want || node.BytesOut < 33*want || want == 0 && node.BytesOut != 0 {
					return false
				}
			}
			return true
		})
	}
	talk("5353", 6)
	tells(3, 3, 0)
	talk("5354", 4)
	tells(3, 3, 4)
	r.orgs[0].Services[0].Nodes = r.orgs[0].Services[0].Nodes[:1] // B goes
	r.want()
	talk("5353", 2)
	r.status(func(s edge.Status) bool { return nodeOf(s, r.orgs[0].ID, "first", "first-0").Total == 5 })
	ns := namespaceOf(r.orgs[0].Key)
	if _, err := ns.run(t.Context(), "", "nft", "delete", "table", "ip", "mw"); err != nil {
		t.Fatal(err)
	}
	r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Drift) > 0 })
	talk("5353", 2)
	r.status(func(s edge.Status) bool { return nodeOf(s, r.orgs[0].ID, "first", "first-0").Total == 7 })
	r.kill()
	talk("5353", 2)
	r.start()
	s := r.status(func(s edge.Status) bool { return nodeOf(s, r.orgs[0].ID, "first", "first-0").Total == 9 })
	v := serviceOf(s, r.orgs[0].ID, "first")
	if n := v.Nodes[0]; n.BytesIn != 9*33 || v.BytesIn != 12*33 || v.Total != 12 {
		t.Errorf("in the end the node tells %+v, the service %+v", n, v)
	}
}

// An agent that starts gives a node that was dead nothing until it answers.
func TestDeadUDPNodeStaysOutOverARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
	b.echo(53)
	stop := a.echo(53)
	s := service("dns", 7, edge.ProtocolUDP, "203.0.113.11", 5353, a, b)
	for i := range s.Nodes {
		s.Nodes[i].Port = 53
	}
	r.orgs[0].Services = []edge.Service{s}
	r.start()
	r.want()
	state := func(s edge.Status) string { return nodeOf(s, r.orgs[0].ID, "dns", "dns-0").State }
	r.status(func(s edge.Status) bool { return state(s) == edge.NodeUp })
	stop()
	r.status(func(s edge.Status) bool { return state(s) == edge.NodeDown })
	r.kill()
	r.portal.mu.Lock()
	r.portal.status = edge.Status{}
	r.portal.mu.Unlock()
	r.start()
	// From the first report on, and in each packet meanwhile.
	r.status(func(s edge.Status) bool {
		if text, err := ask(r.inet, clientOne, "203.0.113.11:5353"); err != nil || !strings.HasPrefix(text, b.name) {
			t.Errorf("beside the dead node: %q %v", text, err)
		}
		if got := state(s); got != "" && got != edge.NodeDown {
			t.Errorf("after the restart it is %s", got)
		}
		return state(s) != ""
	})
	rules, err := namespaceOf(r.orgs[0].Key).run(t.Context(), "", "nft", "list", "chain", "ip", "mw", "mw_nodes")
	if err != nil || strings.Contains(rules, a.address) {
		t.Errorf("the rules name the dead node: %v\n%s", err, rules)
	}
	a.echo(53)
	r.status(func(s edge.Status) bool { return state(s) == edge.NodeUp })
}
