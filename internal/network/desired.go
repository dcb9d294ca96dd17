package network

import (
	"slices"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/models"
)

// desired is the wire form of the records.
func desired(states []models.NetworkState) edge.Desired {
	d := edge.Desired{Version: edge.Version, Orgs: make([]edge.Org, 0, len(states))}
	for i := range states {
		d.Orgs = append(d.Orgs, Org(&states[i]))
	}
	return d
}

// Org is an org's desired state in wire form: what its gateway gets, and what
// the portal's own questions about it are asked of.
func Org(st *models.NetworkState) edge.Org {
	o := edge.Org{
		ID: string(st.Gateway.OrgID), Key: st.Gateway.Key, Generation: st.Gateway.Generation, Outbound: st.Outbound,
		Networks: []edge.Network{}, Services: []edge.Service{}, Firewall: []edge.Rule{},
	}
	for _, n := range st.Networks {
		o.Networks = append(o.Networks, edge.Network{ID: string(n.ID), Number: n.Number, Cloud: n.CloudSlug, VLAN: n.VLAN, CIDR: n.CIDR, Gateway: n.Gateway})
	}
	for i := range st.Services {
		o.Services = append(o.Services, service(&st.Services[i]))
	}
	for i := range st.Rules {
		if r, ok := rule(&st.Rules[i]); ok {
			o.Firewall = append(o.Firewall, r)
		}
	}
	o.Probes = probes(st)
	if v := st.VPN; v != nil {
		o.VPN = &edge.VPN{ID: string(v.ID), PublicIP: v.PublicAddress, Port: v.Port, PrivateKey: st.VPNKey, CIDR: v.CIDR, Address: v.Address, Peers: []edge.Peer{}}
		for _, p := range st.Peers {
			o.VPN.Peers = append(o.VPN.Peers, edge.Peer{ID: string(p.ID), PublicKey: p.PublicKey, Address: p.Address})
		}
	}
	return o
}

func service(s *models.ServiceRow) edge.Service {
	e := edge.Service{
		ID: string(s.ID), Mark: s.Mark, PublicIP: s.Address, Protocol: string(s.Protocol), Port: s.Port, Enabled: s.Enabled,
		Balancing: string(s.Balancing), IdleTimeoutSeconds: s.IdleTimeoutSeconds, Sources: s.SourceList(), Nodes: []edge.Node{},
	}
	if s.MonitorKind != "" {
		e.Monitor = &edge.Monitor{Kind: s.MonitorKind, Path: s.MonitorPath, Status: s.MonitorStatus}
	}
	for _, n := range s.Nodes {
		e.Nodes = append(e.Nodes, edge.Node{ID: string(n.ID), Address: n.Address, Port: n.Port, Enabled: n.Enabled, Draining: n.Draining})
	}
	return e
}

// probes are the connections that the gateway is to try: each as its service
// would make it.
func probes(st *models.NetworkState) []edge.Probe {
	var list []edge.Probe
	for _, p := range st.Probes {
		for i := range st.Services {
			s := &st.Services[i]
			at := slices.IndexFunc(s.Nodes, func(n models.NodeRow) bool { return n.ID == p.NodeID })
			if at < 0 {
				continue
			}
			e := edge.Probe{ID: string(p.ID), Address: s.Nodes[at].Address, Port: s.Nodes[at].Port, Protocol: string(s.Protocol)}
			if s.MonitorKind == "http" {
				e.Monitor, e.Host = service(s).Monitor, s.Address
			}
			list = append(list, e)
		}
	}
	return list
}

// rule is one line of the firewall; ok is false for one that is switched off,
// or whose machine has no address: it must not speak of whoever has that next.
func rule(r *models.RuleRow) (edge.Rule, bool) {
	inside, ok := r.Inside()
	e := edge.Rule{ID: string(r.ID), Direction: r.Direction, Source: r.Outside, Destination: inside, Protocol: r.Protocol,
		FirstPort: r.FirstPort, LastPort: r.LastPort, Allow: r.Allow}
	if r.Direction == edge.DirectionOut {
		e.Source, e.Destination = inside, r.Outside
	}
	return e, ok && r.Enabled
}

// report is the records' form of a status.
func report(st edge.Status) models.EdgeReport {
	rep := models.EdgeReport{Agent: cut(st.Agent, 100), Epoch: cut(st.Epoch, 100), Problem: cut(st.Problem, 1000), Orgs: make([]models.OrgReport, 0, len(st.Orgs))}
	for i, f := range st.Features {
		if i == 50 {
			break
		}
		rep.Features = append(rep.Features, models.EdgeFeature{Name: cut(f.Name, 100), Present: f.Present, Detail: cut(f.Detail, 300)})
	}
	for i := range st.Orgs {
		rep.Orgs = append(rep.Orgs, orgReport(&st.Orgs[i]))
	}
	return rep
}

func orgReport(o *edge.OrgStatus) models.OrgReport {
	r := models.OrgReport{Org: models.OrgID(o.ID), Observed: o.Observed, Applied: o.Applied, Error: cut(o.Error, 1000), Released: o.Released}
	for _, b := range o.Failed {
		r.Failed = append(r.Failed, models.Blame{ID: cut(b.ID, 64), Text: cut(b.Text, 500)})
	}
	for _, d := range o.Drift {
		r.Drift = append(r.Drift, models.DriftReport{Sequence: d.Sequence, Text: cut(d.Text, 200)})
	}
	for _, s := range o.Services {
		row := models.ServiceReport{ID: models.ServiceID(s.ID), Mapped: cut(s.Mapped, 64), BytesIn: s.BytesIn, BytesOut: s.BytesOut, Connections: s.Total, Open: s.Open}
		for _, n := range s.Nodes {
			row.Nodes = append(row.Nodes, models.NodeReport{ID: models.NodeID(n.ID), State: cut(n.State, 20), Since: n.Since, Reason: cut(n.Reason, 300),
				Open: n.Open, Connections: n.Total, BytesIn: n.BytesIn, BytesOut: n.BytesOut})
		}
		r.Services = append(r.Services, row)
	}
	if o.VPN != nil {
		r.VPNMapped = cut(o.VPN.Mapped, 64)
	}
	for _, p := range o.Peers {
		row := models.PeerReport{ID: models.PeerID(p.ID), BytesIn: p.BytesIn, BytesOut: p.BytesOut}
		if !p.LastHandshake.IsZero() {
			at := p.LastHandshake.UTC()
			row.LastHandshake = &at
		}
		r.Peers = append(r.Peers, row)
	}
	for _, p := range o.Probes {
		r.Probes = append(r.Probes, models.ProbeReport{ID: models.ProbeID(cut(p.ID, 64)), At: p.At, OK: p.OK, Detail: cut(p.Detail, 300)})
	}
	return r
}

// cut bounds a gateway's text, which ends up on pages.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}
