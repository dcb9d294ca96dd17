package host

import (
	"context"
	"fmt"
	"strings"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
	"github.com/millwright/millwright/internal/gateway/render"
)

// Repair looks at everything that Apply made. What differs was changed by
// other hands, or died; it is made again and told.
func (h *Host) Repair(ctx context.Context, want gateway.Checked) ([]string, error) {
	ctx = patient(ctx, h.options.Patience)
	o, key := h.org(want.Key()), want.Key()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ns.alive() {
		return []string{"the namespace was gone"}, h.reapply(ctx, o, want)
	}
	var found []string
	again := false // all of it has to be applied again
	changed, err := o.ns.settle()
	if err != nil {
		return found, err
	}
	found = append(found, changed...)
	if v := o.applied.VPN; v != nil {
		started, err := h.tunnel(key, o).ensure(ctx)
		if started || err != nil {
			found = append(found, "the VPN's tunnel did not run")
		}
		var changed []string
		if err == nil {
			changed, err = h.tunnel(key, o).settle(ctx, *v)
		}
		if err != nil {
			again = true // where it is the VPN alone that fails
		} else if !started {
			found = append(found, changed...)
		}
	}
	changed, failed, err := h.linked(o.applied, true)
	if err != nil {
		return found, err
	}
	found, again = append(found, changed...), again || len(failed) > 0
	if proxy := h.haproxy(key, o); o.structure != "" {
		now, running := proxy.running(ctx)
		switch {
		case !running:
			found, again = append(found, "HAProxy did not run"), true
		case now.structure != o.structure:
			found, again = append(found, "HAProxy ran another configuration"), true
		default:
			changed, err := proxy.settle(ctx, o.applied)
			if err != nil {
				return found, err
			}
			found = append(found, changed...)
		}
	}
	rules := h.nft(o)
	generation, err := rules.generation()
	if err != nil {
		return found, err
	}
	if generation != o.generation {
		listing, err := rules.list(ctx)
		if err != nil || listing != o.listing {
			words := []string{"the packet filter's rules were changed"}
			if beside, err := rules.foreign(ctx, render.NFT(o.applied, render.NFTOptions{}).Chains); err == nil {
				for _, f := range beside {
					words = append(words, f.words)
				}
			}
			found, again = append(found, strings.Join(words, ", ")), true
		} else {
			o.generation = generation // changed and changed back
		}
	}
	if again {
		return found, h.reapply(ctx, o, want)
	}
	return found, nil
}

// reapply makes all of what stood again. An object that can't be is an error
// here: Apply is asked next, and blames it.
func (h *Host) reapply(ctx context.Context, o *org, want gateway.Checked) error {
	failed, err := h.apply(ctx, o, want)
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("%s: %s", failed[0].ID, failed[0].Text)
	}
	return err
}

// Observe reads live traffic: bytes and connections of services from the
// kernel, which a reload doesn't touch; nodes from HAProxy and, of UDP, from
// the connections that are open.
func (h *Host) Observe(ctx context.Context, want gateway.Checked) (gateway.Observation, error) {
	ctx = patient(ctx, h.options.Patience)
	o, key := h.org(want.Key()), want.Key()
	o.mu.Lock()
	defer o.mu.Unlock()
	out := gateway.Observation{Services: map[string]gateway.ServiceReading{}, Peers: map[string]gateway.PeerReading{}}
	rules := h.nft(o)
	var epoch string
	if o.listing != "" {
		_, epoch = stamp(o.listing)
	} else {
		epoch = rules.epoch(ctx)
	}
	counters, err := rules.counters()
	if err != nil {
		return out, err
	}
	list, err := flows(o.ns)
	if err != nil {
		return out, err
	}
	org := want.Org()
	open := map[int]int{}
	for _, f := range list {
		if f.open {
			open[f.mark]++
		}
	}
	for i := range org.Services {
		s := &org.Services[i]
		out.Services[s.ID] = gateway.ServiceReading{
			Instance: epoch, In: counters[render.CounterIn(s.Mark)].bytes, Out: counters[render.CounterOut(s.Mark)].bytes,
			Total: counters[render.CounterNew(s.Mark)].packets, Open: open[s.Mark], Nodes: map[string]gateway.NodeReading{},
		}
		if s.Protocol == edge.ProtocolUDP {
			h.observeUDP(o, s, list, counters, out.Services[s.ID])
		}
	}
	if err := h.haproxy(key, o).observe(ctx, org, out); err != nil {
		return out, err
	}
	if org.VPN != nil {
		if err := h.tunnel(key, o).observe(ctx, *org.VPN, out); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (h *Host) observeUDP(o *org, s *edge.Service, list []flow, counters map[string]reading, into gateway.ServiceReading) {
	for _, n := range s.Nodes {
		node := gateway.NodeReading{State: edge.NodeUp, Instance: into.Instance, In: counters[render.NodeIn(s.Mark, n)].bytes,
			Out: counters[render.NodeOut(s.Mark, n)].bytes, Total: counters[render.NodeNew(s.Mark, n)].packets}
		for _, f := range list {
			if f.mark == s.Mark && f.udp && f.node.Addr().String() == n.Address && int(f.node.Port()) == n.Port {
				node.Open++
			}
		}
		down, reason := o.health.of(n.ID)
		node.Reason = reason
		switch {
		case !n.Enabled || !s.Enabled:
			node.State, node.Reason = edge.NodeOff, ""
		case n.Draining:
			node.State = edge.NodeDraining
		case s.Monitor == nil:
			node.State = edge.NodeUnmonitored
		case down:
			node.State = edge.NodeDown
		}
		into.Nodes[n.ID] = node
	}
}

// Probe tries one connection from inside the org.
func (h *Host) Probe(ctx context.Context, want gateway.Checked, p edge.Probe) edge.ProbeResult {
	return h.org(want.Key()).health.probe(ctx, p)
}
