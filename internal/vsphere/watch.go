package vsphere

import (
	"context"
	"time"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	// watchPageSize bounds one answer; the first one may be many pages.
	watchPageSize = 500
	// watchWait is how long vCenter holds a poll without news. The end of a
	// poll makes a dead connection show itself, and keeps the session alive.
	watchWait = 20 * time.Second
)

// Observation is what the feed saw of one VM: all of it, not only the change.
type Observation struct {
	InstanceUUID string
	Ref          string
	Name         string
	Power        Power
	Address      string
	HostName     string
	Host         string
	ToolsRunning bool
	Gone         bool // removed from the inventory, or made a template
}

// Batch is one delivery of the feed.
type Batch struct {
	// Full marks the first batch of a Watch: it is the whole inventory, so a
	// VM that is not in it does not exist.
	Full         bool
	Observations []Observation
}

// Watch feeds the inventory to sink until ctx ends, the session ends, or sink
// returns an error. The caller starts it again; the new first batch tells what
// was missed. It has a session of its own, so that its one long poll and its
// view live and die with it. sink is called by one goroutine at a time; while
// it works vCenter collects what changes.
func (c *Client) Watch(ctx context.Context, sink func(context.Context, Batch) error) error {
	const op = "watch the inventory"
	conn, err := c.dial(ctx)
	if err != nil {
		return newError(ctx, op, err)
	}
	defer func() {
		if err := conn.signOut(ctx); err != nil {
			c.log.DebugContext(ctx, "the watcher's session was not signed out", "reason", words(err))
		}
	}()
	if err := c.feed(ctx, conn, sink); err != nil {
		return newError(ctx, op, err)
	}
	return nil
}

func (c *Client) feed(ctx context.Context, conn *connection, sink func(context.Context, Batch) error) error {
	root, err := c.watchRoot(ctx, conn)
	if err != nil {
		return err
	}
	all, err := view.NewManager(conn.vim).CreateContainerView(ctx, root, []string{kindVM}, true)
	if err != nil {
		return err
	}
	defer func() { _ = all.Destroy(ctx) }()
	collector, err := property.DefaultCollector(conn.vim).Create(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = collector.Destroy(ctx) }()
	if _, err := collector.CreateFilter(ctx, watchFilter(all)); err != nil {
		return err
	}
	poll := types.WaitForUpdatesEx{
		This: collector.Reference(),
		Options: &types.WaitOptions{
			MaxWaitSeconds:   new(int32(c.watchWait.Seconds())),
			MaxObjectUpdates: watchPageSize,
		},
	}
	known := newSightings()
	full := true
	for {
		res, err := methods.WaitForUpdatesEx(ctx, conn.vim, &poll)
		if err != nil {
			return err
		}
		more := false
		if set := res.Returnval; set != nil {
			poll.Version = set.Version
			more = set.Truncated != nil && *set.Truncated
			known.apply(set)
		}
		if full && more {
			continue // the whole inventory goes out in one batch
		}
		if err := c.nameHosts(ctx, conn, known); err != nil {
			return err
		}
		batch := Batch{Full: full, Observations: known.take()}
		if !full && len(batch.Observations) == 0 {
			continue
		}
		if err := sink(ctx, batch); err != nil {
			return err
		}
		full = false
	}
}

// watchRoot is the datacenter if one is named, else everything.
func (c *Client) watchRoot(ctx context.Context, conn *connection) (types.ManagedObjectReference, error) {
	if c.config.Datacenter == "" {
		return conn.vim.ServiceContent.RootFolder, nil
	}
	datacenter, err := c.datacenter(ctx, find.NewFinder(conn.vim, false))
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	return datacenter.Reference(), nil
}

// watchFilter is narrow on purpose: its cost in vCenter is VMs × properties.
func watchFilter(all *view.ContainerView) types.CreateFilter {
	return types.CreateFilter{
		Spec: types.PropertyFilterSpec{
			ObjectSet: []types.ObjectSpec{{
				Obj:       all.Reference(),
				Skip:      new(true),
				SelectSet: []types.BaseSelectionSpec{all.TraversalSpec()},
			}},
			PropSet: []types.PropertySpec{{
				Type: kindVM,
				PathSet: []string{
					"name", "config.instanceUuid", "config.template",
					"runtime.powerState", "runtime.host",
					"guest.ipAddress", "guest.hostName", "guest.toolsRunningStatus",
				},
			}},
		},
	}
}

// nameHosts fills in host names for what is about to be delivered.
func (c *Client) nameHosts(ctx context.Context, conn *connection, known *sightings) error {
	refs := known.hosts()
	if len(refs) == 0 {
		return nil
	}
	names, err := c.hostNames(ctx, conn, refs)
	if err != nil {
		return err
	}
	known.hostNames = names
	return nil
}
