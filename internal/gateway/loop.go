package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// Options of a loop.
type Options struct {
	Dir     string // the state folder
	Version string // of the program
	Tick    time.Duration
	Logger  *slog.Logger
}

const (
	tickDefault  = 2 * time.Second
	wait         = 30 * time.Second
	atOnce       = 4 // orgs that are applied at the same time
	firstBackoff = 500 * time.Millisecond
	lastBackoff  = 15 * time.Second
	driftMost    = 20 // kept until a report gets through
)

// Loop brings an applier to what a source wants, and keeps it there.
type Loop struct {
	source  Source
	applier Applier
	options Options
	log     *slog.Logger
	store   *Store
	ledger  *Ledger

	orgs    map[string]*orgState // by id
	desired *edge.Desired        // the latest; nil until the portal answered once
	mail    chan edge.Status     // to the reporter, the latest only
	sent    chan map[string]int  // drift entries that a report carried, by org
}

// orgState is what the loop knows of one org.
type orgState struct {
	id, key  string
	observed int64
	applied  int64
	want     Checked // what has to be
	good     Checked // what serves, once applied is not 0
	standing bool    // they are the same
	// remembered is a state from the disk, in which nothing that failed was
	// kept: the portal's answer replaces it even of the same generation.
	remembered bool
	failed     []edge.Blame // wrong everywhere
	left       []edge.Blame // what the host could not carry; tried again
	err        error
	retry      time.Time
	backoff    time.Duration
	drift      []edge.Drift
	probes     map[string]edge.ProbeResult
	seen       Observation
}

// NewLoop opens the state folder.
func NewLoop(source Source, applier Applier, o Options) (*Loop, error) {
	if o.Tick == 0 {
		o.Tick = tickDefault
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	store, err := OpenStore(o.Dir)
	if err != nil {
		return nil, err
	}
	ledger, err := OpenLedger(o.Dir)
	if err != nil {
		return nil, err
	}
	return &Loop{source: source, applier: applier, options: o, log: o.Logger, store: store, ledger: ledger,
		orgs: map[string]*orgState{}, mail: make(chan edge.Status, 1), sent: make(chan map[string]int, 16)}, nil
}

// Run serves until ctx ends. What is applied stays: traffic goes on.
func (l *Loop) Run(ctx context.Context) error {
	l.reassert(ctx)
	news := make(chan edge.Desired)
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running.Go(func() { l.fetch(ctx, news) })
	running.Go(func() { l.report(ctx) })
	tick := time.NewTicker(l.options.Tick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.observe(context.WithoutCancel(ctx))
			return l.ledger.Write()
		case d := <-news:
			l.desired = &d
			l.apply(ctx)
			l.probe(ctx)
		case <-tick.C:
			l.apply(ctx) // what failed and is due again
			l.repair(ctx)
		case <-l.applier.Changed():
		case counts := <-l.sent:
			for id, n := range counts {
				if o := l.orgs[id]; o != nil {
					o.drift = o.drift[min(n, len(o.drift)):]
				}
			}
			continue
		}
		l.observe(ctx)
		if err := l.ledger.Write(); err != nil {
			l.log.Error("counters were not written", "error", err)
		}
		l.post(l.status(ctx))
	}
}

// reassert makes the last good state true before anybody is asked: after a
// reboot the portal may be away.
func (l *Loop) reassert(ctx context.Context) {
	good, err := l.store.Good()
	if err != nil {
		l.log.Error("last good state can't be read", "error", err)
	}
	for _, v := range Validate(edge.Desired{Orgs: good}, l.applier.Limits(), func(string) (edge.Org, bool) { return edge.Org{}, false }) {
		if v.Err != nil {
			l.log.Error("last good state is unsound", "org", v.Key, "error", v.Err)
			continue
		}
		o := &orgState{id: v.ID, key: v.Key, observed: v.Generation, want: v.Want, probes: map[string]edge.ProbeResult{}}
		l.orgs[v.ID] = o
		l.applyOne(ctx, o)
		o.remembered = true
	}
}

// fetch asks the source for ever.
func (l *Loop) fetch(ctx context.Context, news chan<- edge.Desired) {
	etag, backoff := "", firstBackoff
	for ctx.Err() == nil {
		d, next, err := l.source.Desired(ctx, etag, wait)
		if err == nil {
			backoff = firstBackoff
			if next == etag && etag != "" {
				continue
			}
			etag = next
			select {
			case news <- d:
			case <-ctx.Done():
			}
			continue
		}
		if ctx.Err() == nil {
			l.log.Warn("the portal can't be asked; what was applied stays", "error", err, "again in", backoff)
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// apply brings every org that is behind to what is wanted.
func (l *Loop) apply(ctx context.Context) {
	if l.desired != nil {
		l.take(*l.desired) //nolint:contextcheck // what is gone is removed whole, also while ending
	}
	var due []*orgState
	for _, o := range l.orgs {
		if (!o.standing || len(o.left) > 0) && !time.Now().Before(o.retry) && o.key != "" {
			due = append(due, o)
		}
	}
	slots := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for _, o := range due {
		l.observeOne(ctx, o) // counters end with what is replaced
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			l.applyOne(ctx, o)
		})
	}
	running.Wait()
	for _, o := range due {
		if o.standing {
			if err := l.store.Keep(o.good.Org()); err != nil {
				l.log.Error("last good state was not kept", "org", o.key, "error", err)
			}
		}
	}
}

// take compares what is wanted with what is known. Orgs that nobody wants any
// more go.
func (l *Loop) take(d edge.Desired) {
	good := func(id string) (edge.Org, bool) {
		if o := l.orgs[id]; o != nil && o.applied > 0 {
			return o.good.Org(), true
		}
		return edge.Org{}, false
	}
	wanted := map[string]bool{}
	for _, v := range Validate(d, l.applier.Limits(), good) {
		wanted[v.ID] = true
		o := l.orgs[v.ID]
		if o == nil {
			o = &orgState{id: v.ID, probes: map[string]edge.ProbeResult{}}
			l.orgs[v.ID] = o
		}
		if v.Err != nil {
			o.observed, o.err = v.Generation, v.Err
			continue
		}
		if o.key != "" && !o.remembered && o.observed == v.Generation && o.err == nil {
			o.want = Checked{withProbes(o.want.Org(), v.Want.Org().Probes)}
			continue
		}
		if !o.remembered && o.observed == v.Generation && o.err != nil && !o.standing && o.key != "" {
			o.want = Checked{withProbes(o.want.Org(), v.Want.Org().Probes)}
			continue // waits for its next try
		}
		o.key, o.observed, o.want, o.failed, o.left = v.Key, v.Generation, v.Want, v.Failed, nil
		o.standing, o.remembered, o.retry, o.backoff = false, false, time.Time{}, 0
	}
	keys := map[string]bool{}
	for id, o := range l.orgs {
		if wanted[id] {
			keys[o.key] = true
		}
	}
	for id, o := range l.orgs {
		if wanted[id] {
			continue
		}
		l.observeOne(context.Background(), o)
		if !l.drop(o.key, o.id) {
			continue
		}
		delete(l.orgs, id)
	}
	kept, err := l.applier.Kept()
	if err != nil {
		l.log.Error("what is left here can't be listed", "error", err)
	}
	for _, key := range kept {
		if !keys[key] {
			l.drop(key, "")
		}
	}
}

// withProbes keeps what is applied and takes the probes of now: they change
// nothing that is applied.
func withProbes(o edge.Org, probes []edge.Probe) edge.Org {
	o.Probes = probes
	return o
}

func (l *Loop) drop(key, id string) bool {
	if err := l.applier.Remove(context.Background(), key); err != nil {
		l.log.Error("an org that is gone could not be removed", "org", key, "error", err)
		return false
	}
	if id != "" {
		l.ledger.Using(id, nil)
	}
	if err := l.store.Forget(key); err != nil {
		l.log.Error("an org that is gone is still remembered", "org", key, "error", err)
	}
	return true
}

// applyOne touches nothing but its org's state: several run at once.
func (l *Loop) applyOne(ctx context.Context, o *orgState) {
	began := time.Now()
	blamed, err := l.applier.Apply(ctx, o.want)
	o.err = err
	if err != nil {
		o.later()
		l.log.Error("a state could not be applied; the last good one serves", "org", o.key, "generation", o.observed, "error", err)
		return
	}
	ids := map[string]bool{}
	for _, b := range blamed {
		ids[b.ID] = true
	}
	news := !o.standing || len(blamed) != len(o.left)
	o.left, o.good = blamed, o.want.Without(ids)
	o.standing, o.applied = true, o.observed
	if len(blamed) > 0 {
		o.later() // a trunk that is late, a port that somebody leaves
	} else {
		o.backoff = 0
	}
	if news {
		l.log.Info("applied", "org", o.key, "generation", o.observed, "left out", len(o.failed)+len(o.left), "took", time.Since(began).Round(time.Millisecond))
	}
}

// later puts the next try off, further each time.
func (o *orgState) later() {
	o.backoff = min(max(2*o.backoff, firstBackoff), lastBackoff)
	o.retry = time.Now().Add(o.backoff)
}

// repair looks after what stands.
func (l *Loop) repair(ctx context.Context) {
	for _, o := range l.orgs {
		if o.applied == 0 {
			continue
		}
		found, err := l.applier.Repair(ctx, o.good)
		for _, text := range found {
			l.log.Warn("other hands changed the gateway; repaired", "org", o.key, "what", text)
			o.drift = append(o.drift, edge.Drift{At: time.Now().UTC(), Text: text})
		}
		o.drift = o.drift[max(0, len(o.drift)-driftMost):]
		if err != nil {
			l.log.Error("could not be repaired", "org", o.key, "error", err)
			if o.standing {
				l.applyOne(ctx, o) // which blames the object alone, if it is one
			}
		}
	}
}

func (l *Loop) observe(ctx context.Context) {
	for _, o := range l.orgs {
		l.observeOne(ctx, o)
	}
}

func (l *Loop) observeOne(ctx context.Context, o *orgState) {
	if o.applied == 0 {
		return
	}
	seen, err := l.applier.Observe(ctx, o.good)
	if err != nil {
		l.log.Warn("traffic can't be read", "org", o.key, "error", err)
		return
	}
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
