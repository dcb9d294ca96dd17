package host

import (
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/edge"
)

// Two orgs with the same private addresses: each service reaches its own
// machine, which sees who came.
func TestServicesReachTheirOwnOrgsMachines(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(1, "10.0.0.5")
	r.orgs[0].Services = []edge.Service{service("tcp-a", 1, edge.ProtocolTCP, "203.0.113.11", 80, a), service("http-a", 2, edge.ProtocolHTTP, "203.0.113.11", 8080, a)}
	r.orgs[1].Services = []edge.Service{service("tcp-b", 1, edge.ProtocolTCP, "203.0.113.21", 80, b)}
	r.start()
	r.want()
	if text := r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name); !strings.Contains(text, clientOne) {
		t.Errorf("the machine sees %q, not the client", text)
	}
	if text := r.passes(r.inet, clientTwo, "http://203.0.113.11:8080/", a.name); !strings.HasSuffix(text, clientTwo) {
		t.Errorf("the machine is told %q, not the client", text)
	}
	r.passes(r.inet, clientOne, "http://203.0.113.21/", b.name)

	// Outbound: a machine is seen to come from its org's address.
	outside := r.listen(r.inet, "tcp", clientOne+":9000")
	defer outside.Close()
	for i, m := range []*machine{a, b} {
		c, err := dial(m.ns, "", "tcp", clientOne+":9000")
		if err != nil {
			t.Fatal(err)
		}
		seen, err := outside.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if from := seen.RemoteAddr().String(); !strings.HasPrefix(from, r.orgs[i].Outbound+":") {
			t.Errorf("%s is seen to come from %s", m.name, from)
		}
		c.Close()
		seen.Close()
	}

	// Hairpin: machines reach their own org's service by its public address.
	r.passes(a.ns, "", "http://203.0.113.11/", a.name)
	other := r.machine(0, "10.0.0.6")
	r.passes(other.ns, "", "http://203.0.113.11/", a.name)
	r.passes(other.ns, "", "http://203.0.113.11:8080/", a.name)
}
