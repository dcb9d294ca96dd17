package gateway

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/millwright/millwright/internal/edge"
)

// post writes the counters down and hands the latest status to the reporter;
// one that still waits is replaced.
func (l *Loop) post(ctx context.Context) {
	l.changed = false
	if err := l.ledger.Write(); err != nil {
		l.log.Error("counters were not written", "error", err)
	}
	select {
	case <-l.mail:
	default:
	}
	l.mail <- l.status(ctx)
}

// report sends what is posted. A portal that doesn't answer delays nothing
// else. Drift is sent until a report that carried it was taken; where only the
// answer was lost, its sequence tells the portal that it knows it.
func (l *Loop) report(ctx context.Context) {
	taken := map[string]int64{}
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-l.mail:
			sequences := map[string]int64{}
			for i := range s.Orgs {
				o := &s.Orgs[i]
				o.Drift = slices.DeleteFunc(o.Drift, func(d edge.Drift) bool { return d.Sequence <= taken[o.ID] })
				for _, d := range o.Drift {
					sequences[o.ID] = max(sequences[o.ID], d.Sequence)
				}
			}
			if err := l.source.Report(ctx, s); err != nil {
				if ctx.Err() == nil {
					l.log.Warn("the portal does not take the report", "error", err)
				}
				continue
			}
			maps.Copy(taken, sequences)
			if len(sequences) > 0 {
				select {
				case l.told <- sequences:
				case <-ctx.Done():
				}
			}
		}
	}
}

func (l *Loop) status(ctx context.Context) edge.Status {
	s := edge.Status{Version: edge.Version, Agent: l.options.Version, Epoch: l.ledger.Epoch(), Features: l.applier.Features(ctx), Orgs: []edge.OrgStatus{}}
	for _, o := range l.orgs {
		s.Orgs = append(s.Orgs, l.orgStatus(o))
	}
	// Of those that are gone, the addresses stay to be told.
	for _, id := range l.ledger.Orgs() {
		if released := l.ledger.Released(id); l.orgs[id] == nil && len(released) > 0 {
			slices.Sort(released)
			s.Orgs = append(s.Orgs, edge.OrgStatus{ID: id, Released: released, Services: []edge.ServiceStatus{}})
		}
	}
	slices.SortFunc(s.Orgs, func(a, b edge.OrgStatus) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func (l *Loop) orgStatus(o *orgState) edge.OrgStatus {
	r := edge.OrgStatus{ID: o.id, Observed: o.observed, Applied: o.applied, Failed: slices.Concat(o.failed, o.left),
		Drift: slices.Clone(o.drift), Released: l.ledger.Released(o.id), Services: []edge.ServiceStatus{}}
	slices.Sort(r.Released)
	if o.err != nil {
		r.Error = o.err.Error()
	}
	good := o.good.Org()
	for i := range good.Services {
		service := &good.Services[i]
		seen := o.seen.Services[service.ID]
		status := edge.ServiceStatus{ID: service.ID, Mapped: seen.Mapped, BytesIn: seen.In, BytesOut: seen.Out, Total: seen.Total, Open: seen.Open, Nodes: []edge.NodeStatus{}}
		for _, n := range service.Nodes {
			node, known := seen.Nodes[n.ID]
			if !known {
				continue
			}
			status.Nodes = append(status.Nodes, edge.NodeStatus{ID: n.ID, State: node.State, Since: l.ledger.Since(n.ID, node.State),
				Reason: node.Reason, Open: node.Open, Total: node.Total, BytesIn: node.In, BytesOut: node.Out})
		}
		r.Services = append(r.Services, status)
	}
	if good.VPN != nil {
		r.VPN = &edge.VPNStatus{Mapped: o.seen.VPNMapped}
		for _, p := range good.VPN.Peers {
			seen := o.seen.Peers[p.ID]
			r.Peers = append(r.Peers, edge.PeerStatus{ID: p.ID, LastHandshake: seen.Handshake, BytesIn: seen.In, BytesOut: seen.Out})
		}
	}
	for _, p := range o.want.Org().Probes {
		if result, done := o.probes[p.ID]; done {
			r.Probes = append(r.Probes, result)
		}
	}
	return r
}
