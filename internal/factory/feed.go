package factory

import (
	"context"
	"time"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

const (
	feedPauseFirst   = 500 * time.Millisecond
	feedPauseLongest = 15 * time.Second
	// coalesce is how long the feed lets changes gather in vCenter between two
	// deliveries: a machine that is being made changes many times a second.
	coalesce = 250 * time.Millisecond
	// feedLag is how old a delivery can be by the time that it is stored.
	feedLag = 3 * time.Second
)

// feed keeps our picture of one cloud up to date until ctx ends: machines as
// they change, capacity now and then, and whether it answers. One node feeds
// each cloud; the others wait for their turn.
func (f *Factory) feed(ctx context.Context, c *cloud) {
	pause := feedPauseFirst
	for ctx.Err() == nil {
		err := f.system.Exclusively(ctx, "feed/"+string(c.id), func(ctx context.Context) error {
			return f.feedOnce(ctx, c, func() { pause = feedPauseFirst })
		})
		if ctx.Err() != nil {
			return
		}
		f.log.WarnContext(ctx, "the feed of a cloud was interrupted", "cloud", c.id, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(jobs.Jitter(pause)):
		}
		pause = min(2*pause, feedPauseLongest)
	}
}

// feedOnce watches until something breaks.
func (f *Factory) feedOnce(ctx context.Context, c *cloud, connected func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	inventory := newPresent()
	began := models.Now() // before vCenter is read: what is stored later is newer
	watched := make(chan error, 1)
	go func() {
		watched <- c.Watch(ctx, func(ctx context.Context, b vsphere.Batch) error {
			if b.Full {
				connected()
				if err := f.readCapacity(ctx, c); err != nil {
					return err
				}
			}
			return f.observe(ctx, c, b, began, inventory)
		})
	}()
	capacity, sweep := time.NewTicker(f.options.CapacityEvery), time.NewTicker(f.options.SweepEvery)
	defer capacity.Stop()
	defer sweep.Stop()
	changes, unwatch := f.system.Watch()
	defer unwatch()
	after := newAfterthoughts()
	afterthought := time.NewTicker(afterQuiet)
	defer afterthought.Stop()
	for {
		var err error
		select {
		case err = <-watched:
			f.unreachable(ctx, c, err)
			return err
		case <-capacity.C:
			after.lost = true // announcements may have got lost between nodes
			err = f.readCapacity(ctx, c)
		case <-c.suspect:
			err = f.readCapacity(ctx, c)
		case <-sweep.C:
			f.sweep(ctx, c, inventory)
			f.clearNetworks(ctx, c)
		case change := <-changes:
			after.note(change)
		case <-afterthought.C:
			err = f.compare(ctx, c, after)
		}
		if err != nil && !away(err) && ctx.Err() == nil {
			f.log.WarnContext(ctx, "reading a cloud failed", "cloud", c.id, "error", err)
		}
		if err != nil && away(err) && ctx.Err() == nil {
			stop() // the watch would find out only when its poll ends
			<-watched
			f.unreachable(context.WithoutCancel(ctx), c, err)
			return err
		}
	}
}

// observe hands a delivery on.
func (f *Factory) observe(ctx context.Context, c *cloud, b vsphere.Batch, began time.Time, inventory *present) error {
	at := models.Now()
	if b.Full {
		at = began
	}
	seen := make([]models.Observation, len(b.Observations))
	for i, o := range b.Observations {
		seen[i] = models.Observation{
			InstanceUUID: o.InstanceUUID, Ref: o.Ref, Power: observedPower(o.Power), Address: o.Address,
			Host: o.Host, ToolsRunning: o.ToolsRunning, Gone: o.Gone,
		}
	}
	inventory.note(b)
	asked := models.Now()
	if err := f.reread(ctx, c, seen, at.Add(-feedLag)); err != nil {
		return err
	}
	if err := f.system.Observe(ctx, c.id, b.Full, at, asked, seen); err != nil {
		return err
	}
	if b.Full {
		f.sweep(ctx, c, inventory)
		f.clearNetworks(ctx, c)
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(coalesce):
		return nil
	}
}

// reread replaces what the delivery says of machines that a Task has left since
// then: it may be older than the Task's end, and would be taken for a change by
// other hands.
func (f *Factory) reread(ctx context.Context, c *cloud, seen []models.Observation, since time.Time) error {
	ids := make([]models.MachineID, len(seen))
	for i, o := range seen {
		ids[i] = models.MachineID(o.InstanceUUID)
	}
	moved, err := f.system.RecentlyMoved(ctx, c.id, ids, since)
	if err != nil {
		return err
	}
	for i, o := range seen {
		if !moved[models.MachineID(o.InstanceUUID)] {
			continue
		}
		if seen[i], err = lookUp(ctx, c, models.MachineID(o.InstanceUUID)); err != nil {
			return err
		}
	}
	return nil
}

// lookUp is what vCenter shows of a machine at this moment.
func lookUp(ctx context.Context, c *cloud, id models.MachineID) (models.Observation, error) {
	vm, err := c.FindVM(ctx, id.InstanceUUID())
	if vsphere.CodeOf(err) == vsphere.CodeNotFound {
		return models.Observation{InstanceUUID: id.InstanceUUID(), Gone: true}, nil
	}
	return observed(vm), err
}

// readCapacity stores what the cloud has free, which says that it answers.
func (f *Factory) readCapacity(ctx context.Context, c *cloud) error {
	free, err := c.Capacity(ctx)
	if err != nil {
		return err
	}
	health := models.CloudHealth{
		Status: models.CloudConnected, Hosts: free.HostsUsable,
		FreeMemoryMiB: int64(free.MemoryMiBFree), FreeStorageGiB: int64(free.StorageGiBFree),
	}
	if free.CPUMHzTotal > 0 {
		health.FreeVCPUs = free.Cores * free.CPUMHzFree / free.CPUMHzTotal
	}
	return f.system.SetCloudHealth(ctx, c.id, health)
}

// unreachable stores that the cloud can't be used. A session that ended says
// nothing about that: the next one is made at once.
func (f *Factory) unreachable(ctx context.Context, c *cloud, err error) {
	code := vsphere.CodeOf(err)
	if ctx.Err() != nil || err == nil || code == vsphere.CodeNotAuthenticated || code == vsphere.CodeInterrupted {
		return
	}
	stored := f.system.SetCloudHealth(ctx, c.id, models.CloudHealth{Status: models.CloudUnreachable, StatusText: err.Error()})
	if stored != nil {
		f.log.WarnContext(ctx, "a cloud's state was not stored", "cloud", c.id, "error", stored)
	}
}
