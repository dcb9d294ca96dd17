package edge_test

import (
	"net/netip"
	"testing"

	"github.com/millwright/millwright/internal/edge"
)

func TestVerdictIsTheFirstRulesThenTheServices(t *testing.T) {
	t.Parallel()
	org := edge.Org{
		Outbound: "198.51.100.1",
		Services: []edge.Service{
			{ID: "web", PublicIP: "198.51.100.1", Protocol: edge.ProtocolHTTP, Port: 80, Enabled: true, Sources: []string{"0.0.0.0/0"},
				Nodes: []edge.Node{{Address: "10.0.0.10"}, {Address: "10.0.0.11"}}},
			{ID: "ssh", PublicIP: "198.51.100.1", Protocol: edge.ProtocolTCP, Port: 22, Enabled: true, Sources: []string{"203.0.113.0/24"},
				Nodes: []edge.Node{{Address: "10.0.0.12"}}},
			{ID: "off", PublicIP: "198.51.100.1", Protocol: edge.ProtocolTCP, Port: 8080, Sources: []string{"0.0.0.0/0"}},
			{ID: "dns", PublicIP: "198.51.100.1", Protocol: edge.ProtocolUDP, Port: 53, Enabled: true, Sources: []string{"0.0.0.0/0"}},
			{ID: "nobody", PublicIP: "198.51.100.1", Protocol: edge.ProtocolTCP, Port: 81, Enabled: true},
		},
		Networks: []edge.Network{{CIDR: "10.0.0.0/24"}},
		VPN:      &edge.VPN{PublicIP: "198.51.100.1", Port: 51820, CIDR: "10.99.0.0/24"},
		Firewall: []edge.Rule{
			{ID: "1", Direction: "in", Protocol: "tcp", Source: "203.0.113.7", FirstPort: 22, LastPort: 22, Allow: true},
			{ID: "2", Direction: "in", Protocol: "any", Source: "203.0.113.0/29"},
			{ID: "3", Direction: "in", Protocol: "tcp", Destination: "10.0.0.11", Source: "192.0.2.0/24"},
			{ID: "4", Direction: "out", Protocol: "tcp", FirstPort: 25, LastPort: 25},
			{ID: "5", Direction: "out", Protocol: "any", Source: "10.0.0.10/32", Destination: "192.0.2.0/24"},
			{ID: "6", Direction: "in", Protocol: "icmp", Source: "198.51.100.0/24", Allow: true},
			{ID: "7", Direction: "in", Protocol: "any", Source: "not an address"},
			{ID: "8", Direction: "in", Protocol: "any", Source: "10.0.0.0/8"},
		},
	}
	for name, c := range map[string]struct {
		direction, source, destination, protocol string
		port                                     int
		want                                     edge.Verdict
	}{
		"a service opens its own port":        {"in", "1.2.3.4", "198.51.100.1", "tcp", 80, edge.Verdict{Pass: true, Ground: edge.ByService, Service: "web"}},
		"a deny before it wins":               {"in", "203.0.113.1", "198.51.100.1", "tcp", 80, edge.Verdict{Ground: edge.ByRule, Rule: "2", Service: "web"}},
		"an allow before the deny spares":     {"in", "203.0.113.7", "198.51.100.1", "tcp", 22, edge.Verdict{Pass: true, Ground: edge.ByRule, Rule: "1", Service: "ssh"}},
		"but only at its port":                {"in", "203.0.113.7", "198.51.100.1", "tcp", 80, edge.Verdict{Ground: edge.ByRule, Rule: "2", Service: "web"}},
		"a source that isn't listed":          {"in", "1.2.3.4", "198.51.100.1", "tcp", 22, edge.Verdict{Ground: edge.BySources, Service: "ssh"}},
		"no sources let nobody":               {"in", "1.2.3.4", "198.51.100.1", "tcp", 81, edge.Verdict{Ground: edge.BySources, Service: "nobody"}},
		"a rule on a node's machine":          {"in", "192.0.2.1", "198.51.100.1", "tcp", 80, edge.Verdict{Ground: edge.ByRule, Rule: "3", Service: "web"}},
		"and not on another's":                {"in", "192.0.2.1", "198.51.100.1", "tcp", 8080, edge.Verdict{Ground: edge.ByDisabled, Service: "off"}},
		"nothing listens":                     {"in", "1.2.3.4", "198.51.100.1", "tcp", 443, edge.Verdict{Ground: edge.ByDefault}},
		"another address":                     {"in", "1.2.3.4", "198.51.100.2", "tcp", 80, edge.Verdict{Ground: edge.ByDefault}},
		"UDP is not TCP":                      {"in", "1.2.3.4", "198.51.100.1", "tcp", 53, edge.Verdict{Ground: edge.ByDefault}},
		"UDP":                                 {"in", "1.2.3.4", "198.51.100.1", "udp", 53, edge.Verdict{Pass: true, Ground: edge.ByService, Service: "dns"}},
		"the VPN's port":                      {"in", "1.2.3.4", "198.51.100.1", "udp", 51820, edge.Verdict{Pass: true, Ground: edge.ByVPN}},
		"a deny closes the VPN too":           {"in", "203.0.113.2", "198.51.100.1", "udp", 51820, edge.Verdict{Ground: edge.ByRule, Rule: "2"}},
		"an echo where a rule lets it":        {"in", "198.51.100.9", "198.51.100.1", "icmp", 0, edge.Verdict{Pass: true, Ground: edge.ByRule, Rule: "6"}},
		"no echo otherwise":                   {"in", "1.2.3.4", "198.51.100.1", "icmp", 0, edge.Verdict{Ground: edge.ByDefault}},
		"own machines pass rules and sources": {"in", "10.0.0.10", "198.51.100.1", "tcp", 22, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "ssh"}},
		"own devices too":                     {"in", "10.99.0.2", "198.51.100.1", "tcp", 81, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "nobody"}},
		"and asked about as going out":        {"out", "10.0.0.10", "198.51.100.1", "tcp", 22, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "ssh"}},
		"not into what is off":                {"in", "10.0.0.10", "198.51.100.1", "tcp", 8080, edge.Verdict{Ground: edge.ByDisabled, Service: "off"}},
		"nor where nothing listens":           {"in", "10.0.0.10", "198.51.100.1", "tcp", 443, edge.Verdict{Ground: edge.ByDefault}},
		"another's private address isn't own": {"in", "10.1.0.10", "198.51.100.1", "tcp", 22, edge.Verdict{Ground: edge.ByRule, Rule: "8", Service: "ssh"}},
		"out by default":                      {"out", "10.0.0.10", "1.1.1.1", "tcp", 443, edge.Verdict{Pass: true, Ground: edge.ByDefault}},
		"out denied by port":                  {"out", "10.0.0.10", "1.1.1.1", "tcp", 25, edge.Verdict{Ground: edge.ByRule, Rule: "4"}},
		"out denied by destination":           {"out", "10.0.0.10", "192.0.2.9", "udp", 53, edge.Verdict{Ground: edge.ByRule, Rule: "5"}},
		"out of another machine, not asked":   {"out", "10.0.0.11", "192.0.2.9", "udp", 53, edge.Verdict{Pass: true, Ground: edge.ByDefault}},
	} {
		got := org.Judge(edge.Flow{Direction: c.direction, Source: netip.MustParseAddr(c.source),
			Destination: netip.MustParseAddr(c.destination), Protocol: c.protocol, Port: c.port})
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	org.Outbound = ""
	if v := org.Judge(edge.Flow{Direction: "out", Source: netip.MustParseAddr("10.0.0.10"), Destination: netip.MustParseAddr("1.1.1.1"), Protocol: "tcp", Port: 443}); v.Pass || v.Ground != edge.ByNoExit {
		t.Errorf("without a public address: %+v", v)
	}
}
