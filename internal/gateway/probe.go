package gateway

import (
	"context"
	"sync"
)

// probe tries what the portal asks for, each once, those of all orgs together:
// a node that doesn't answer holds up nobody else's.
func (l *Loop) probe(ctx context.Context) {
	var running sync.WaitGroup
	var mu sync.Mutex
	for _, o := range l.orgs {
		for _, p := range o.want.Org().Probes {
			mu.Lock()
			_, done := o.probes[p.ID]
			mu.Unlock()
			if done || o.applied == 0 {
				continue
			}
			running.Go(func() {
				result := l.applier.Probe(ctx, o.good, p)
				mu.Lock()
				defer mu.Unlock()
				o.probes[p.ID] = result
			})
		}
	}
	running.Wait()
	for _, o := range l.orgs {
		listed := map[string]bool{}
		for _, p := range o.want.Org().Probes {
			listed[p.ID] = true
		}
		for id := range o.probes {
			if !listed[id] {
				delete(o.probes, id)
			}
		}
	}
}
