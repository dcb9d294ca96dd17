package factory

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

const (
	// showEvery bounds how often a Task's progress is written.
	showEvery = 700 * time.Millisecond
	// lookEvery is how often a waiting worker reads whether its Task was
	// cancelled, in case nobody told it.
	lookEvery = 5 * time.Second
)

// meter carries progress from the goroutine that hears of it.
type meter struct{ percent atomic.Int32 }

func (m *meter) set(percent int) { m.percent.Store(int32(min(max(percent, 0), 100))) } //nolint:gosec // bounded

// await runs a blocking call until it returns or the visit's time is up,
// showing progress. When the Task is cancelled, onCancel is asked once to bring
// the call to an end, or, without one, the call's context ends.
func await[T any](ctx context.Context, v *visit, m *meter, onCancel func(context.Context) error, call func(context.Context) (T, error)) (T, error) {
	window, stop := context.WithDeadline(ctx, v.until)
	defer stop()
	type outcome struct {
		value T
		err   error
	}
	ended := make(chan outcome, 1)
	go func() {
		value, err := call(window)
		ended <- outcome{value, err}
	}()
	show, look := time.NewTicker(showEvery), time.NewTicker(lookEvery)
	defer show.Stop()
	defer look.Stop()
	asked := false
	ask := func() {
		if asked || v.task.State != models.TaskCancelling {
			return
		}
		asked = true
		if onCancel == nil {
			stop()
			return
		}
		if err := onCancel(ctx); err != nil && ctx.Err() == nil {
			v.f.log.InfoContext(ctx, "a vSphere task could not be cancelled", "task", v.task.ID, "error", err)
		}
	}
	ask()
	for {
		select {
		case out := <-ended:
			switch {
			case out.err == nil:
			case asked && onCancel == nil:
				out.err = errCancelled
			case window.Err() != nil && ctx.Err() == nil:
				out.err = errAgain
			}
			return out.value, out.err
		case <-show.C:
			v.show(ctx, m)
		case <-v.poke:
			v.look(ctx)
			ask()
		case <-look.C:
			v.look(ctx)
			ask()
		}
	}
}

// show writes a step's progress if it has moved. A failure is not the step's.
func (v *visit) show(ctx context.Context, m *meter) {
	if m == nil {
		return
	}
	row := &v.steps[v.at]
	percent := int(m.percent.Load())
	if percent <= row.Percent || percent > 100 {
		return
	}
	err := v.store(ctx, func(w *models.Writer) error {
		if err := w.SetStep(&v.task, v.at, map[string]any{"percent": percent}); err != nil {
			return err
		}
		return w.SetTask(&v.task, v.moving(v.op.percent(v.at, percent)))
	})
	if err == nil {
		row.Percent = percent
	} else if ctx.Err() == nil {
		v.f.log.WarnContext(ctx, "progress of a task was not stored", "task", v.task.ID, "error", err)
	}
}

// reference is the vSphere task that the present step waits for.
func (v *visit) reference() vsphere.TaskRef { return vsphere.TaskRef(v.steps[v.at].Reference) }

// refer stores it, right after the submit; "" forgets it.
func (v *visit) refer(ctx context.Context, ref vsphere.TaskRef) error {
	row := &v.steps[v.at]
	if row.Reference == string(ref) {
		return nil
	}
	row.Reference = string(ref)
	return v.store(ctx, func(w *models.Writer) error {
		if v.task.Waiting != "" && ref != "" {
			if err := w.SetTask(&v.task, v.moving(v.task.Percent)); err != nil {
				return err
			}
		}
		return w.SetStep(&v.task, v.at, map[string]any{"reference": string(ref)})
	})
}

// follow waits for a vSphere task, which is cancelled when ours is.
func (v *visit) follow(ctx context.Context, ref vsphere.TaskRef) (vsphere.TaskResult, error) {
	m := &meter{}
	return await(ctx, v, m,
		func(ctx context.Context) error { return v.client.CancelTask(ctx, ref) },
		func(ctx context.Context) (vsphere.TaskResult, error) { return v.client.Await(ctx, ref, m.set) })
}

// perform submits a change that costs nothing to ask for again, and waits for
// it. After a crash it goes on waiting for what was stored.
func (v *visit) perform(ctx context.Context, submit func(context.Context) (vsphere.TaskRef, error)) error {
	ref := v.reference()
	if ref == "" {
		var err error
		if ref, err = submit(ctx); err != nil {
			return err
		}
		if err := v.refer(ctx, ref); err != nil {
			return err
		}
	}
	_, err := v.follow(ctx, ref)
	switch {
	case vsphere.CodeOf(err) == vsphere.CodeTaskGone:
		// What became of it nobody knows any more; the submit looks itself.
		if err := v.refer(ctx, ""); err != nil {
			return err
		}
		return v.perform(ctx, submit)
	case vsphere.IsVerdict(err) && vsphere.IsTransient(err):
		// It failed by something that passes: the next visit submits anew.
		if stored := v.refer(ctx, ""); stored != nil {
			return stored
		}
	}
	return err
}

// locate finds the machine's VM, once per visit.
func (v *visit) locate(ctx context.Context) (vsphere.VM, error) {
	if v.vm != nil {
		return *v.vm, nil
	}
	vm, err := v.client.FindVM(ctx, v.facts.machine.ID.InstanceUUID())
	if err == nil {
		v.vm = &vm
	}
	return vm, err
}
