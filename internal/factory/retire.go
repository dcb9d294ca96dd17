package factory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/models"
)

// retireOperation is a policy's scale-in: a node is drained and removed, and
// its machine, which the policy made, goes the way of every deleted one. Until
// the node is removed the Task can be cancelled; it ends by itself when the
// policy ends, or somebody takes the node into use again.
func retireOperation() *operation {
	o := deleteOperation()
	for i := range o.steps {
		o.steps[i].late = true
	}
	o.steps = append([]step{
		{name: "drain", title: "Drain the node", weight: 2, accepted: true, ours: true},
		{name: "connections", title: "Wait for its connections", weight: 100, ours: true, run: awaitDrained},
		{name: "node", title: "Remove the node", weight: 3, late: true, ours: true, run: removeDrained},
	}, o.steps...)
	o.end = endRetire
	return o
}

// retireFacade begins it: the drained node, the Task with its job, and the
// events, in one transaction.
func (f *Factory) retireFacade(ctx context.Context, w *models.Writer, facts *facadeFacts, move facadeMove) error {
	m, err := w.Machine(move.machine.MachineID)
	if err != nil {
		return err
	}
	if m.TaskID != "" {
		return errBusyFacade
	}
	if err := w.SetNode(move.node.ID, true, true); err != nil {
		return err
	}
	if err := w.SetFacadeMachine(m.ID, map[string]any{"state": models.FacadeLeaving, "leaving_at": facts.now}); err != nil {
		return err
	}
	t := models.Task{MachineID: m.ID, MachineName: m.Name, Kind: models.TaskRetire}
	if err := f.accepted(ctx, w, &t); err != nil {
		return err
	}
	return w.ActFacade(&facts.service, models.FacadeAct{Action: move.action, Text: move.text, TaskID: t.ID}, models.OutcomeAccepted)
}

// leaving is what there is to know of a machine on its way out of a service.
type leaving struct {
	facts   facadeFacts
	machine models.FacadeMachine
	node    *models.NodeRow // nil: out already
	stays   string          // why it doesn't go after all
}

func readLeaving(r *models.Reader, id models.MachineID) (l leaving, err error) {
	if l.machine, err = r.FacadeMachine(id); err == nil {
		l.facts, err = readFacade(r, l.machine.ServiceID)
	}
	switch {
	case errors.Is(err, models.ErrNotFound), err == nil && (l.machine.State != models.FacadeLeaving || !l.facts.policy.Enabled):
		l.stays = "the policy is not in charge of it any more"
	case err != nil:
		return l, err
	default:
		if l.node = l.facts.node(l.machine.NodeID); l.node != nil && l.node.Enabled && !l.node.Draining {
			l.stays = "its node was taken into use again"
		}
	}
	return l, nil
}

// stay has the Task end with the machine where it is.
func (v *visit) stay(why string) error {
	v.task.ErrorText = why
	v.later(func(w *models.Writer) error { return w.LogTask(&v.task, v.task.MachineName+" stays: "+why+".") })
	return errCancelled
}

func awaitDrained(ctx context.Context, v *visit) error {
	var l leaving
	err := v.f.system.Look(ctx, v.task.OrgID, func(r *models.Reader) (err error) {
		l, err = readLeaving(r, v.task.MachineID)
		return err
	})
	switch {
	case err != nil:
		return err
	case l.stays != "":
		return v.stay(l.stays)
	case l.facts.drained(l.machine, l.node):
		return nil
	}
	until := l.machine.LeavingAt.Add(facadeDrainMost)
	sentence := fmt.Sprintf("The gateway tells whether connections are still open; it goes at %s at the latest.", until.UTC().Format("15:04:05 MST"))
	switch n := l.node.OpenNow; n {
	case 0:
	case 1:
		sentence = fmt.Sprintf("One connection is still open; it goes at %s at the latest.", until.UTC().Format("15:04:05 MST"))
	default:
		sentence = fmt.Sprintf("%d connections are still open; it goes at %s at the latest.", n, until.UTC().Format("15:04:05 MST"))
	}
	percent := int(min(99, 100*l.facts.now.Sub(*l.machine.LeavingAt)/facadeDrainMost))
	row := &v.steps[v.at]
	if v.task.Waiting == sentence && percent <= row.Percent {
		return jobs.Snooze(jobs.Jitter(drainedEvery))
	}
	err = v.store(ctx, func(w *models.Writer) error {
		if v.task.Waiting == "" { // the log has it once, however often the number changes
			if err := w.LogTask(&v.task, sentence); err != nil {
				return err
			}
		}
		if err := w.SetStep(&v.task, v.at, map[string]any{"percent": percent}); err != nil {
			return err
		}
		return w.SetTask(&v.task, map[string]any{"waiting": sentence, "percent": v.op.percent(v.at, percent)})
	})
	if err != nil {
		return err
	}
	return jobs.Snooze(jobs.Jitter(drainedEvery))
}

// drainedEvery is how often a drained node's connections are looked at: as
// often as gateways report.
const drainedEvery = 2 * time.Second

// removeDrained takes the node out and marks the machine as going. The Task's
// row is locked first: a cancel comes before it, or too late.
func removeDrained(ctx context.Context, v *visit) error {
	if v.facts.machine.State == models.MachineDeleting { // done, by a visit that ended right after
		return nil
	}
	stays := ""
	err := v.store(ctx, func(w *models.Writer) error {
		if err := w.SetTask(&v.task, v.moving(v.op.percent(v.at, 0))); err != nil {
			return err
		}
		if state, err := w.TaskState(v.task.ID); err != nil || state == models.TaskCancelling {
			stays = "its task was cancelled"
			return errors.Join(err, errCancelled)
		}
		known, err := w.FacadeMachine(v.task.MachineID)
		if err == nil {
			err = w.LatchFacade(known.ServiceID)
		}
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return err
		}
		l, err := readLeaving(&w.Reader, v.task.MachineID)
		if err != nil {
			return err
		}
		if stays = l.stays; stays != "" {
			return errCancelled
		}
		if l.node != nil {
			if err := takeOut(w, l.node); err != nil {
				return err
			}
		}
		m, err := w.MachineRecord(v.task.MachineID)
		if err != nil {
			return err
		}
		if err := w.SetFacadeMachine(m.ID, map[string]any{"state": models.FacadeGone}); err != nil {
			return err
		}
		if err := w.MoveMachine(m.ID, models.MachineDeleting, nil); err != nil {
			return err
		}
		err = w.Record(models.Event{Action: models.ActionMachineDelete, Object: m.Object(), Outcome: models.OutcomeAccepted,
			Before: map[string]any{"state": m.State, "address": m.Address}})
		if err != nil {
			return err
		}
		return w.ActFacade(&l.facts.service, models.FacadeAct{Action: models.ActionFacadeIn, Text: m.Name + " is drained and goes.", TaskID: v.task.ID}, models.OutcomeAccepted)
	})
	if errors.Is(err, errCancelled) {
		return v.stay(stays)
	}
	return err
}

// endRetire leaves a machine whose node is still there to people: it takes
// connections again, and the policy deletes it no more.
func endRetire(w *models.Writer, e *ending) error {
	if e.machine.State == models.MachineDeleting {
		return endDelete(w, e)
	}
	m, err := w.FacadeMachine(e.machine.ID)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return err
	}
	if err == nil {
		if err := giveBack(w, e, m); err != nil {
			return err
		}
	}
	if e.task.State == models.TaskRunning { // by itself: nobody asked
		if err := w.MoveTask(e.task, models.TaskCancelling, nil); err != nil {
			return err
		}
	}
	return w.MoveTask(e.task, models.TaskCancelled, nil)
}

func giveBack(w *models.Writer, e *ending, m models.FacadeMachine) error {
	if err := w.LatchFacade(m.ServiceID); err != nil {
		return err
	}
	if err := w.SetFacadeMachine(m.MachineID, map[string]any{"state": models.FacadeGone}); err != nil {
		return err
	}
	if m.NodeID != nil {
		n, err := w.Node(*m.NodeID)
		switch {
		case errors.Is(err, models.ErrNotFound):
		case err != nil:
			return err
		case n.Enabled && n.Draining:
			if err := w.SetNode(n.ID, true, false); err != nil {
				return err
			}
		}
	}
	s, err := w.Service(m.ServiceID)
	if errors.Is(err, models.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	why := e.problem.text
	if why == "" {
		why = "its task was cancelled"
	}
	return w.ActFacade(&s, models.FacadeAct{Action: models.ActionFacadeIn, Text: e.machine.Name + " stays, in people's care: " + why + ".", TaskID: e.task.ID}, models.OutcomeCancelled)
}
