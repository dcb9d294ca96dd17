package gateway

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/edge"
)

func sound() edge.Org {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	return edge.Org{ID: "org", Key: "abc", Generation: 7, Outbound: "203.0.113.1",
		Networks: []edge.Network{{ID: "net", Number: 1, Cloud: "east", VLAN: 5, CIDR: "10.0.0.0/24", Gateway: "10.0.0.1"}},
		Services: []edge.Service{{ID: "svc", Mark: 1, PublicIP: "203.0.113.2", Protocol: "tcp", Port: 80, Enabled: true, Balancing: edge.BalanceRound, Sources: []string{"0.0.0.0/0"},
			Nodes: []edge.Node{{ID: "node", Address: "10.0.0.5", Port: 80, Enabled: true}}}},
		Firewall: []edge.Rule{{ID: "rule", Direction: "in", Protocol: "tcp", FirstPort: 22, LastPort: 22}},
		VPN: &edge.VPN{ID: "vpn", PublicIP: "203.0.113.2", Port: 51820, PrivateKey: key, CIDR: "10.9.0.0/24", Address: "10.9.0.1",
			Peers: []edge.Peer{{ID: "peer", PublicKey: key, Address: "10.9.0.2"}}},
		Probes: []edge.Probe{{ID: "probe", Address: "10.0.0.5", Port: 80}},
	}
}

func nobody(string) (edge.Org, bool) { return edge.Org{}, false }

func TestEachObjectIsJudgedByItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*edge.Org)
		blame string // id, or "org"
		words string
	}{
		"nothing":                    {func(*edge.Org) {}, "", ""},
		"text in the key":            {func(o *edge.Org) { o.Key = "a; drop" }, "org", "a-z"},
		"text in an address":         {func(o *edge.Org) { o.Services[0].PublicIP = "203.0.113.2; }" }, "svc", "IPv4"},
		"text in a path":             {func(o *edge.Org) { o.Services[0].Monitor = &edge.Monitor{Kind: "http", Path: "/a\nbind :1"} }, "svc", "path"},
		"a quote in a path":          {func(o *edge.Org) { o.Services[0].Monitor = &edge.Monitor{Kind: "http", Path: `/"`} }, "svc", "path"},
		"text as a protocol":         {func(o *edge.Org) { o.Services[0].Protocol = "tcp accept" }, "svc", "protocol"},
		"text in an id":              {func(o *edge.Org) { o.Services[0].ID = "x\naccept" }, "x\naccept", "id"},
		"text as a source":           {func(o *edge.Org) { o.Services[0].Sources = []string{"0.0.0.0/0 } accept"} }, "svc", "network"},
		"IPv6":                       {func(o *edge.Org) { o.Services[0].PublicIP = "2001:db8::1" }, "svc", "IPv4"},
		"loopback":                   {func(o *edge.Org) { o.Services[0].PublicIP = "127.0.0.1" }, "svc", "public"},
		"a mark beyond":              {func(o *edge.Org) { o.Services[0].Mark = 65536 }, "svc", "mark"},
		"a port beyond":              {func(o *edge.Org) { o.Services[0].Port = 0 }, "svc", "port"},
		"the VPN's port":             {func(o *edge.Org) { o.Services[0].Protocol, o.Services[0].Port = "udp", 51820 }, "svc", "taken"},
		"the broadcast address":      {func(o *edge.Org) { o.Services[0].Nodes[0].Address = "10.0.0.255" }, "node", "machine"},
		"a device as a node":         {func(o *edge.Org) { o.Services[0].Nodes[0].Address = "10.9.0.2" }, "node", "machine"},
		"a network of link-locals":   {func(o *edge.Org) { o.Networks[0].CIDR, o.Networks[0].Gateway = "169.254.0.0/24", "169.254.0.1" }, "net", "169.254"},
		"a gateway elsewhere":        {func(o *edge.Org) { o.Networks[0].Gateway = "10.0.1.1" }, "net", "gateway"},
		"a public address inside":    {func(o *edge.Org) { o.Outbound = "10.0.0.9" }, "net", "public"},
		"a short key":                {func(o *edge.Org) { o.VPN.PrivateKey = "c2VjcmV0" }, "vpn", "private key"},
		"a device with text as key":  {func(o *edge.Org) { o.VPN.Peers[0].PublicKey = "x\nprivate_key=0" }, "peer", "public key"},
		"a device at the gateway":    {func(o *edge.Org) { o.VPN.Peers[0].Address = "10.9.0.1" }, "peer", "another"},
		"a probe elsewhere":          {func(o *edge.Org) { o.Probes[0].Address = "169.254.169.254" }, "probe", "machine"},
		"a rule of no protocol":      {func(o *edge.Org) { o.Firewall[0].Protocol = "gre" }, "rule", "protocol"},
		"a rule with ports reversed": {func(o *edge.Org) { o.Firewall[0].FirstPort, o.Firewall[0].LastPort = 9, 1 }, "rule", "range"},
	} {
		o := sound()
		c.spoil(&o)
		v := Validate(edge.Desired{Orgs: []edge.Org{o}}, Limits{}, nobody)[0]
		switch c.blame {
		case "":
			if v.Err != nil || len(v.Failed) > 0 {
				t.Errorf("%s: failed %v %v", name, v.Err, v.Failed)
			}
		case "org":
			if v.Err == nil || !strings.Contains(v.Err.Error(), c.words) {
				t.Errorf("%s: error %v", name, v.Err)
			}
		default:
			found := false
			for _, b := range v.Failed {
				found = found || b.ID == c.blame && strings.Contains(b.Text, c.words)
			}
			if !found {
				t.Errorf("%s: failed %v, want %s with %q", name, v.Failed, c.blame, c.words)
			}
		}
	}
}

// A deny that can't be read must not open what it closes.
func TestBadRuleKeepsTheFirewallAsItWas(t *testing.T) {
	t.Parallel()
	o := sound()
	o.Firewall = append([]edge.Rule{{ID: "bad", Direction: "in", Protocol: "tcp", Source: "nonsense"}}, o.Firewall...)
	v := Validate(edge.Desired{Orgs: []edge.Org{o}}, Limits{}, nobody)[0]
	if rules := v.Want.Org().Firewall; len(rules) != 2 || rules[0].Allow || rules[0].Protocol != "any" {
		t.Errorf("without a last good state: %+v", rules)
	}
	good := sound()
	v = Validate(edge.Desired{Orgs: []edge.Org{o}}, Limits{}, func(string) (edge.Org, bool) { return good, true })[0]
	if rules := v.Want.Org().Firewall; len(rules) != 1 || rules[0].ID != "rule" {
		t.Errorf("with one: %+v", rules)
	}
}

// Counters grow over reloads, reboots and crashes, and count nothing twice.
func TestLedgerCountsOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := OpenLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	epoch := l.Epoch()
	count := func(instance string, raw, want int64) {
		t.Helper()
		if got := l.Count("k", instance, raw); got != want {
			t.Errorf("%s at %d: sum %d, want %d", instance, raw, got, want)
		}
	}
	count("a", 10, 10)
	count("a", 15, 15)
	count("b", 7, 22) // began again
	if err := l.Write(); err != nil {
		t.Fatal(err)
	}
	count("b", 9, 24) // never written: a crash
	if l, err = OpenLedger(dir); err != nil {
		t.Fatal(err)
	}
	count("b", 12, 27) // the kernel went on counting
	count("b", 3, 30)  // set back by other hands
	if l.Epoch() != epoch {
		t.Error("another epoch without a loss")
	}
	l.Using("org", map[string]bool{"203.0.113.1": true, "203.0.113.2": true})
	l.Using("org", map[string]bool{"203.0.113.2": true})
	if got := fmt.Sprint(l.Released("org")); got != "[203.0.113.1]" {
		t.Errorf("released %s", got)
	}
	l.Using("org", map[string]bool{"203.0.113.1": true, "203.0.113.2": true})
	if got := l.Released("org"); len(got) != 0 {
		t.Errorf("used again, and released %v", got)
	}
}
