package models

import "fmt"

// RefusalKind is of what sort a thing is that the gateway left out.
type RefusalKind string

const (
	RefusedOutbound RefusalKind = "outbound"
	RefusedNetwork  RefusalKind = "network"
	RefusedService  RefusalKind = "service"
	RefusedNode     RefusalKind = "node"
	RefusedRule     RefusalKind = "rule"
	RefusedVPN      RefusalKind = "vpn"
	RefusedDevice   RefusalKind = "device"
)

// Refusal is what the gateway left out, by the name that people know it by.
type Refusal struct {
	Kind    RefusalKind
	Name    string
	Text    string // why
	Network NetworkID
	Service ServiceID // of a node: its service
	Rule    RuleID
}

// Refusals lists what the gateway left out of what there is: blame of what is
// gone since is nobody's. Devices aren't named, because not everybody who sees
// the network may see whose they are.
func (st *NetworkState) Refusals() []Refusal {
	why := map[string]string{}
	for _, b := range st.Gateway.Blames() {
		why[b.ID] = b.Text
	}
	var list []Refusal
	add := func(id string, r Refusal) {
		if r.Text = why[id]; r.Text != "" {
			list = append(list, r)
		}
	}
	if len(why) == 0 {
		return nil
	}
	add(string(st.Gateway.OrgID), Refusal{Kind: RefusedOutbound, Name: "Outbound address " + st.Outbound})
	for i := range st.Networks {
		n := &st.Networks[i]
		add(string(n.ID), Refusal{Kind: RefusedNetwork, Name: "Network " + n.Name, Network: n.ID})
	}
	for i := range st.Rules {
		r := &st.Rules[i]
		add(string(r.ID), Refusal{Kind: RefusedRule, Name: fmt.Sprintf("Firewall rule %d", r.Position), Rule: r.ID})
	}
	if st.VPN != nil {
		add(string(st.VPN.ID), Refusal{Kind: RefusedVPN, Name: "VPN Connect"})
	}
	for i := range st.Peers {
		add(string(st.Peers[i].ID), Refusal{Kind: RefusedDevice, Name: "A device of VPN Connect"})
	}
	for i := range st.Services {
		s := &st.Services[i]
		add(string(s.ID), Refusal{Kind: RefusedService, Name: "Service " + s.Name, Service: s.ID})
		for _, n := range s.Nodes {
			add(string(n.ID), Refusal{Kind: RefusedNode, Name: fmt.Sprintf("Node %s:%d of %s", n.MachineName, n.Port, s.Name), Service: s.ID})
		}
	}
	return list
}
