package gateway

import (
	"context"
	"log/slog"
	"slices"
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

	reportPatience   = 100 * time.Millisecond // for what is under way to be in the report too
	reassertPatience = 15 * time.Second
	endPatience      = 5 * time.Second
	slowAfter        = 10 * time.Second // more is something that hangs
)

// Loop brings an applier to what a source wants, and keeps it there. It owns
// all that is known of the orgs; what takes time is done apart, for one org in
// one piece of work after the other, so that an org on which a program hangs
// keeps no other waiting.
type Loop struct {
	source  Source
	applier Applier
	options Options
	log     *slog.Logger
	store   *Store
	ledger  *Ledger
	orgs    map[string]*orgState // by id
	desired *edge.Desired        // the latest; nil until the portal answered once

	done    chan outcome   // of pieces of work
	probed  chan answer    // of probes
	running sync.WaitGroup // both
	busy    int            // pieces of work under way
	slots   chan struct{}  // how many at once
	slow    chan struct{}  // the same, of orgs that took too long before
	changed bool           // since the last report was posted

	mail chan edge.Status      // to the reporter, the latest only
	told chan map[string]int64 // what the portal has taken: drift's sequence, by org
}

// orgState is what the loop knows of one org.
type orgState struct {
	id, key  string
	observed int64
	applied  int64
	want     Checked // what has to be
	serial   int     // of want: grows when another is wanted
	good     Checked // what serves, once applied is not 0
	standing bool    // they are the same
	// remembered is a state from the disk, in which nothing that failed was
	// kept: the portal's answer replaces it even of the same generation.
	remembered bool
	busy       bool         // a piece of work is under way
	again      bool         // and there is more to do after it
	slow       bool         // the last one took too long
	failed     []edge.Blame // wrong everywhere
	left       []edge.Blame // what the host could not carry; tried again
	err        error
	retry      time.Time
	backoff    time.Duration
	drift      []edge.Drift
	probes     map[string]edge.ProbeResult
	asked      map[string]bool // probes that are under way
	seen       Observation
}

func newOrgState(id string) *orgState {
	return &orgState{id: id, probes: map[string]edge.ProbeResult{}, asked: map[string]bool{}}
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
		orgs: map[string]*orgState{}, done: make(chan outcome), probed: make(chan answer), slots: make(chan struct{}, atOnce), slow: make(chan struct{}, 1),
		mail: make(chan edge.Status, 1), told: make(chan map[string]int64, 16)}, nil
}

// Run serves until ctx ends. What is applied stays: traffic goes on.
func (l *Loop) Run(ctx context.Context) error {
	l.reassert(ctx)
	news := make(chan edge.Desired)
	var speaking sync.WaitGroup
	defer speaking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	speaking.Go(func() { l.fetch(ctx, news) })
	speaking.Go(func() { l.report(ctx) })
	tick := time.NewTicker(l.options.Tick)
	defer tick.Stop()
	var late <-chan time.Time // a report that waits for what is under way
	for {
		select {
		case <-ctx.Done():
			return l.end(context.WithoutCancel(ctx))
		case d := <-news:
			l.desired, l.changed = &d, true
			l.apply(ctx)
			l.probe(ctx)
		case <-tick.C:
			l.changed = true
			l.apply(ctx) // what failed and is due again
			for _, o := range l.orgs {
				l.begin(ctx, o, true)
			}
		case <-l.applier.Changed():
			for _, o := range l.orgs {
				l.begin(ctx, o, false)
			}
		case r := <-l.done:
			l.finish(ctx, r)
			l.probe(ctx)
		case a := <-l.probed:
			delete(a.org.asked, a.result.ID)
			a.org.probes[a.result.ID] = a.result
			l.post(ctx) // somebody waits for it
		case sequences := <-l.told:
			for id, n := range sequences {
				if o := l.orgs[id]; o != nil {
					o.drift = slices.DeleteFunc(o.drift, func(d edge.Drift) bool { return d.Sequence <= n })
				}
			}
		case <-late:
			late = nil
			l.post(ctx)
		}
		switch {
		case !l.changed:
		case l.busy == 0:
			l.post(ctx)
		case late == nil:
			late = time.After(reportPatience)
		}
	}
}

// end waits for what is under way, and counts what was carried until now.
func (l *Loop) end(ctx context.Context) error {
	go func() {
		l.running.Wait()
		close(l.done)
		close(l.probed)
	}()
	go func() {
		for range l.probed { // nobody is told any more
		}
	}()
	for r := range l.done {
		l.take(r)
	}
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	for _, o := range l.orgs {
		if o.applied == 0 || o.slow {
			continue
		}
		if seen, err := l.applier.Observe(ctx, o.good); err == nil {
			l.count(o, seen)
		}
	}
	return l.ledger.Write()
}

// reassert makes the last good state true before anybody is asked: after a
// reboot the portal may be away. An org on which a program hangs is waited for
// no longer than reassertPatience.
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
		o := newOrgState(v.ID)
		o.key, o.observed, o.want, o.remembered = v.Key, v.Generation, v.Want, true
		l.orgs[v.ID] = o
		l.begin(ctx, o, false)
	}
	timeout := time.After(reassertPatience)
	for l.busy > 0 {
		select {
		case r := <-l.done:
			l.finish(ctx, r)
		case <-timeout:
			return
		case <-ctx.Done():
			return
		}
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
		l.compare(*l.desired) //nolint:contextcheck // what is gone is removed whole, also while ending
	}
	for _, o := range l.orgs {
		if o.due() {
			l.begin(ctx, o, false)
		}
	}
}

// compare compares what is wanted with what is known. Orgs that nobody wants
// any more go.
func (l *Loop) compare(d edge.Desired) {
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
			o = newOrgState(v.ID)
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
		o.serial++
		o.standing, o.remembered, o.retry, o.backoff = false, false, time.Time{}, 0
	}
	keys := map[string]bool{}
	for id, o := range l.orgs {
		if wanted[id] || o.busy { // one that is worked on goes when that is done
			keys[o.key] = true
		}
	}
	for id, o := range l.orgs {
		if wanted[id] || o.busy {
			continue
		}
		if seen, err := l.observe(context.Background(), o.work(false)); err == nil {
			l.count(o, seen)
		}
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
