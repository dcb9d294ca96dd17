package gateway

import (
	"context"

	"github.com/millwright/millwright/internal/edge"
)

// answer is what came of a probe.
type answer struct {
	org    *orgState
	result edge.ProbeResult
}

// probe tries what the portal asks for, each once, as soon as what it asks
// about is applied. Nothing waits for a node that doesn't answer.
func (l *Loop) probe(ctx context.Context) {
	for _, o := range l.orgs {
		listed := map[string]bool{}
		for _, p := range o.want.Org().Probes {
			listed[p.ID] = true
			if _, done := o.probes[p.ID]; done || o.asked[p.ID] || o.applied == 0 || o.busy {
				continue
			}
			o.asked[p.ID] = true
			good := o.good
			l.running.Go(func() {
				l.probed <- answer{o, l.applier.Probe(ctx, good, p)}
			})
		}
		for id := range o.probes {
			if !listed[id] {
				delete(o.probes, id)
			}
		}
	}
}
