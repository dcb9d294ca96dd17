package audit

import (
	"context"
	"sync"

	"github.com/millwright/millwright/models"
)

// turns lets one after the other do a thing for an org. Whoever waits gives up
// with its context, as a lock would not: an export whose reader has gone must
// not hold its place until the hourly signing is through.
type turns struct {
	mu sync.Mutex
	of map[models.OrgID]chan struct{} // has room for whose turn it is
}

func newTurns() *turns { return &turns{of: map[models.OrgID]chan struct{}{}} }

// take waits for the org's turn; done ends it.
func (t *turns) take(ctx context.Context, org models.OrgID) (done func(), err error) {
	t.mu.Lock()
	turn := t.of[org]
	if turn == nil {
		turn = make(chan struct{}, 1)
		t.of[org] = turn
	}
	t.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
