package factory

import (
	"context"

	"github.com/millwright/millwright/models"
)

// operation is what a kind of Task consists of.
type operation struct {
	steps []step
	// retitle gives a step a title of its own; nil keeps the table's.
	retitle func(t *models.Task, s step) string
	// finish moves the machine when the last step is done.
	finish func(w *models.Writer, v *visit) error
	// undo takes back in vSphere what was done. Like a step, it runs again
	// after a crash.
	undo func(ctx context.Context, v *visit) error
	// end closes the Task and settles the machine when it failed or was
	// cancelled.
	end func(w *models.Writer, e *ending) error
}

// step is one step of an operation.
type step struct {
	name, title string
	// failing says, at the beginning of a sentence, that it did not succeed.
	failing string
	// weight is its share of the whole, as a guess of time.
	weight int
	// accepted: done in the transaction that accepted the Task.
	accepted bool
	// quick: it stores nothing by itself and costs nothing to repeat, so its
	// marks are written together with its neighbours'.
	quick bool
	// late: once it is reached, a cancel comes too late and the Task succeeds.
	late bool
	// ours: it is the portal's own affair, and doesn't wait for the cloud.
	ours bool
	run  func(ctx context.Context, v *visit) error
}

// ending is how a Task ends that did not succeed.
type ending struct {
	task    *models.Task
	machine *models.Machine
	to      models.TaskState
	undone  bool
	problem problem
}

func (o *operation) specs(t *models.Task) []models.StepSpec {
	specs := make([]models.StepSpec, len(o.steps))
	for i, s := range o.steps {
		title := s.title
		if o.retitle != nil {
			title = o.retitle(t, s)
		}
		specs[i] = models.StepSpec{Name: s.name, Title: title}
	}
	return specs
}

// percent is the whole's, from what is done and how far step i is.
func (o *operation) percent(i, ofStep int) int {
	total, done := 0, 0
	for j, s := range o.steps {
		total += s.weight * 100
		switch {
		case j < i:
			done += s.weight * 100
		case j == i:
			done += s.weight * min(max(ofStep, 0), 100)
		}
	}
	if total == 0 {
		return 0
	}
	return min(done*100/total, 99) // 100 is the end's
}
