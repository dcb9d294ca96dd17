package host

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// Drain keeps what is open and gives nothing new; disable ends it; neither
// needs a reload. Balancing by source keeps to one node.
func TestDrainDisableAndBalance(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
	r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, a, b), service("source", 2, edge.ProtocolTCP, "203.0.113.11", 81, a, b),
		service("least", 3, edge.ProtocolTCP, "203.0.113.11", 82, a, b)}
	r.orgs[0].Services[1].Balancing = edge.BalanceSource
	r.orgs[0].Services[2].Balancing = edge.BalanceLeast
	r.start()
	r.want()
	seen := map[string]int{}
	for range 10 {
		text, err := get(r.inet, clientOne, "http://203.0.113.11/")
		if err != nil {
			t.Fatal(err)
		}
		seen[text[:3]]++
	}
	if seen[a.name] != 5 || seen[b.name] != 5 {
		t.Errorf("round robin gave %v", seen)
	}
	first := r.passes(r.inet, clientOne, "http://203.0.113.11:81/", "a-")
	for range 5 {
		r.passes(r.inet, clientOne, "http://203.0.113.11:81/", first[:3])
	}
	hold := func(port string) (net.Conn, string) {
		c, err := dial(r.inet, clientOne, "tcp", "203.0.113.11:"+port)
		if err != nil {
			t.Fatal(err)
		}
		return c, askOn(t, c)
	}
	// Least connections: with one open each, the third goes where one closed.
	one, nameOne := hold("82")
	two, nameTwo := hold("82")
	defer two.Close()
	if nameOne == nameTwo {
		t.Errorf("least connections gave both to %s", nameOne)
	}
	one.Close()
	r.status(func(s edge.Status) bool { return serviceOf(s, r.orgs[0].ID, "least").Open == 1 })
	three, nameThree := hold("82")
	defer three.Close()
	if nameThree != nameOne {
		t.Errorf("least connections gave the third to %s, which has one", nameThree)
	}

	p := haproxy{ns: namespaceOf(r.orgs[0].Key), key: r.orgs[0].Key, socket: filepath.Join(r.sockets, r.orgs[0].Key+".sock")}
	before, _ := p.running(t.Context())
	kept, name := hold("80")
	defer kept.Close()
	i := 0
	if name == b.name {
		i = 1
	}
	other := []string{b.name, a.name}[i]
	r.orgs[0].Services[0].Nodes[i].Draining = true
	r.want()
	for range 4 {
		r.passes(r.inet, clientOne, "http://203.0.113.11/", other)
	}
	if again := askOn(t, kept); again != name {
		t.Errorf("what was open on the draining node answers %q", again)
	}
	r.status(func(s edge.Status) bool {
		return nodeOf(s, r.orgs[0].ID, "web", fmt.Sprint("web-", i)).State == edge.NodeDraining
	})
	r.orgs[0].Services[0].Nodes[i].Enabled = false
	r.want()
	_ = kept.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := kept.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection to a disabled node lives on: %v", err)
	}
	r.status(func(s edge.Status) bool {
		return nodeOf(s, r.orgs[0].ID, "web", fmt.Sprint("web-", i)).State == edge.NodeOff
	})
	r.orgs[0].Services[0].Nodes[i].Enabled, r.orgs[0].Services[0].Nodes[i].Draining = true, false
	r.want()
	r.status(func(s edge.Status) bool {
		return nodeOf(s, r.orgs[0].ID, "web", fmt.Sprint("web-", i)).State == edge.NodeUp
	})
	r.passes(r.inet, clientOne, "http://203.0.113.11/", "")
	if after, _ := p.running(t.Context()); after.pid != before.pid {
		t.Errorf("HAProxy was reloaded to switch a node")
	}
	// A service that is taken away ends what is open on it, and its address is
	// told as released.
	held, _ := hold("81")
	defer held.Close()
	r.orgs[0].Services = nil
	r.want()
	s := r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Released) > 0 })
	if got := orgOf(s, r.orgs[0].ID).Released; got[0] != "203.0.113.11" {
		t.Errorf("released %v", got)
	}
	r.refused(r.inet, clientOne, "tcp", "203.0.113.11:80")
}

// askOn asks over a connection that stays open, and returns the machine's name.
func askOn(t testing.TB, c net.Conn) string {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Error(err)
	}
	b := make([]byte, 1000)
	n, err := c.Read(b)
	if err != nil {
		t.Error(err)
	}
	_, body, _ := strings.Cut(string(b[:n]), "\r\n\r\n")
	name, _, _ := strings.Cut(body, " ")
	return name
}
