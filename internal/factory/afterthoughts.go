package factory

import (
	"context"
	"time"

	"github.com/millwright/millwright/models"
)

const (
	// afterQuiet is how long nothing has happened to a machine before it is
	// compared with vCenter.
	afterQuiet = time.Second
	// afterFor is how far back a change of state is worth comparing: longer
	// than everybody's turn takes to come around.
	afterFor = 45 * time.Second
)

// afterthoughts collects machines that something was done to here. vCenter
// tells what differs from what it told before: when other hands undo in a
// moment what a Task did, nothing does, and the feed is silent while the
// machine's state is wrong. So each is looked up once more, a little later.
type afterthoughts struct {
	touched map[models.MachineID]time.Time
	lost    bool // changes went by unseen
}

func newAfterthoughts() *afterthoughts {
	return &afterthoughts{touched: map[models.MachineID]time.Time{}}
}

func (a *afterthoughts) note(c models.Change) {
	switch c.Kind {
	case "machine":
		a.touched[models.MachineID(c.ID)] = time.Now()
	case "all":
		a.lost = true
	}
}

// due takes out who has been quiet for long enough; nil stands for everybody.
func (a *afterthoughts) due() (ids []models.MachineID, found bool) {
	for id, at := range a.touched {
		if time.Since(at) >= afterQuiet {
			ids = append(ids, id)
			delete(a.touched, id)
		}
	}
	if a.lost {
		a.lost = false
		return nil, true
	}
	return ids, len(ids) > 0
}

// compare looks those up in vCenter whose state was changed here just now.
func (f *Factory) compare(ctx context.Context, c *cloud, after *afterthoughts) error {
	ids, found := after.due()
	if !found {
		return nil
	}
	asked := models.Now()
	moved, err := f.system.RecentlyMoved(ctx, c.id, ids, models.Now().Add(-afterFor))
	if err != nil || len(moved) == 0 {
		return err
	}
	seen := make([]models.Observation, 0, len(moved))
	for id := range moved {
		one, err := lookUp(ctx, c, id)
		if err != nil {
			return err
		}
		seen = append(seen, one)
	}
	return f.system.Observe(ctx, c.id, false, models.Now(), asked, seen)
}
