package factory

import (
	"context"
	"errors"

	"github.com/millwright/millwright/models"
)

// Cancel asks a Task to stop. One that no worker has begun ends at once; one
// that is being worked on ends at its next step, with what it made undone.
func (f *Factory) Cancel(ctx context.Context, scope *models.Scope, id models.TaskID) error {
	err := scope.Change(ctx, func(w *models.Writer) error {
		d, err := w.Task(id)
		if err != nil {
			return err
		}
		t := &d.Task
		switch t.Kind {
		case models.TaskDelete:
			return models.Conflict("A delete can't be cancelled: the machine may be gone already.")
		case models.TaskClear:
			return models.Conflict("The network is deleted; what is left of it goes too.")
		default:
		}
		if t.State == models.TaskCancelling {
			return models.Conflict("This task is being cancelled already.")
		}
		if !t.State.Active() {
			return models.Conflict("This task has ended; there is nothing to cancel.")
		}
		err = w.Record(models.Event{
			Action: models.ActionTaskCancel, Object: t.Object(), Outcome: models.OutcomeAccepted,
			Before: map[string]any{"state": t.State}, After: map[string]any{"kind": t.Kind},
		})
		if err != nil {
			return err
		}
		running := t.State == models.TaskRunning
		if running {
			if err := w.MoveTask(t, models.TaskCancelling, nil); err != nil {
				return err
			}
		}
		m, err := w.MachineRecord(t.MachineID)
		if err != nil {
			return err
		}
		if t.Kind == models.TaskRetire && m.State == models.MachineDeleting {
			return models.Conflict("The node is out of the service already, and the machine goes: it is too late to cancel.")
		}
		if running {
			return nil
		}
		return f.operations[t.Kind].end(w, &ending{task: t, machine: &m, to: models.TaskCancelled, undone: true})
	})
	if err == nil {
		f.visits.poke(id)
	}
	return err
}

// Retry does again what a failed Task was for, as a new Task that names it.
func (f *Factory) Retry(ctx context.Context, scope *models.Scope, id models.TaskID) (models.Task, error) {
	var old models.Task
	err := scope.Read(ctx, func(r *models.Reader) error {
		d, err := r.Task(id)
		if err != nil {
			return err
		}
		old = d.Task
		if old.State != models.TaskFailed {
			return models.Conflict("Only a task that failed can be tried again.")
		}
		latest, err := r.LatestTask(old.MachineID)
		if old.NetworkID != "" {
			latest, err = r.LatestClear(old.NetworkID)
		}
		if err == nil && latest.ID != old.ID {
			return models.Conflict("Something else was done about this since. Look at the latest task.")
		}
		return err
	})
	if err != nil {
		return models.Task{}, err
	}
	switch old.Kind {
	case models.TaskPower:
		return f.power(ctx, scope, old.MachineID, old.Op, old.ID)
	case models.TaskMedia:
		return f.media(ctx, scope, old.MachineID, old.Media, old.ID)
	case models.TaskClear:
		return f.clear(ctx, scope, old.NetworkID, old.ID)
	case models.TaskDelete, models.TaskRetire: // whose node is out already
		return f.delete(ctx, scope, old.MachineID, func(models.MachineRow) error { return nil }, old.ID)
	default:
		return f.rebuild(ctx, scope, old)
	}
}

// rebuild is the retry of a failed create: a new reservation, from the first
// step.
func (f *Factory) rebuild(ctx context.Context, scope *models.Scope, old models.Task) (models.Task, error) {
	var t models.Task
	err := scope.Change(ctx, func(w *models.Writer) error {
		m, err := w.MachineRecord(old.MachineID)
		if err != nil {
			return err
		}
		cloud, err := w.CloudForNew(m.CloudID)
		if err != nil {
			return err
		}
		if !cloud.Takes() {
			return models.Conflict(cloud.Name + " takes no new machines just now. Try again later, or order the machine anew elsewhere.")
		}
		if _, err := w.OfferedTemplate(string(m.TemplateID)); errors.Is(err, models.ErrNotFound) {
			return models.Conflict("The machine's template is not offered any more. Order a machine of another one.")
		} else if err != nil {
			return err
		}
		set := map[string]any{"failure": ""}
		if !m.Reserved {
			if err := w.ReserveMachine(&m); err != nil {
				return err
			}
			_, address, err := w.TakeAddress(m.NetworkID, m.ID)
			if err != nil {
				return err
			}
			set["address"] = address
		}
		if err := w.MoveMachine(m.ID, models.MachineBuilding, set); err != nil {
			return err
		}
		t = models.Task{MachineID: m.ID, MachineName: m.Name, Kind: models.TaskCreate, RetryOf: old.ID}
		return f.begin(ctx, w, &t, models.Event{
			Action: models.ActionTaskRetry, Object: m.Object(), Outcome: models.OutcomeAccepted,
			Before: map[string]any{"task": old.ID}, After: map[string]any{"kind": old.Kind},
		})
	})
	return t, err
}
