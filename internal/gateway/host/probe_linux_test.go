package host

import (
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/edge"
)

// A probe is tried once from inside its org, as the service would connect, and
// changes nothing that is applied.
func TestProbesAreTriedFromInsideTheOrg(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	b := r.machine(1, "10.0.0.6") // the other org's: there is none at this address in the first
	r.orgs[0].Services = []edge.Service{service("tcp-a", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
	r.start()
	r.want()
	asks := func(status int) *edge.Monitor { return &edge.Monitor{Kind: "http", Path: "/", Status: status} }
	r.orgs[0].Probes = []edge.Probe{
		{ID: "p-tcp", Address: a.address, Port: 80},
		{ID: "p-http", Address: a.address, Port: 80, Protocol: edge.ProtocolHTTP, Monitor: asks(0)},
		{ID: "p-status", Address: a.address, Port: 80, Protocol: edge.ProtocolHTTP, Monitor: asks(404)},
		{ID: "p-closed", Address: a.address, Port: 81},
		{ID: "p-udp-closed", Address: a.address, Port: 81, Protocol: edge.ProtocolUDP},
		{ID: "p-elsewhere", Address: b.address, Port: 80},
	}
	generation := r.orgs[0].Generation
	r.portal.set(r.orgs[:]...)
	s := r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Probes) == len(r.orgs[0].Probes) })
	if o := orgOf(s, r.orgs[0].ID); o.Applied != generation || o.Error != "" {
		t.Errorf("a probe changed what is applied: %+v", o)
	}
	want := map[string]struct {
		ok   bool
		text string
	}{
		"p-tcp": {true, "answered in"}, "p-http": {true, "answered in"}, "p-status": {false, "answered with status 200"},
		"p-closed": {false, "connection refused"}, "p-udp-closed": {false, "nobody listens"}, "p-elsewhere": {false, ""},
	}
	for _, p := range orgOf(s, r.orgs[0].ID).Probes {
		if w := want[p.ID]; p.OK != w.ok || !strings.Contains(p.Detail, w.text) || p.At.IsZero() {
			t.Errorf("%s: %v, %q; want %v, %q", p.ID, p.OK, p.Detail, w.ok, w.text)
		}
	}
	// Once answered, it is asked no more, and told no more.
	r.orgs[0].Probes = nil
	r.portal.set(r.orgs[:]...)
	r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Probes) == 0 })
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
}
