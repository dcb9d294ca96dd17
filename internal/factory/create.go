package factory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

const stepClone = "clone"

func createOperation() *operation {
	return &operation{
		steps: []step{
			{name: "reserve", title: "Reserve quota, name and address", weight: 1, accepted: true, quick: true},
			{name: "place", title: "Find its place in the cloud", failing: "The machine found no place", weight: 1, quick: true, run: place},
			{name: stepClone, title: "Clone the template", failing: "The template could not be cloned", weight: 60, run: clone},
			{name: "configure", title: "Set disk and network", failing: "Disk and network could not be set", weight: 8, run: configure},
			{name: "power_on", title: "Power on", failing: "The machine could not be powered on", weight: 8, run: powerOn},
			{name: "guest", title: "Wait for the guest and its address", failing: "The guest did not come up", weight: 20, run: waitGuest},
			{name: "ready", title: "Hand over", weight: 2, quick: true},
		},
		finish: finishCreate,
		undo:   undoCreate,
		end:    endCreate,
	}
}

// place makes sure that the cloud chosen at order still has what it takes.
func place(_ context.Context, v *visit) error {
	if v.facts.image == "" {
		return problem{code: string(vsphere.CodeNotFound), text: fmt.Sprintf(
			"%s is not offered in %s any more. Choose another template or cloud.", v.facts.template.Name, v.facts.cloud.Name)}
	}
	sentence := fmt.Sprintf("Goes to %s, network %s, address %s.", v.facts.cloud.Name, v.facts.network.Name, v.facts.machine.Address)
	v.later(func(w *models.Writer) error { return w.LogTask(&v.task, sentence) })
	return nil
}

// clone makes the VM, once: whatever a crash left unknown is looked up by the
// instance UUID, and vCenter refuses a second VM of that name.
func clone(ctx context.Context, v *visit) error {
	ref := v.reference()
	release := func() {}
	if ref == "" {
		var err error
		if ref, release, err = startClone(ctx, v); err != nil || ref == "" {
			return err
		}
	}
	result, err := v.follow(ctx, ref)
	if errors.Is(err, errAgain) {
		v.f.hold(ctx, v.client, ref, release) // the slot is the clone's, not the visit's
		return err
	}
	release()
	switch code := vsphere.CodeOf(err); {
	case err == nil:
		v.vm = &vsphere.VM{Ref: result.Ref, InstanceUUID: v.facts.machine.ID.InstanceUUID()}
		return nil
	case code == vsphere.CodeTaskGone, code == vsphere.CodeDuplicateName,
		vsphere.IsVerdict(err) && (vsphere.IsTransient(err) || code == vsphere.CodeNotFound):
		// Gone: it may have made the VM. Duplicate: an earlier clone, whose
		// answer was lost, has or will. Not found: a reference from before
		// vCenter was started anew; what is truly not there, the look-up for
		// the next clone tells for good. Either way the look-up tells.
		if err := v.refer(ctx, ""); err != nil {
			return err
		}
		return v.rest(ctx, "", time.Second)
	default:
		return err
	}
}

// startClone submits the clone in a slot of its own. An empty reference: the
// VM is there already.
func startClone(ctx context.Context, v *visit) (vsphere.TaskRef, func(), error) {
	nothing := func() {}
	release, err := v.slot(ctx)
	if err != nil {
		return "", nothing, err
	}
	if vm, err := v.locate(ctx); vsphere.CodeOf(err) != vsphere.CodeNotFound {
		release()
		if err == nil {
			v.vm = &vm
		}
		return "", nothing, err
	}
	ref, err := v.client.StartClone(ctx, v.cloneSpec())
	if err != nil {
		release()
		if vsphere.CodeOf(err) == vsphere.CodeDuplicateName {
			err = v.rest(ctx, "", time.Second)
		}
		return "", nothing, err
	}
	if err := v.refer(ctx, ref); err != nil {
		v.f.hold(ctx, v.client, ref, release)
		return "", nothing, err
	}
	return ref, release, nil
}

// slot waits for room to clone in.
func (v *visit) slot(ctx context.Context) (func(), error) {
	name := v.facts.cloud.Name
	full := name + " makes as many machines at once as it takes; this one waits for its turn."
	if int(v.client.queuing.Add(1)) > v.f.options.MaxQueuing {
		v.client.queuing.Add(-1)
		return nil, v.rest(ctx, full, 3*time.Second)
	}
	defer v.client.queuing.Add(-1)
	quick, stop := context.WithTimeout(ctx, time.Second)
	release, err := v.client.AcquireCloneSlot(quick)
	stop()
	if err == nil || ctx.Err() != nil {
		return release, err
	}
	if err := v.say(ctx, full); err != nil {
		return nil, err
	}
	release, err = await(ctx, v, nil, nil, v.client.AcquireCloneSlot)
	if err == nil && v.task.State == models.TaskCancelling {
		release()
		return nil, errCancelled
	}
	return release, err
}

// hold keeps a clone's slot until the clone has ended, when the visit that
// started it has not waited for that.
func (f *Factory) hold(ctx context.Context, client *cloud, ref vsphere.TaskRef, release func()) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Hour)
	f.holders.Go(func() {
		select {
		case <-f.closed:
			cancel()
		case <-ctx.Done():
		}
	})
	f.holders.Go(func() {
		defer release()
		defer cancel()
		for {
			_, err := client.Await(ctx, ref, nil)
			if err == nil || ctx.Err() != nil || !vsphere.IsTransient(err) || vsphere.IsVerdict(err) {
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(jobs.Jitter(jobs.SnoozeMax)):
			}
		}
	})
}

func (v *visit) cloneSpec() vsphere.CloneSpec {
	m := v.facts.machine
	spec := vsphere.CloneSpec{
		InstanceUUID: m.ID.InstanceUUID(), Name: models.VMName(m.Name, m.ID),
		TemplateUUID: v.facts.image, OrgFolder: v.facts.folder,
		VCPUs: m.VCPUs, MemoryMiB: m.MemoryMiB, Annotation: v.annotation(),
		Network: v.facts.network.PortGroup, VLAN: v.facts.network.VLAN,
		HostName: m.Name, Address: m.Address, Gateway: v.facts.network.Gateway,
	}
	if prefix, err := netip.ParsePrefix(v.facts.network.CIDR); err == nil {
		spec.PrefixLength = prefix.Bits()
	}
	return spec
}

// annotation is what an operator reads at the VM in vSphere.
func (v *visit) annotation() string {
	return fmt.Sprintf("Millwright machine %s of %s, ordered by %s.", v.facts.machine.Name, v.facts.folder, v.task.ActorName)
}

func configure(ctx context.Context, v *visit) error {
	return v.perform(ctx, func(ctx context.Context) (vsphere.TaskRef, error) {
		vm, err := v.locate(ctx)
		if err != nil {
			return "", err
		}
		return v.client.StartReconfigure(ctx, vm.Ref, vsphere.DeviceSpec{
			DiskGiB: v.facts.machine.DiskGiB, Network: v.facts.network.PortGroup, VLAN: v.facts.network.VLAN, Annotation: v.annotation(),
		})
	})
}

func powerOn(ctx context.Context, v *visit) error {
	return v.perform(ctx, func(ctx context.Context) (vsphere.TaskRef, error) {
		vm, err := v.locate(ctx)
		if err != nil {
			return "", err
		}
		return v.client.StartPower(ctx, vm.Ref, vsphere.PowerOn)
	})
}

// waitGuest waits for tools and address, and hands the machine over without
// them when its patience ends: a template may have no tools.
func waitGuest(ctx context.Context, v *visit) error {
	vm, err := v.locate(ctx)
	if err != nil {
		return err
	}
	started := time.Now()
	if s := v.steps[v.at].StartedAt; s != nil {
		started = *s
	}
	patience := time.Until(started.Add(v.f.options.GuestPatience))
	if patience > 0 {
		var cut bool
		vm, err = await(ctx, v, nil, nil, func(ctx context.Context) (vsphere.VM, error) {
			patient, stop := context.WithTimeout(ctx, patience)
			defer stop()
			seen, err := v.client.WaitGuest(patient, vm.Ref)
			cut = err != nil && patient.Err() != nil && ctx.Err() == nil
			return seen, err
		})
		if err == nil {
			v.vm = &vm
			return nil
		}
		if !cut {
			return err
		}
	}
	v.later(func(w *models.Writer) error {
		return w.LogTask(&v.task, "The guest has not reported its tools or address yet; the machine is handed over without.")
	})
	v.vm = nil
	_, err = v.locate(ctx)
	return err
}

func finishCreate(w *models.Writer, v *visit) error {
	m := &v.facts.machine
	if err := w.LogTask(&v.task, fmt.Sprintf("%s runs.", m.Name)); err != nil {
		return err
	}
	if err := w.MoveMachine(m.ID, models.MachineRunning, shown(*v.vm)); err != nil {
		return err
	}
	return w.Record(models.Event{
		Action: models.ActionMachineCreate, Object: m.Object(), Outcome: models.OutcomeSucceeded,
		After: map[string]any{"state": models.MachineRunning, "address": m.Address},
	})
}

// undoCreate ends the clone if it is still under way, and removes what there
// is of the VM.
func undoCreate(ctx context.Context, v *visit) error {
	for _, s := range v.steps {
		if s.Name != stepClone || s.Reference == "" || s.State == models.StepDone {
			continue
		}
		ref := vsphere.TaskRef(s.Reference)
		if err := v.client.CancelTask(ctx, ref); err != nil && vsphere.IsTransient(err) {
			return err
		}
		if err := v.endure(ctx, ref); errors.Is(err, errAgain) || away(err) {
			return err // however it ended, it has to have ended
		}
	}
	return v.remove(ctx)
}

// endCreate closes a create that failed or was cancelled: quota and address go
// back, unless something was left behind that still takes them.
func endCreate(w *models.Writer, e *ending) error {
	if e.undone {
		if err := w.ReleaseMachine(e.machine.ID); err != nil {
			return err
		}
	}
	state, set := models.MachineFailed, map[string]any{"failure": e.problem.text}
	if e.to == models.TaskCancelled {
		now := models.Now()
		state, set = models.MachineDeleted, map[string]any{"deleted_at": now}
	}
	if err := w.MoveMachine(e.machine.ID, state, set); err != nil {
		return err
	}
	after := map[string]any{"state": state}
	text, outcome := "Cancelled; everything was undone.", models.OutcomeFailed
	if e.to == models.TaskCancelled {
		outcome = models.OutcomeCancelled
		after["reason"] = "cancelled"
	} else {
		after["reason"] = e.problem.text
		text = "Everything was undone; quota and address are free again."
		if !e.undone {
			text = leftBehind("")
		}
	}
	if err := w.LogTask(e.task, text); err != nil {
		return err
	}
	if err := w.Record(models.Event{
		Action: models.ActionMachineCreate, Object: e.machine.Object(), Outcome: outcome, After: after,
	}); err != nil {
		return err
	}
	return w.MoveTask(e.task, e.to, map[string]any{"undone": e.undone, "error_text": e.problem.text})
}
