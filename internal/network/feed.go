package network

import (
	"context"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/models"
)

// Feed is one gateway's source: the same for the one that asks over HTTP and
// for the one in this process.
type Feed struct {
	edge       *models.Edge
	quarantine time.Duration
}

var _ edge.Source = (*Feed)(nil)

// Feed returns the source of a gateway.
func (s *Service) Feed(e *models.Edge) *Feed {
	return &Feed{edge: e, quarantine: s.options.Quarantine}
}

// Lab is the source of the gateway in this process.
func (s *Service) Lab(ctx context.Context) (*Feed, error) {
	e, err := s.system.LocalEdge(ctx, "lab")
	if err != nil {
		return nil, err
	}
	return s.Feed(e), nil
}

// LongestWait bounds a long poll: balancers cut connections that are silent
// for a minute.
const LongestWait = 55 * time.Second

// gatherTime lets changes that come together go out together.
const gatherTime = 50 * time.Millisecond

// Desired returns the state and its tag; where the tag is still etag it waits
// up to wait for another, woken by what any node announces.
func (f *Feed) Desired(ctx context.Context, etag string, wait time.Duration) (edge.Desired, string, error) {
	changes, cancel := f.edge.Watch() // before the first look, so that nothing falls between
	defer cancel()
	over := time.NewTimer(min(max(wait, 0), LongestWait))
	defer over.Stop()
	for {
		tag, err := f.edge.Tag(ctx)
		if err != nil {
			return edge.Desired{}, "", err
		}
		if tag != etag {
			tag, states, err := f.edge.Desired(ctx)
			if err != nil {
				return edge.Desired{}, "", err
			}
			return desired(states), tag, nil
		}
		if ended, err := f.wait(ctx, changes, over.C); ended || err != nil {
			return edge.Desired{}, etag, err
		}
	}
}

// wait returns when something may have changed, or says that time is over.
func (f *Feed) wait(ctx context.Context, changes <-chan models.Change, over <-chan time.Time) (ended bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case <-over:
			return true, nil
		case c := <-changes:
			if c.Kind != "network" && c.Kind != "probe" && c.Kind != "all" {
				continue
			}
			gather := time.NewTimer(gatherTime)
			defer gather.Stop()
			select {
			case <-ctx.Done():
				return true, ctx.Err()
			case <-gather.C:
			}
			return false, nil
		}
	}
}

// Report stores what the gateway says.
func (f *Feed) Report(ctx context.Context, st edge.Status) error {
	return f.edge.Report(ctx, report(st), f.quarantine)
}
