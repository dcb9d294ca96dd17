package factory

import (
	"context"
	"sync"
	"time"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// leftoverGrace is how long after a machine's end its VM is left alone: its
// Task may be about to tell of it.
const leftoverGrace = 10 * time.Second

// present is which VMs the feed knows to be in vCenter.
type present struct {
	mu    sync.Mutex
	uuids map[string]bool
}

func newPresent() *present { return &present{uuids: map[string]bool{}} }

func (p *present) note(b vsphere.Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range b.Observations {
		if o.Gone {
			delete(p.uuids, o.InstanceUUID)
		} else {
			p.uuids[o.InstanceUUID] = true
		}
	}
}

func (p *present) ids() []models.MachineID {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := make([]models.MachineID, 0, len(p.uuids))
	for uuid := range p.uuids {
		ids = append(ids, models.MachineID(uuid))
	}
	return ids
}

// sweep removes VMs of machines that are no more: a clone whose answer was
// lost in a crash, and whose order was cancelled before the VM came up. Only a
// VM with the id of a deleted or undone machine of this very cloud is touched.
func (f *Factory) sweep(ctx context.Context, c *cloud, inventory *present) {
	leftovers, err := f.system.Leftovers(ctx, c.id, inventory.ids())
	if err != nil {
		if ctx.Err() == nil {
			f.log.WarnContext(ctx, "looking for leftovers failed", "cloud", c.id, "error", err)
		}
		return
	}
	for _, m := range leftovers {
		if time.Since(m.UpdatedAt) < leftoverGrace {
			continue
		}
		removed, err := f.removeLeftover(ctx, c, m)
		if err != nil {
			f.log.WarnContext(ctx, "a leftover could not be removed", "cloud", c.id, "machine", m.ID, "error", err)
			continue
		}
		if !removed {
			continue
		}
		f.log.WarnContext(ctx, "removed a VM whose machine is no more", "cloud", c.id, "machine", m.ID)
		err = f.system.RecordIn(ctx, m.OrgID, models.SystemActor, models.Event{
			Action: models.ActionMachineDelete, Object: m.Object(), Outcome: models.OutcomeSucceeded,
			After: map[string]any{"reason": "left over in vSphere"},
		})
		if err != nil {
			f.log.WarnContext(ctx, "the removal of a leftover was not recorded", "machine", m.ID, "error", err)
		}
	}
}

func (f *Factory) removeLeftover(ctx context.Context, c *cloud, m models.Machine) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.VisitFor)
	defer cancel()
	vm, err := c.FindVM(ctx, m.ID.InstanceUUID())
	if vsphere.CodeOf(err) == vsphere.CodeNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// A retry may have taken the machine up again since the list was made.
	left, err := f.system.Leftovers(ctx, c.id, []models.MachineID{m.ID})
	if err != nil || len(left) == 0 {
		return false, err
	}
	if vm.Power == vsphere.PoweredOn {
		ref, err := c.StartPower(ctx, vm.Ref, vsphere.PowerOff)
		if err != nil {
			return false, err
		}
		if _, err := c.Await(ctx, ref, nil); err != nil {
			return false, err
		}
	}
	ref, err := c.StartDestroy(ctx, vm.Ref)
	if err == nil {
		_, err = c.Await(ctx, ref, nil)
	}
	return err == nil, err
}
