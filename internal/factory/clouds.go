package factory

import (
	"sync"
	"sync/atomic"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// Clouds holds this node's client of each cloud.
type Clouds struct {
	mu   sync.RWMutex
	byID map[models.CloudID]*cloud
}

// cloud is a client and what the workers of this node share about it.
type cloud struct {
	*vsphere.Client

	id      models.CloudID
	queuing atomic.Int32  // workers that wait for a clone slot
	suspect chan struct{} // a worker got no answer: the feed shall look
}

// NewClouds makes an empty registry.
func NewClouds() *Clouds { return &Clouds{byID: map[models.CloudID]*cloud{}} }

// Put adds a cloud's client, or replaces it.
func (c *Clouds) Put(id models.CloudID, client *vsphere.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID[id] = &cloud{Client: client, id: id, suspect: make(chan struct{}, 1)}
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

func (c *Clouds) all() []*cloud {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := make([]*cloud, 0, len(c.byID))
	for _, one := range c.byID {
		list = append(list, one)
	}
	return list
}

// suspected has the feed check the connection now.
func (c *cloud) suspected() {
	select {
	case c.suspect <- struct{}{}:
	default:
	}
}
