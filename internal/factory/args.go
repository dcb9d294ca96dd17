package factory

import (
	"context"
	"fmt"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/models"
)

// taskRef is all that a job knows: everything else is in the Task.
type taskRef struct {
	Org  models.OrgID  `json:"org"`
	Task models.TaskID `json:"task"`
}

// One type per operation: the kind is what River stores and routes by.
type (
	createJob    struct{ taskRef }
	powerJob     struct{ taskRef }
	deleteJob    struct{ taskRef }
	mediaJob     struct{ taskRef }
	retireJob    struct{ taskRef }
	clearJob     struct{ taskRef }
	reconcileJob struct{}
)

func (createJob) Kind() string    { return "machine.create" }
func (powerJob) Kind() string     { return "machine.power" }
func (deleteJob) Kind() string    { return "machine.delete" }
func (mediaJob) Kind() string     { return "machine.media" }
func (retireJob) Kind() string    { return "machine.retire" }
func (clearJob) Kind() string     { return "network.clear" }
func (reconcileJob) Kind() string { return "task.reconcile" }

// enqueue gives a Task its job, in the transaction that made the Task.
func (f *Factory) enqueue(ctx context.Context, w *models.Writer, t *models.Task) error {
	ref := taskRef{Org: w.Org(), Task: t.ID}
	var args jobs.Args
	switch t.Kind {
	case models.TaskCreate:
		args = createJob{ref}
	case models.TaskPower:
		args = powerJob{ref}
	case models.TaskDelete:
		args = deleteJob{ref}
	case models.TaskMedia:
		args = mediaJob{ref}
	case models.TaskRetire:
		args = retireJob{ref}
	case models.TaskClear:
		args = clearJob{ref}
	default:
		return fmt.Errorf("factory: no worker for a task of kind %q", t.Kind)
	}
	return f.queue.Enqueue(ctx, w.Tx(), args)
}
