package factory

import (
	"context"
	"sync"
	"time"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/models"
)

// followEvery is how often the records of the clouds are read for what nobody
// announced: an announcement can get lost between nodes.
const followEvery = 5 * time.Second

// Follow keeps the clients in line with the records until ctx ends: what an
// operator does to a cloud on any node takes hold on this one.
func (f *Factory) Follow(ctx context.Context, connect Connect) {
	changes, stop := f.system.Watch()
	defer stop()
	round := time.NewTicker(followEvery)
	defer round.Stop()
	for {
		if err := f.clouds.Sync(ctx, f.system, connect); err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "reading the clouds failed; it is tried again in a moment", "error", err)
		}
		for wait := true; wait; {
			select {
			case <-ctx.Done():
				return
			case <-round.C:
				wait = false
			case c := <-changes:
				wait = c.Kind != "cloud" && c.Kind != "all"
			}
		}
	}
}

// feedAll keeps a feed for every cloud that this node has a client of.
func (f *Factory) feedAll(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	fed := map[*cloud]bool{}
	for {
		list, changed := f.clouds.all()
		now := make(map[*cloud]bool, len(list))
		for _, c := range list {
			now[c] = true
			if !fed[c] {
				running.Go(func() { f.feedWhile(ctx, c) })
			}
		}
		fed = now
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// feedWhile feeds a cloud until its client is replaced or taken away.
func (f *Factory) feedWhile(ctx context.Context, c *cloud) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-c.gone:
			stop()
		case <-ctx.Done():
		}
	}()
	var warm sync.WaitGroup
	warm.Go(func() { f.keepWarm(ctx, c) })
	defer warm.Wait()
	f.feed(ctx, c)
}

// warmEvery is well inside the time for which a connection may idle.
const warmEvery = 30 * time.Second

// keepWarm keeps this node's session with a cloud open. One node alone feeds
// from it; the others may not have spoken to it when the pages of a lost node
// come to them for their screens, and a sign-in takes longer than all the rest.
func (f *Factory) keepWarm(ctx context.Context, c *cloud) {
	for ctx.Err() == nil {
		_, _ = c.About(ctx) // the feed tells what is wrong with a cloud
		select {
		case <-ctx.Done():
		case <-time.After(jobs.Jitter(warmEvery)):
		}
	}
}

// absentWords says in the words of a Task why its cloud has no client here.
func absentWords(c models.Cloud) string {
	if c.DisabledAt != nil {
		return c.Name + " is switched off by the provider for now; the task goes on by itself when it is switched on again."
	}
	return c.Name + " is not connected to this portal just now; the task goes on by itself when it is."
}
