package factory

import (
	"context"
	"fmt"
	"time"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// powerVerb is an operation's name at the head of a step.
var powerVerbs = map[models.PowerOp]string{ //nolint:gochecknoglobals // a constant table
	models.PowerStart: "Power on", models.PowerStop: "Power off", models.PowerShutdown: "Ask the guest to shut down",
	models.PowerReset: "Reset", models.PowerSuspend: "Suspend", models.PowerResume: "Resume",
}

var powerCalls = map[models.PowerOp]vsphere.PowerOp{ //nolint:gochecknoglobals // a constant table
	models.PowerStart: vsphere.PowerOn, models.PowerResume: vsphere.PowerOn, models.PowerStop: vsphere.PowerOff,
	models.PowerShutdown: vsphere.ShutdownGuest, models.PowerReset: vsphere.Reset, models.PowerSuspend: vsphere.Suspend,
}

// guestAsked stands in the step's reference for a request that has no vSphere
// task.
const guestAsked = "guest-asked"

func powerOperation() *operation {
	return &operation{
		steps: []step{
			{name: "power", title: "Change the power state", failing: "The power state could not be changed", weight: 90, run: changePower},
			{name: "check", title: "Read the machine's state", failing: "The machine's state could not be read", weight: 10, quick: true, late: true, run: check},
		},
		retitle: func(t *models.Task, s step) string {
			if s.name == "power" {
				return powerVerbs[t.Op]
			}
			return s.title
		},
		finish: finishPower,
		end:    endPower,
	}
}

func changePower(ctx context.Context, v *visit) error {
	vm, err := v.locate(ctx)
	if err != nil {
		return v.vanished(err)
	}
	if v.task.Op == models.PowerShutdown {
		return v.vanished(shutDown(ctx, v, vm))
	}
	submitted := false
	err = v.perform(ctx, func(ctx context.Context) (vsphere.TaskRef, error) {
		if submitted && v.task.Op == models.PowerReset {
			return "", nil // vCenter forgot the task: it was done
		}
		submitted = true
		return v.client.StartPower(ctx, vm.Ref, powerCalls[v.task.Op])
	})
	return v.vanished(err)
}

// shutDown asks the guest, once, and waits for it to be off.
func shutDown(ctx context.Context, v *visit, vm vsphere.VM) error {
	if vm.Power == vsphere.PoweredOff {
		return nil
	}
	if v.reference() == "" {
		if !vm.ToolsRunning {
			return problem{code: "tools_not_running", text: fmt.Sprintf(
				"VMware Tools don't run in %s, so its guest can't be asked to shut down. Use Stop to cut its power, or install the tools first.", v.task.MachineName)}
		}
		if _, err := v.client.StartPower(ctx, vm.Ref, vsphere.ShutdownGuest); err != nil {
			return err
		}
		if err := v.refer(ctx, guestAsked); err != nil {
			return err
		}
	}
	started := time.Now()
	if s := v.steps[v.at].StartedAt; s != nil {
		started = *s
	}
	patience := time.Until(started.Add(v.f.options.ShutdownPatience))
	var cut bool
	_, err := await(ctx, v, nil, nil, func(ctx context.Context) (struct{}, error) {
		patient, stop := context.WithTimeout(ctx, patience)
		defer stop()
		err := v.client.WaitPower(patient, vm.Ref, vsphere.PoweredOff)
		cut = err != nil && patient.Err() != nil && ctx.Err() == nil
		return struct{}{}, err
	})
	if cut {
		return problem{code: "guest_still_up", text: fmt.Sprintf(
			"%s was asked to shut down and is still up. Look at its screen, or use Stop to cut its power.", v.task.MachineName)}
	}
	return err
}

// vanished puts into words that the VM is not there any more.
func (v *visit) vanished(err error) error {
	if vsphere.CodeOf(err) != vsphere.CodeNotFound {
		return err
	}
	v.vm, v.gone = nil, true
	return problem{code: string(vsphere.CodeNotFound), detail: err.Error(), text: fmt.Sprintf(
		"%s is not in %s any more: it was removed there by other hands. Ask your provider, or delete it here.", v.task.MachineName, v.facts.cloud.Name)}
}

// check reads what the operation led to.
func check(ctx context.Context, v *visit) error {
	v.vm = nil
	_, err := v.locate(ctx)
	return v.vanished(err)
}

func finishPower(w *models.Writer, v *visit) error {
	state, err := v.settleState(w)
	if err != nil {
		return err
	}
	return w.Record(models.Event{
		Action: models.ActionMachinePower, Object: v.facts.machine.Object(), Outcome: models.OutcomeSucceeded,
		Before: map[string]any{"state": v.facts.machine.State}, After: map[string]any{"op": v.task.Op, "state": state},
	})
}

// settleState moves the machine to what vCenter shows.
func (v *visit) settleState(w *models.Writer) (models.MachineState, error) {
	m := &v.facts.machine
	state := stateOf(*v.vm)
	if state == "" || state == m.State {
		return m.State, w.SetMachine(m.ID, shown(*v.vm))
	}
	return state, w.MoveMachine(m.ID, state, shown(*v.vm))
}

func endPower(w *models.Writer, e *ending) error {
	after := map[string]any{"op": e.task.Op}
	if e.to == models.TaskCancelled {
		after["reason"] = "cancelled"
	} else {
		after["reason"] = e.problem.text
	}
	if err := w.Record(models.Event{
		Action: models.ActionMachinePower, Object: e.machine.Object(), Outcome: models.OutcomeFailed, After: after,
	}); err != nil {
		return err
	}
	return w.MoveTask(e.task, e.to, nil)
}

// observedPower is vSphere's own word for a power state, as the feed writes it.
func observedPower(p vsphere.Power) string {
	switch p {
	case vsphere.PoweredOn:
		return "poweredOn"
	case vsphere.PoweredOff:
		return "poweredOff"
	case vsphere.Suspended:
		return "suspended"
	}
	return ""
}

func stateOf(vm vsphere.VM) models.MachineState {
	switch vm.Power {
	case vsphere.PoweredOn:
		return models.MachineRunning
	case vsphere.PoweredOff:
		return models.MachineStopped
	case vsphere.Suspended:
		return models.MachineSuspended
	}
	return ""
}

// shown is a VM as columns of its machine.
func shown(vm vsphere.VM) map[string]any {
	return map[string]any{
		"vm_ref": vm.Ref, "observed_power": observedPower(vm.Power), "observed_address": vm.Address,
		"host": vm.Host, "tools_running": vm.ToolsRunning, "observed_at": models.Now(),
	}
}

// observed is a VM as the feed would report it.
func observed(vm vsphere.VM) models.Observation {
	return models.Observation{
		InstanceUUID: vm.InstanceUUID, Ref: vm.Ref, Power: observedPower(vm.Power), Address: vm.Address,
		Host: vm.Host, ToolsRunning: vm.ToolsRunning,
	}
}
