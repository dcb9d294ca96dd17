package factory

import (
	"context"
	"time"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/models"
)

// reconcileGrace keeps Tasks out whose transaction is only just through.
const reconcileGrace = 30 * time.Second

// Reconcile gives every active Task that has no job one again. Intent and job
// commit together, so there is none, unless rows of the queue were lost.
func (f *Factory) Reconcile(ctx context.Context) error {
	tasks, err := f.system.ActiveTasks(ctx)
	if err != nil || len(tasks) == 0 {
		return err
	}
	working := map[models.TaskID]bool{}
	if err := mark[createJob](ctx, f.queue, working, func(j createJob) models.TaskID { return j.Task }); err != nil {
		return err
	}
	if err := mark[powerJob](ctx, f.queue, working, func(j powerJob) models.TaskID { return j.Task }); err != nil {
		return err
	}
	if err := mark[deleteJob](ctx, f.queue, working, func(j deleteJob) models.TaskID { return j.Task }); err != nil {
		return err
	}
	if err := mark[mediaJob](ctx, f.queue, working, func(j mediaJob) models.TaskID { return j.Task }); err != nil {
		return err
	}
	if err := mark[retireJob](ctx, f.queue, working, func(j retireJob) models.TaskID { return j.Task }); err != nil {
		return err
	}
	if err := mark[clearJob](ctx, f.queue, working, func(j clearJob) models.TaskID { return j.Task }); err != nil {
		return err
	}
	for _, t := range tasks {
		if working[t.ID] || time.Since(t.CreatedAt) < reconcileGrace {
			continue
		}
		f.log.WarnContext(ctx, "a task had no job any more and gets one", "task", t.ID, "kind", string(t.Kind))
		err := f.system.Within(ctx, t.OrgID, models.SystemActor, func(w *models.Writer) error { return f.enqueue(ctx, w, &t) })
		if err != nil {
			return err
		}
	}
	return nil
}

// mark adds the Tasks that jobs of one kind work for.
func mark[A jobs.Args](ctx context.Context, q *jobs.Queue, working map[models.TaskID]bool, taskOf func(A) models.TaskID) error {
	live, err := jobs.Live[A](ctx, q)
	for _, job := range live {
		working[taskOf(job)] = true
	}
	return err
}
