package render

import (
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/edge"
)

// A complaint about a line finds its object, whatever its id looks like, and a
// line that is nobody's finds none.
func TestLinesFindTheirObject(t *testing.T) {
	t.Parallel()
	ids := []string{"plain", "# end", "# object \"other\"", "a\n# end\nlisten svc_9", "\tlisten svc_2", "quote\"and\\slash", "ünïcode\u2028", ""}
	org := edge.Org{Key: "abc", Generation: 1, Outbound: "203.0.113.1", Networks: []edge.Network{{ID: "net", Number: 1, CIDR: "10.0.0.0/24", Gateway: "10.0.0.1"}}}
	for i, id := range ids {
		org.Services = append(org.Services,
			edge.Service{ID: id, Mark: 2*i + 1, PublicIP: "203.0.113.2", Protocol: edge.ProtocolTCP, Port: 100 + i, Enabled: true, Sources: []string{"0.0.0.0/0"},
				Nodes: []edge.Node{{ID: "n", Address: "10.0.0.5", Port: 80, Enabled: true}}},
			edge.Service{ID: id, Mark: 2*i + 2, PublicIP: "203.0.113.2", Protocol: edge.ProtocolUDP, Port: 100 + i, Enabled: true, Sources: []string{"0.0.0.0/0"},
				Nodes: []edge.Node{{ID: "n", Address: "10.0.0.5", Port: 80, Enabled: true}}})
	}
	proxy, rules := HAProxy(org, HAProxyOptions{Socket: "/s", StateFile: "/f", Chroot: "/c", MaxConn: 100}).Text, NFT(org, NFTOptions{Epoch: "E"}).Text
	find := func(text, line string) (string, bool) {
		t.Helper()
		for i, l := range strings.Split(text, "\n") {
			if l == line || line[0] == ' ' && strings.Contains(l, line[1:]) {
				return Object(text, i+1)
			}
		}
		t.Fatalf("no line with %q in\n%s", line, text)
		return "", false
	}
	for i, id := range ids {
		s := org.Services[2*i]
		if got, ok := find(proxy, "listen "+Proxy(s)); !ok || got != id {
			t.Errorf("HAProxy's %s is %q's, %v; want %q's", Proxy(s), got, ok, id)
		}
		if got, ok := ObjectOf(proxy, Proxy(s)); !ok || got != id {
			t.Errorf("%s is %q's, %v; want %q's", Proxy(s), got, ok, id)
		}
		if got, ok := find(rules, " ct mark "+strings.TrimPrefix(Proxy(org.Services[2*i+1]), "svc_")+" dnat"); !ok || got != id {
			t.Errorf("nftables' line is %q's, %v; want %q's", got, ok, id)
		}
	}
	for text, lines := range map[string][]string{
		proxy: {"global", " maxconn", "defaults", " retries 2"},
		rules: {" add table", " chain mw_classify", " chain mw_nodes", " chain mw_proxied", " socket transparent", " chain mw_source", " snat to"},
	} {
		for _, line := range lines {
			if got, ok := find(text, line); ok {
				t.Errorf("%q is blamed on %q", line, got)
			}
		}
	}
	for _, n := range []int{-1, 0, 1 << 20} {
		if got, ok := Object(proxy, n); ok {
			t.Errorf("line %d is blamed on %q", n, got)
		}
	}
	if got, ok := ObjectOf(proxy, "svc_99"); ok {
		t.Errorf("an unknown section is blamed on %q", got)
	}
}
