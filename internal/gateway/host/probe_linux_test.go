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
	a.echo(53)
	mute := r.machine(0, "10.0.0.7") // its own firewall drops all but what it lets through
	r.must(mute.drop())
	r.orgs[0].Services = []edge.Service{service("tcp-a", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
	r.start()
	r.want()
	asks := func(status int) *edge.Monitor { return &edge.Monitor{Kind: "http", Path: "/", Status: status} }
	r.orgs[0].Probes = []edge.Probe{
		{ID: "p-tcp", Address: a.address, Port: 80},
		{ID: "p-http", Address: a.address, Port: 80, Protocol: edge.ProtocolHTTP, Monitor: asks(0)},
		{ID: "p-status", Address: a.address, Port: 80, Protocol: edge.ProtocolHTTP, Monitor: asks(404)},
		{ID: "p-closed", Address: a.address, Port: 81},
		{ID: "p-udp", Address: a.address, Port: 53, Protocol: edge.ProtocolUDP},
		{ID: "p-udp-mute", Address: mute.address, Port: 53, Protocol: edge.ProtocolUDP},
		{ID: "p-udp-off", Address: "10.0.0.99", Port: 53, Protocol: edge.ProtocolUDP},
		{ID: "p-host", Address: a.address, Port: 80, Protocol: edge.ProtocolHTTP, Monitor: &edge.Monitor{Kind: "http", Path: "/called/203.0.113.11", Status: 200}, Host: "203.0.113.11"},
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
		"p-closed": {false, "connection refused"}, "p-udp-closed": {false, "nobody listens"}, "p-udp": {true, "machine is there"},
		"p-udp-mute": {true, "machine is there"}, "p-udp-off": {false, "no machine answers"}, "p-host": {true, "answered in"}, "p-elsewhere": {false, ""},
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

// Whoever asks a node over HTTP calls it by the service's public address:
// HAProxy's check, the agent's of a UDP service, and a probe (above).
func TestHealthChecksCallTheServiceByItsAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	web, dns := service("web", 1, edge.ProtocolTCP, "203.0.113.11", 8080, a), service("dns", 2, edge.ProtocolUDP, "203.0.113.11", 5353, a)
	for _, s := range []*edge.Service{&web, &dns} {
		s.Nodes[0].Port = 80
		s.Monitor = &edge.Monitor{Kind: "http", Path: "/called/203.0.113.11", Status: 200}
	}
	r.orgs[0].Services = []edge.Service{web, dns}
	r.start()
	r.want()
	for _, wrong := range []bool{false, true} {
		state := edge.NodeUp
		if wrong {
			state = edge.NodeDown
			for i := range r.orgs[0].Services {
				m := *r.orgs[0].Services[i].Monitor
				m.Path = "/called/10.0.0.5"
				r.orgs[0].Services[i].Monitor = &m
			}
			r.want()
		}
		r.status(func(s edge.Status) bool {
			count := 0
			for _, service := range orgOf(s, r.orgs[0].ID).Services {
				for _, n := range service.Nodes {
					if n.State == state {
						count++
					}
				}
			}
			return count == 2
		})
	}
}
