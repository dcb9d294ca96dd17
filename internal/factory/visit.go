package factory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

var (
	// errAgain ends a visit that another one shall go on from, soon.
	errAgain = errors.New("factory: the visit is over, the task is not")
	// errCancelled ends a step because somebody asked for the Task's end.
	errCancelled = errors.New("factory: the task is being cancelled")
)

// visit is one worker's time with a Task.
type visit struct {
	f      *Factory
	op     *operation
	task   models.Task
	steps  []models.TaskStep
	facts  facts
	client *cloud
	until  time.Time // when it makes room for others
	poke   <-chan struct{}

	at     int // the step it is at
	failed int // a step that failed in an earlier visit, or -1
	vm     *vsphere.VM
	gone   bool                         // vCenter has no such VM: known by a step of this visit
	queued []func(*models.Writer) error // written with the next store
}

// facts is what a visit knows of what the Task is about.
type facts struct {
	gone     models.AbandonedNetwork // of TaskClear, which has no machine
	machine  models.Machine
	cloud    models.Cloud
	network  models.Network
	template models.Template
	image    string // instance UUID of the template in the machine's cloud
	folder   string // the org's, in vSphere
}

// visit works on a Task until it ends, has to wait long, or time is up.
func (f *Factory) visit(ctx context.Context, ref taskRef) error {
	poke, leave, ok := f.visits.enter(ref.Task)
	if !ok {
		return jobs.Snooze(jobs.Jitter(2 * time.Second))
	}
	defer leave()
	v := &visit{f: f, poke: poke, until: time.Now().Add(f.options.VisitFor), failed: -1}
	if err := v.load(ctx, ref); err != nil {
		return fmt.Errorf("load task %s: %w", ref.Task, err)
	}
	if !v.task.State.Active() {
		return nil
	}
	v.client, _ = f.clouds.get(v.facts.cloud.ID)
	switch {
	case v.failed >= 0:
		return v.settle(ctx, models.TaskFailed)
	case v.task.State == models.TaskCancelling:
		return v.settle(ctx, models.TaskCancelled)
	case v.task.State == models.TaskQueued:
		v.later(func(w *models.Writer) error { return w.MoveTask(&v.task, models.TaskRunning, nil) })
	}
	return v.walk(ctx)
}

func (v *visit) load(ctx context.Context, ref taskRef) error {
	return v.f.system.Look(ctx, ref.Org, func(r *models.Reader) error {
		d, err := r.Task(ref.Task)
		if err != nil || !d.State.Active() {
			v.task = d.Task
			if errors.Is(err, models.ErrNotFound) {
				return nil // the zero Task is not active
			}
			return err
		}
		v.task, v.steps = d.Task, d.Steps
		if v.op = v.f.operations[d.Kind]; v.op == nil || len(v.op.steps) != len(d.Steps) {
			return fmt.Errorf("this version does not know the steps of %s", d.Kind)
		}
		for i, s := range v.steps {
			if s.State == models.StepFailed {
				v.failed, v.at = i, i
			}
		}
		return v.loadFacts(r)
	})
}

func (v *visit) loadFacts(r *models.Reader) error {
	known := &v.facts
	var err error
	if v.task.NetworkID != "" {
		if known.gone, err = r.AbandonedNetwork(v.task.NetworkID); err != nil {
			return err
		}
		known.cloud, err = r.Cloud(known.gone.CloudID)
		return err
	}
	if known.machine, err = r.MachineRecord(v.task.MachineID); err != nil {
		return err
	}
	if known.cloud, err = r.Cloud(known.machine.CloudID); err != nil {
		return err
	}
	if v.task.Kind != models.TaskCreate {
		return nil
	}
	if known.network, err = r.Network(known.machine.NetworkID); err != nil {
		return err
	}
	if known.template, err = r.Template(string(known.machine.TemplateID)); err != nil {
		return err
	}
	images, err := r.TemplateImages(known.machine.TemplateID)
	if err != nil {
		return err
	}
	known.image = images[known.machine.CloudID]
	org, err := r.OrgRecord()
	known.folder = org.Slug
	return err
}

// walk runs the steps that are not done yet.
func (v *visit) walk(ctx context.Context) error {
	for i, s := range v.op.steps {
		if state := v.steps[i].State; state == models.StepDone || state == models.StepSkipped {
			continue
		}
		v.at = i
		v.enter(s)
		if !s.quick {
			if err := v.store(ctx, nil); err != nil {
				return err
			}
		}
		if !s.late && v.cancelling(ctx) {
			return v.settle(ctx, models.TaskCancelled)
		}
		if v.client == nil && !s.ours {
			return v.rest(ctx, absentWords(v.facts.cloud), 4*time.Second)
		}
		if s.run != nil {
			if err := s.run(ctx, v); err != nil {
				return v.stumble(ctx, err)
			}
		}
		v.leave(s)
	}
	return v.finish(ctx)
}

// enter marks the step as running, with the next write.
func (v *visit) enter(s step) {
	row := &v.steps[v.at]
	if row.State == models.StepRunning {
		return
	}
	now := models.Now()
	row.State, row.StartedAt = models.StepRunning, &now
	if s.quick {
		return // its end is written in the same breath
	}
	at := v.at
	v.later(func(w *models.Writer) error {
		return w.SetStep(&v.task, at, map[string]any{"state": models.StepRunning, "started_at": now})
	})
}

// leave marks the step as done, with the next write.
func (v *visit) leave(step) {
	row := &v.steps[v.at]
	row.State, row.Percent = models.StepDone, 100
	at, started := v.at, row.StartedAt
	v.later(func(w *models.Writer) error {
		return w.SetStep(&v.task, at, map[string]any{
			"state": models.StepDone, "percent": 100, "started_at": started, "finished_at": models.Now(),
		})
	})
	percent := v.op.percent(at+1, 0)
	v.later(func(w *models.Writer) error { return w.SetTask(&v.task, v.moving(percent)) })
}

// moving is the Task's progress; whatever it waited for is over.
func (v *visit) moving(percent int) map[string]any {
	v.task.Percent = percent
	set := map[string]any{"percent": percent}
	if v.task.Waiting != "" {
		v.task.Waiting = ""
		set["waiting"] = ""
	}
	return set
}

func (v *visit) finish(ctx context.Context) error {
	return v.store(ctx, func(w *models.Writer) error {
		if err := v.op.finish(w, v); err != nil {
			return err
		}
		return w.MoveTask(&v.task, models.TaskSucceeded, map[string]any{"percent": 100})
	})
}

// later keeps a write for the next store.
func (v *visit) later(write func(*models.Writer) error) { v.queued = append(v.queued, write) }

// store writes what was kept, and write, in one transaction.
func (v *visit) store(ctx context.Context, write func(*models.Writer) error) error {
	queued := v.queued
	if write != nil {
		queued = append(queued[:len(queued):len(queued)], write)
	}
	if len(queued) == 0 {
		return nil
	}
	v.f.border(v.task.ID)
	err := v.f.system.Within(ctx, v.task.OrgID, v.task.Actor(), func(w *models.Writer) error {
		for _, one := range queued {
			if err := one(w); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		if errors.Is(err, models.ErrConflict) {
			v.f.log.InfoContext(ctx, "a task is not where its worker thought", "task", v.task.ID, "error", err)
			return errMoved // cancelled before it began, or worked on elsewhere
		}
		return fmt.Errorf("store progress of task %s: %w", v.task.ID, err)
	}
	v.queued = nil
	v.f.border(v.task.ID)
	return nil
}

// errMoved says that the Task is not where this visit thinks it is.
var errMoved = jobs.Snooze(200 * time.Millisecond)

// say stores why nothing moves, once per sentence.
func (v *visit) say(ctx context.Context, sentence string) error {
	if v.task.Waiting == sentence {
		return nil
	}
	v.task.Waiting = sentence
	return v.store(ctx, func(w *models.Writer) error {
		if err := w.LogTask(&v.task, sentence); err != nil {
			return err
		}
		return w.SetTask(&v.task, map[string]any{"waiting": sentence})
	})
}

// rest ends the visit with a reason, to be back after about d.
func (v *visit) rest(ctx context.Context, sentence string, d time.Duration) error {
	if sentence != "" {
		if err := v.say(ctx, sentence); err != nil {
			return err
		}
	}
	return jobs.Snooze(jobs.Jitter(min(d, jobs.SnoozeMax)))
}

// cancelling reads whether somebody asked for the Task's end, if there is
// reason to think so.
func (v *visit) cancelling(ctx context.Context) bool {
	if v.task.State == models.TaskCancelling {
		return true
	}
	select {
	case <-v.poke:
		return v.look(ctx)
	default:
		return false
	}
}

func (v *visit) look(ctx context.Context) bool {
	err := v.f.system.Look(ctx, v.task.OrgID, func(r *models.Reader) error {
		state, err := r.TaskState(v.task.ID)
		if err == nil && state == models.TaskCancelling {
			v.task.State = state
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		v.f.log.WarnContext(ctx, "reading a task's state failed", "task", v.task.ID, "error", err)
	}
	return v.task.State == models.TaskCancelling
}
