package factory

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// Clouds holds this node's client of each cloud. Which clouds there are may
// change at any time: operators add, change and disable them.
type Clouds struct {
	mu      sync.RWMutex
	byID    map[models.CloudID]*cloud
	changed chan struct{} // closed, and made anew, with every change
}

// cloud is a client and what the workers of this node share about it.
type cloud struct {
	*vsphere.Client

	id       models.CloudID
	revision int
	gone     chan struct{} // closed when another client, or none, took its place
	queuing  atomic.Int32  // workers that wait for a clone slot
	suspect  chan struct{} // a worker got no answer: the feed shall look
}

// NewClouds makes an empty registry.
func NewClouds() *Clouds {
	return &Clouds{byID: map[models.CloudID]*cloud{}, changed: make(chan struct{})}
}

// Put adds a cloud's client, or replaces it.
func (c *Clouds) Put(id models.CloudID, client *vsphere.Client) { c.put(id, client, 0) }

func (c *Clouds) put(id models.CloudID, client *vsphere.Client, revision int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if had := c.byID[id]; had != nil {
		close(had.gone)
	}
	c.byID[id] = &cloud{Client: client, id: id, revision: revision, gone: make(chan struct{}), suspect: make(chan struct{}, 1)}
	c.tell()
}

// tell wakes whoever waits for a change. The lock is held.
func (c *Clouds) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Client returns a cloud's client; false: this node has none.
func (c *Clouds) Client(id models.CloudID) (*vsphere.Client, bool) {
	found, ok := c.get(id)
	if !ok {
		return nil, false
	}
	return found.Client, true
}

func (c *Clouds) get(id models.CloudID) (*cloud, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found, ok := c.byID[id]
	return found, ok
}

// all lists the clouds as they are, and gives what closes when they change.
func (c *Clouds) all() ([]*cloud, <-chan struct{}) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := make([]*cloud, 0, len(c.byID))
	for _, one := range c.byID {
		list = append(list, one)
	}
	return list, c.changed
}

// Connect makes a client of a cloud's connection.
type Connect func(models.CloudLogin) *vsphere.Client

// closePatience is how long a client that is not wanted any more has to sign out.
const closePatience = 3 * time.Second

// Sync brings the clients in line with the records: one for each cloud that is
// not disabled, made anew where its connection changed. None dials yet.
func (c *Clouds) Sync(ctx context.Context, system *models.System, connect Connect) error {
	logins, err := system.CloudLogins(ctx)
	if err != nil {
		return err
	}
	wanted := make(map[models.CloudID]bool, len(logins))
	var over []*cloud
	for _, l := range logins {
		wanted[l.ID] = true
		had, ok := c.get(l.ID)
		if ok && had.revision == l.Revision {
			continue
		}
		if ok {
			over = append(over, had)
		}
		c.put(l.ID, connect(l), l.Revision)
	}
	over = append(over, c.drop(wanted)...)
	sign, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	for _, one := range over {
		_ = one.Close(sign) // its session ends by itself in vCenter too
	}
	return nil
}

// drop forgets the clouds that are not wanted any more.
func (c *Clouds) drop(wanted map[models.CloudID]bool) []*cloud {
	c.mu.Lock()
	defer c.mu.Unlock()
	var over []*cloud
	for id, one := range c.byID {
		if !wanted[id] {
			close(one.gone)
			delete(c.byID, id)
			over = append(over, one)
		}
	}
	if len(over) > 0 {
		c.tell()
	}
	return over
}

// Close signs every client out.
func (c *Clouds) Close(ctx context.Context) {
	for _, one := range c.drop(nil) {
		_ = one.Close(ctx)
	}
}

// suspected has the feed check the connection now.
func (c *cloud) suspected() {
	select {
	case c.suspect <- struct{}{}:
	default:
	}
}
