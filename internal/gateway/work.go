package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// work is what is to be done about one org, with all that it needs: it is done
// apart from the loop, which goes on changing the org's state.
type work struct {
	org        *orgState // for the outcome to find; not looked into meanwhile
	key        string
	want, good Checked
	generation int64
	serial     int
	stands     bool // good serves
	apply      bool
	repair     bool
}

// outcome is what came of it.
type outcome struct {
	work
	began  time.Time
	took   time.Duration
	before *Observation // counters end with what is replaced
	after  *Observation
	found  []string // drift
	tried  bool     // want was applied
	blamed []edge.Blame
	err    error
}

// due tells whether an org has to be applied now.
func (o *orgState) due() bool {
	return o.key != "" && (!o.standing || len(o.left) > 0) && !time.Now().Before(o.retry)
}

func (o *orgState) work(repair bool) work {
	return work{org: o, key: o.key, want: o.want, good: o.good, generation: o.observed, serial: o.serial,
		stands: o.applied > 0, apply: o.due(), repair: repair && o.applied > 0}
}

// begin has an org worked on: applied if it is due, else looked after and
// observed. One that is worked on already is so again afterwards.
func (l *Loop) begin(ctx context.Context, o *orgState, repair bool) {
	if o.busy {
		o.again = true
		return
	}
	w := o.work(repair)
	if !w.apply && !w.stands {
		return
	}
	o.busy, o.again = true, false
	l.busy++
	slots := l.slots
	if o.slow {
		slots = l.slow
	}
	l.running.Go(func() {
		r := outcome{work: w}
		select {
		case slots <- struct{}{}:
			r = l.do(ctx, w)
			<-slots
		case <-ctx.Done():
		}
		l.done <- r
	})
}

// do touches nothing but the applier: several run at once, of different orgs.
func (l *Loop) do(ctx context.Context, w work) (r outcome) {
	r = outcome{work: w, began: time.Now()}
	defer func() { r.took = time.Since(r.began) }()
	try := func() {
		r.tried = true
		r.blamed, r.err = l.applier.Apply(ctx, w.want)
	}
	if w.apply {
		if seen, err := l.observe(ctx, w); err == nil {
			r.before = &seen
		}
		try()
	}
	if w.stands && (w.repair && !w.apply || r.err != nil) {
		found, err := l.applier.Repair(ctx, w.good)
		r.found = found
		switch {
		case err == nil:
		case r.tried:
			l.log.Error("could not be repaired", "org", w.key, "error", err)
		default:
			try() // which blames the object alone, if it is one
		}
	}
	good := w
	if r.tried && r.err == nil {
		good.good, good.stands = w.want.Without(idsOf(r.blamed)), true
	}
	if seen, err := l.observe(ctx, good); err == nil {
		r.after = &seen
	}
	return r
}

var errNothing = errors.New("nothing is applied")

func (l *Loop) observe(ctx context.Context, w work) (Observation, error) {
	if !w.stands {
		return Observation{}, errNothing
	}
	seen, err := l.applier.Observe(ctx, w.good)
	if err != nil && ctx.Err() == nil {
		l.log.Warn("traffic can't be read", "org", w.key, "error", err)
	}
	return seen, err
}

// finish takes an outcome, and goes on with the org where there is more to do.
func (l *Loop) finish(ctx context.Context, r outcome) {
	l.take(r)
	if o := r.org; l.orgs[o.id] == o && (o.again || o.serial != r.serial) {
		l.begin(ctx, o, false)
	}
}

// take makes an outcome part of what is known.
func (l *Loop) take(r outcome) {
	o := r.org
	o.busy = false
	l.busy--
	l.changed = true
	if r.began.IsZero() {
		return // it was never begun: the loop ends
	}
	o.slow = r.took > slowAfter
	if r.before != nil {
		l.count(o, *r.before)
	}
	for _, text := range r.found {
		l.log.Warn("other hands changed the gateway; repaired", "org", r.key, "what", text)
		o.drift = append(o.drift, edge.Drift{Sequence: l.ledger.Next(), At: time.Now().UTC(), Text: text})
	}
	o.drift = o.drift[max(0, len(o.drift)-driftMost):]
	if r.tried {
		l.tried(o, r)
	}
	if r.after != nil {
		l.count(o, *r.after)
	}
}

// tried takes what came of applying.
func (l *Loop) tried(o *orgState, r outcome) {
	current := o.serial == r.serial // else another state is wanted by now, and due at once
	if r.err != nil {
		l.log.Error("a state could not be applied; the last good one serves", "org", r.key, "generation", r.generation, "error", r.err)
		if current {
			o.err, o.standing = r.err, false
			o.later()
		}
		return
	}
	news := !o.standing || len(r.blamed) != len(o.left)
	o.good, o.applied = r.want.Without(idsOf(r.blamed)), r.generation
	if current {
		o.err, o.standing, o.left = nil, true, r.blamed
		if len(r.blamed) > 0 {
			o.later() // a trunk that is late, a port that somebody leaves
		} else {
			o.backoff = 0
		}
	}
	if news {
		l.log.Info("applied", "org", r.key, "generation", r.generation, "left out", len(o.failed)+len(r.blamed), "took", r.took.Round(time.Millisecond))
	}
	if err := l.store.Keep(o.good.Org()); err != nil {
		l.log.Error("last good state was not kept", "org", r.key, "error", err)
	}
}

func idsOf(list []edge.Blame) map[string]bool {
	ids := map[string]bool{}
	for _, b := range list {
		ids[b.ID] = true
	}
	return ids
}

// later puts the next try off, further each time.
func (o *orgState) later() {
	o.backoff = min(max(2*o.backoff, firstBackoff), lastBackoff)
	o.retry = time.Now().Add(o.backoff)
}

// count enters a reading into the ledger.
func (l *Loop) count(o *orgState, seen Observation) {
	for id, s := range seen.Services {
		s.In, s.Out, s.Total = l.ledger.Count(id+"/in", s.Instance, s.In), l.ledger.Count(id+"/out", s.Instance, s.Out), l.ledger.Count(id+"/new", s.Instance, s.Total)
		for node, n := range s.Nodes {
			n.In, n.Out, n.Total = l.ledger.Count(node+"/in", n.Instance, n.In), l.ledger.Count(node+"/out", n.Instance, n.Out), l.ledger.Count(node+"/new", n.Instance, n.Total)
			s.Nodes[node] = n
		}
		seen.Services[id] = s
	}
	for id, p := range seen.Peers {
		p.In, p.Out = l.ledger.Count(id+"/in", p.Instance, p.In), l.ledger.Count(id+"/out", p.Instance, p.Out)
		seen.Peers[id] = p
	}
	o.seen = seen
	l.ledger.Using(o.id, publicIPs(o.good.Org()))
}

// publicIPs are all that an org's state names, those of disabled services too.
func publicIPs(o edge.Org) map[string]bool {
	set := map[string]bool{}
	if o.Outbound != "" {
		set[o.Outbound] = true
	}
	for _, s := range o.Services {
		set[s.PublicIP] = true
	}
	if o.VPN != nil {
		set[o.VPN.PublicIP] = true
	}
	return set
}
