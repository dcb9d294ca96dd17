package factory

import (
	"context"
	"errors"

	"github.com/millwright/millwright/models"
)

// clearNetworks begins a Task for every deleted network whose port group may
// still be in vSphere.
func (f *Factory) clearNetworks(ctx context.Context, c *cloud) {
	list, err := f.system.AbandonedNetworksToClear(ctx, c.id)
	if err != nil {
		if ctx.Err() == nil {
			f.log.WarnContext(ctx, "looking for port groups of deleted networks failed", "cloud", c.id, "error", err)
		}
		return
	}
	for _, n := range list {
		err := f.system.Within(ctx, n.OrgID, models.SystemActor, func(w *models.Writer) error {
			_, err := f.clearIn(ctx, w, &n, "")
			return err
		})
		// Another node was first, or the org's tasks are all in use: the next
		// sweep looks again.
		if err != nil && ctx.Err() == nil && !errors.Is(err, models.ErrConflict) && !errors.Is(err, models.ErrQuota) {
			f.log.WarnContext(ctx, "the port group of a deleted network gets no task", "cloud", c.id, "port group", n.PortGroup, "error", err)
		}
	}
}

func (f *Factory) clearIn(ctx context.Context, w *models.Writer, n *models.AbandonedNetwork, retryOf models.TaskID) (models.Task, error) {
	t := models.Task{NetworkID: n.ID, MachineName: n.WasCalled(), Kind: models.TaskClear, RetryOf: retryOf}
	return t, f.begin(ctx, w, &t, models.Event{Action: models.ActionNetworkClear, Object: n.Object(), Outcome: models.OutcomeAccepted,
		After: map[string]any{"port_group": n.PortGroup}})
}

// clear begins it anew after a failure.
func (f *Factory) clear(ctx context.Context, scope *models.Scope, id models.NetworkID, retryOf models.TaskID) (t models.Task, err error) {
	err = scope.Change(ctx, func(w *models.Writer) error {
		n, err := w.AbandonedNetwork(id)
		if err != nil {
			return err
		}
		if n.PortGroupGoneAt != nil {
			return models.Conflict("Nothing of this network is left in vSphere.")
		}
		t, err = f.clearIn(ctx, w, &n, retryOf)
		return err
	})
	return t, err
}

func clearOperation() *operation {
	return &operation{
		steps: []step{
			{name: "port_group", title: "Remove its port group", failing: "The network's port group could not be removed", weight: 100, run: removePortGroup},
		},
		finish: func(w *models.Writer, v *visit) error { return w.PortGroupGone(v.facts.gone.ID) },
		end: func(w *models.Writer, e *ending) error {
			n, err := w.AbandonedNetwork(e.task.NetworkID)
			if err != nil {
				return err
			}
			err = w.Record(models.Event{Action: models.ActionNetworkClear, Object: n.Object(), Outcome: models.OutcomeFailed,
				After: map[string]any{"reason": e.problem.text}})
			if err != nil {
				return err
			}
			return w.MoveTask(e.task, models.TaskFailed, nil)
		},
	}
}

// removePortGroup costs nothing to ask for again: what is gone is gone.
func removePortGroup(ctx context.Context, v *visit) error {
	_, err := await(ctx, v, nil, nil, func(ctx context.Context) (bool, error) {
		return v.client.RemovePortGroup(ctx, v.facts.gone.PortGroup)
	})
	return err
}
