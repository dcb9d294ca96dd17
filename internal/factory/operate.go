package factory

import (
	"context"
	"errors"
	"fmt"

	"github.com/millwright/millwright/models"
)

// Power accepts a power operation.
func (f *Factory) Power(ctx context.Context, scope *models.Scope, id models.MachineID, op models.PowerOp) (models.Task, error) {
	return f.power(ctx, scope, id, op, "")
}

func (f *Factory) power(ctx context.Context, scope *models.Scope, id models.MachineID, op models.PowerOp, retryOf models.TaskID) (models.Task, error) {
	if _, known := models.PowerRules[op]; !known {
		return models.Task{}, models.Invalid(map[string]string{"op": "There is no such operation."})
	}
	var (
		t      models.Task
		object models.Object
	)
	err := scope.Change(ctx, func(w *models.Writer) error {
		m, err := w.Machine(id)
		if err != nil {
			return err
		}
		t = models.Task{MachineID: m.ID, MachineName: m.Name, Kind: models.TaskPower, Op: op, RetryOf: retryOf}
		object = m.Object()
		if !op.AllowedFrom(m.State) {
			if m.TaskID != "" {
				return models.Conflict(fmt.Sprintf("Something is already being done to %s. Wait until its task has ended.", m.Name))
			}
			return models.Conflict(fmt.Sprintf("%s is %s; it can't be asked to %s now.", m.Name, m.State, op))
		}
		return f.begin(ctx, w, &t, models.Event{ // one active Task per machine: InsertTask refuses a second
			Action: models.ActionMachinePower, Object: m.Object(), Outcome: models.OutcomeAccepted,
			Before: map[string]any{"state": m.State}, After: map[string]any{"op": op},
		})
	})
	return t, f.refuse(ctx, scope, models.ActionMachinePower, object, err)
}

// refuse tells the history of what was asked for in vain, for want of room or
// because of something else under way, and hands the reason on.
func (f *Factory) refuse(ctx context.Context, scope *models.Scope, action models.Action, object models.Object, reason error) error {
	var why *models.Error
	if !errors.As(reason, &why) || (why.Code != models.CodeQuota && why.Code != models.CodeConflict) {
		return reason
	}
	err := f.system.RecordIn(ctx, scope.Org().ID, scope.Actor(), models.Event{
		Action: action, Object: object, Outcome: models.OutcomeRefused, After: map[string]any{"reason": why.Message}})
	if err != nil {
		f.log.WarnContext(ctx, "a refusal was not recorded", "error", err)
	}
	return reason
}

// Delete accepts the removal of a machine. confirm must be its name.
func (f *Factory) Delete(ctx context.Context, scope *models.Scope, id models.MachineID, confirm string) (models.Task, error) {
	return f.delete(ctx, scope, id, func(m models.MachineRow) error {
		if confirm != m.Name {
			return models.Invalid(map[string]string{"confirm": fmt.Sprintf("Type the machine's name, %s, to delete it for good.", m.Name)})
		}
		return nil
	}, "")
}

func (f *Factory) delete(ctx context.Context, scope *models.Scope, id models.MachineID, check func(models.MachineRow) error, retryOf models.TaskID) (models.Task, error) {
	var (
		t      models.Task
		object models.Object
	)
	err := scope.Change(ctx, func(w *models.Writer) error {
		m, err := w.Machine(id)
		if err != nil {
			return err
		}
		object = m.Object()
		if err := check(m); err != nil {
			return err
		}
		if m.State == models.MachineBuilding {
			return models.Conflict(fmt.Sprintf("%s is still being made. Cancel its task instead.", m.Name))
		}
		t, err = f.deleteIn(ctx, w, &m, retryOf)
		return err
	})
	return t, f.refuse(ctx, scope, models.ActionMachineDelete, object, err)
}

// deleteIn stores a machine's removal with its Task, in a transaction that may
// hold more.
func (f *Factory) deleteIn(ctx context.Context, w *models.Writer, m *models.MachineRow, retryOf models.TaskID) (models.Task, error) {
	t := models.Task{MachineID: m.ID, MachineName: m.Name, Kind: models.TaskDelete, RetryOf: retryOf}
	err := f.begin(ctx, w, &t, models.Event{
		Action: models.ActionMachineDelete, Object: m.Object(), Outcome: models.OutcomeAccepted,
		Before: map[string]any{"state": m.State, "address": m.Address},
	})
	if err != nil {
		return t, err
	}
	return t, w.MoveMachine(m.ID, models.MachineDeleting, nil)
}
