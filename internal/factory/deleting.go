package factory

import (
	"context"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

func deleteOperation() *operation {
	return &operation{
		steps: []step{
			{name: "power_off", title: "Power off", failing: "The machine could not be powered off", weight: 30, run: switchOff},
			{name: "destroy", title: "Destroy", failing: "The machine could not be destroyed", weight: 60, run: destroy},
			{name: "release", title: "Give back quota and address", weight: 10, quick: true},
		},
		finish: finishDelete,
		end:    endDelete,
	}
}

// switchOff cuts the power. A machine that is gone already has none.
func switchOff(ctx context.Context, v *visit) error {
	return v.unlessGone(v.perform(ctx, func(ctx context.Context) (vsphere.TaskRef, error) {
		vm, err := v.client.FindVM(ctx, v.facts.machine.ID.InstanceUUID())
		if err != nil || vm.Power != vsphere.PoweredOn {
			return "", err
		}
		return v.client.StartPower(ctx, vm.Ref, vsphere.PowerOff)
	}))
}

func destroy(ctx context.Context, v *visit) error {
	if v.gone {
		return nil
	}
	return v.unlessGone(v.perform(ctx, func(ctx context.Context) (vsphere.TaskRef, error) {
		vm, err := v.client.FindVM(ctx, v.facts.machine.ID.InstanceUUID())
		if err != nil {
			return "", err
		}
		return v.client.StartDestroy(ctx, vm.Ref)
	}))
}

// unlessGone takes "not there any more" for what a delete wants.
func (v *visit) unlessGone(err error) error {
	if vsphere.CodeOf(err) == vsphere.CodeNotFound {
		v.gone = true
		return nil
	}
	return err
}

func finishDelete(w *models.Writer, v *visit) error {
	m := &v.facts.machine
	if err := w.ReleaseMachine(m.ID); err != nil {
		return err
	}
	now := models.Now()
	if err := w.MoveMachine(m.ID, models.MachineDeleted, map[string]any{"deleted_at": now}); err != nil {
		return err
	}
	if err := w.LogTask(&v.task, m.Name+" is gone; quota and address are free again."); err != nil {
		return err
	}
	return w.Record(models.Event{
		Action: models.ActionMachineDelete, Object: m.Object(), Outcome: models.OutcomeSucceeded,
		After: map[string]any{"state": models.MachineDeleted},
	})
}

// endDelete leaves a machine that could not be deleted as failed: what is left
// of it keeps its quota, and a delete can be asked for again.
func endDelete(w *models.Writer, e *ending) error {
	if err := w.MoveMachine(e.machine.ID, models.MachineFailed, map[string]any{"failure": e.problem.text}); err != nil {
		return err
	}
	if err := w.Record(models.Event{
		Action: models.ActionMachineDelete, Object: e.machine.Object(), Outcome: models.OutcomeFailed,
		After: map[string]any{"state": models.MachineFailed, "reason": e.problem.text},
	}); err != nil {
		return err
	}
	return w.MoveTask(e.task, models.TaskFailed, nil)
}
