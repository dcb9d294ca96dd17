package factory

import (
	"context"
	"errors"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// fail stores which step failed and why, then undoes. Stored first, so that a
// crash in between goes on undoing.
func (v *visit) fail(ctx context.Context, p problem) error {
	now := models.Now()
	v.task.ErrorCode, v.task.ErrorText, v.task.Detail, v.task.Waiting = p.code, p.text, p.detail, ""
	v.steps[v.at].State, v.failed = models.StepFailed, v.at
	err := v.store(ctx, func(w *models.Writer) error {
		err := w.SetStep(&v.task, v.at, map[string]any{"state": models.StepFailed, "finished_at": now})
		if err != nil {
			return err
		}
		if err := w.LogTask(&v.task, p.text); err != nil {
			return err
		}
		return w.SetTask(&v.task, map[string]any{
			"error_code": p.code, "error_text": p.text, "detail": p.detail, "waiting": "",
		})
	})
	if err != nil {
		return err
	}
	return v.settle(ctx, models.TaskFailed)
}

// settle undoes in vSphere what the Task did, and ends it.
func (v *visit) settle(ctx context.Context, to models.TaskState) error {
	undone := true
	if v.op.undo != nil {
		if err := v.op.undo(ctx, v); err != nil {
			if again, result := v.undoLater(ctx, err); again {
				return result
			}
			undone = false
			v.f.log.ErrorContext(ctx, "a task could not be undone", "task", v.task.ID, "machine", v.task.MachineID, "error", err)
		}
	}
	e := &ending{task: &v.task, machine: &v.facts.machine, to: to, undone: undone,
		problem: problem{code: v.task.ErrorCode, text: v.task.ErrorText, detail: v.task.Detail}}
	if !undone {
		// Whatever it was to be, a Task that left something behind has failed.
		e.to = models.TaskFailed
		e.problem.text += leftBehind(e.problem.text)
	}
	err := v.store(ctx, func(w *models.Writer) error { return v.op.end(w, e) })
	if err == nil {
		v.refresh(ctx)
	}
	return err
}

func leftBehind(before string) string {
	const sentence = "What was made of the machine could not be removed; delete it later, or ask your provider."
	if before == "" {
		return sentence
	}
	return " " + sentence
}

// undoLater sorts out errors of undoing that pass.
func (v *visit) undoLater(ctx context.Context, err error) (again bool, result error) {
	_, fromVSphere := errors.AsType[*vsphere.Error](err)
	switch {
	case errors.Is(err, errAgain):
		return true, jobs.Snooze(0)
	case ctx.Err() != nil, !fromVSphere:
		return true, err
	}
	sentence, d, ok := v.pause(err)
	if !ok {
		return false, nil
	}
	if away(err) {
		v.client.suspected()
	}
	return true, v.rest(ctx, sentence, d)
}

// remove takes the machine's VM out of vCenter, if it is there.
func (v *visit) remove(ctx context.Context) error {
	vm, err := v.client.FindVM(ctx, v.facts.machine.ID.InstanceUUID())
	if err == nil && vm.Power == vsphere.PoweredOn {
		var ref vsphere.TaskRef
		if ref, err = v.client.StartPower(ctx, vm.Ref, vsphere.PowerOff); err == nil {
			err = v.endure(ctx, ref)
		}
	}
	if err == nil {
		var ref vsphere.TaskRef
		if ref, err = v.client.StartDestroy(ctx, vm.Ref); err == nil {
			err = v.endure(ctx, ref)
		}
	}
	switch vsphere.CodeOf(err) {
	case vsphere.CodeNotFound:
		v.vm, v.gone, err = nil, true, nil
	case vsphere.CodeTaskGone:
		err = errAgain // look again what became of it
	default:
	}
	return err
}

// endure waits for a vSphere task that is not cancelled with ours.
func (v *visit) endure(ctx context.Context, ref vsphere.TaskRef) error {
	window, stop := context.WithDeadline(ctx, v.until)
	defer stop()
	_, err := v.client.Await(window, ref, nil)
	if err != nil && window.Err() != nil && ctx.Err() == nil {
		return errAgain
	}
	return err
}

// refresh takes over what vCenter shows now, as a change by other hands if it
// differs. The feed left the machine's state alone while the Task held it.
func (v *visit) refresh(ctx context.Context) {
	if v.task.Kind == models.TaskCreate || v.task.Kind == models.TaskClear || v.client == nil {
		return
	}
	asked := models.Now()
	seen, err := lookUp(ctx, v.client, v.facts.machine.ID)
	if err == nil {
		err = v.f.system.Observe(ctx, v.facts.machine.CloudID, false, models.Now(), asked, []models.Observation{seen})
	}
	if err != nil && ctx.Err() == nil {
		v.f.log.WarnContext(ctx, "what vCenter shows of a machine was not stored", "machine", v.task.MachineID, "error", err)
	}
}
