package host

import (
	"net"
	"strings"
	"testing"
	"time"

	"io"

	"github.com/millwright/millwright/internal/edge"
)

// UDP reaches live nodes only, by the client's own address; a removed node
// gets nothing more, not even from who spoke with it.
func TestUDPReachesLiveNodesOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
	stopA := a.echo(53)
	b.echo(53)
	s := service("dns", 7, edge.ProtocolUDP, "203.0.113.11", 5353, a, b)
	for i := range s.Nodes {
		s.Nodes[i].Port = 53
	}
	r.orgs[0].Services = []edge.Service{s}
	r.start()
	r.want()
	seen := map[string]int{}
	for range 20 {
		text, err := ask(r.inet, clientOne, "203.0.113.11:5353")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text, " "+clientOne+":") {
			t.Errorf("the node sees %q", text)
		}
		seen[text[:3]]++
	}
	if seen[a.name] == 0 || seen[b.name] == 0 {
		t.Errorf("round robin gave %v", seen)
	}
	// Hairpin.
	if text, err := ask(a.ns, "", "203.0.113.11:5353"); err != nil || text == "" {
		t.Errorf("a machine asks its own org's service: %q %v", text, err)
	}

	// By source: the same node every time, and one connection that lasts.
	r.orgs[0].Services[0].Balancing = edge.BalanceSource
	r.want()
	first, err := ask(r.inet, clientOne, "203.0.113.11:5353")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if text, err := ask(r.inet, clientOne, "203.0.113.11:5353"); err != nil || text[:3] != first[:3] {
			t.Errorf("by source: %q then %q %v", first, text, err)
		}
	}
	r.orgs[0].Services[0].Balancing = edge.BalanceRound
	r.want()

	// Nobody listens on A any more: the gateway notices and leaves it out.
	talk := talkWith(t, r, a.name)
	stopA()
	r.status(func(s edge.Status) bool {
		n := nodeOf(s, r.orgs[0].ID, "dns", "dns-0")
		return n.State == edge.NodeDown && n.Reason != ""
	})
	for range 10 {
		if text, err := ask(r.inet, clientOne, "203.0.113.11:5353"); err != nil || text[:3] != b.name {
			t.Errorf("with a dead node: %q %v", text, err)
		}
	}
	// Who spoke with the dead one is swept to a live one.
	if text := say(talk); text[:min(3, len(text))] != b.name {
		t.Errorf("who spoke with the dead node hears %q", text)
	}
	talk.Close()

	// B is taken out while A is back: the sweep moves B's clients at once.
	a.echo(53)
	r.status(func(s edge.Status) bool { return nodeOf(s, r.orgs[0].ID, "dns", "dns-0").State == edge.NodeUp })
	talk = talkWith(t, r, b.name)
	defer talk.Close()
	r.orgs[0].Services[0].Nodes = r.orgs[0].Services[0].Nodes[:1]
	r.want()
	if text := say(talk); text[:min(3, len(text))] != a.name {
		t.Errorf("who spoke with the removed node hears %q", text)
	}
	// Numbers.
	r.status(func(s edge.Status) bool {
		v := serviceOf(s, r.orgs[0].ID, "dns")
		return v.Total > 40 && v.BytesIn > 40*30 && v.BytesOut > 40*30 && v.Open > 0
	})
	// The service is gone: its open conversation too.
	r.orgs[0].Services = nil
	r.want()
	if text := say(talk); text != "" {
		t.Errorf("a removed service still says %q", text)
	}
}

// talkWith opens a conversation that is with the named node.
func talkWith(t *testing.T, r *rig, name string) net.Conn {
	t.Helper()
	for range 20 {
		c, err := dial(r.inet, clientOne, "udp", "203.0.113.11:5353")
		if err != nil {
			t.Fatal(err)
		}
		if text := say(c); strings.HasPrefix(text, name) {
			return c
		}
		c.Close()
	}
	t.Fatalf("no conversation with %s", name)
	return nil
}

func say(c net.Conn) string {
	b := make([]byte, 100)
	for range 2 { // a datagram may be lost to the moment of a change
		_ = c.SetDeadline(time.Now().Add(700 * time.Millisecond))
		if _, err := io.WriteString(c, "hello"); err != nil {
			continue
		}
		if n, err := c.Read(b); err == nil {
			return string(b[:n])
		}
	}
	return ""
}
