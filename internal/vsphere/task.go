package vsphere

import (
	"context"
	"errors"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/progress"
	"github.com/vmware/govmomi/vim25/types"
)

// TaskRef names a vSphere task. It is worth storing: any process may await
// it, until vCenter forgets the task some minutes after its end. The empty
// TaskRef stands for "nothing had to be done".
type TaskRef string

func (t TaskRef) reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: kindTask, Value: string(t)}
}

// TaskResult is what a task left behind.
type TaskResult struct {
	Ref string // the VM that a clone made; "" for tasks that make nothing
}

// Await waits until the task is over and returns its result, or its failure
// as an Error. progress, which may be nil, is called with growing percentages
// from another goroutine, but never after Await has returned.
//
// CodeTaskGone: vCenter no longer knows the task; look the VM up. CodeTimeout:
// ctx's deadline came first, the task goes on and can be awaited again.
func (c *Client) Await(ctx context.Context, task TaskRef, progress func(percent int)) (TaskResult, error) {
	if task == "" {
		return TaskResult{}, nil
	}
	var result TaskResult
	err := c.do(ctx, "await "+string(task), func(ctx context.Context, conn *connection) error {
		info, err := waitForTask(ctx, conn, task, progress)
		if err != nil {
			return err
		}
		if made, ok := info.Result.(types.ManagedObjectReference); ok {
			result.Ref = made.Value
		}
		return nil
	})
	if taskEnded(err) {
		c.hosts.ended(task)
	}
	if IsVerdict(err) && CodeOf(err) == CodeNotFound {
		// What the task was to work on has gone, maybe with a vCenter that was
		// started anew: nothing remembered can be relied on.
		c.forgetInventory()
	}
	return result, err
}

// taskEnded tells a verdict on the task from a failure to wait for it.
func taskEnded(err error) bool {
	return err == nil || !IsTransient(err) || CodeOf(err) == CodeTaskGone
}

func waitForTask(ctx context.Context, conn *connection, task TaskRef, report func(int)) (*types.TaskInfo, error) {
	// A collector of its own per wait: the session's default one serves one
	// waiter at a time.
	sink := &percentSink{report: report}
	info, err := object.NewTask(conn.vim, task.reference()).WaitForResult(ctx, sink)
	sink.drained.Wait()
	switch {
	case err == nil && ctx.Err() != nil && !isOver(info):
		// govmomi reports a cancelled wait as the success of the cancelling.
		return nil, ctx.Err()
	case err != nil && exactly[types.ManagedObjectNotFound](err) && !isOver(info):
		return nil, refuseCause(CodeTaskGone, err)
	case err != nil && alreadyThere(err):
		return &types.TaskInfo{}, nil
	case err != nil:
		return nil, err
	case info == nil:
		return nil, errors.New("vCenter reported no task information")
	}
	return info, nil
}

func isOver(info *types.TaskInfo) bool {
	return info != nil && (info.State == types.TaskInfoStateSuccess || info.State == types.TaskInfoStateError)
}

func refuseCause(code Code, err error) *Error {
	return &Error{Code: code, Text: words(err), Err: err}
}

// CancelTask asks vCenter to stop a task. What became of it, Await tells: a
// cancelled task ends with CodeCancelled, one that was quicker with success.
// A task that is over or gone is nothing to cancel, which is no error.
func (c *Client) CancelTask(ctx context.Context, task TaskRef) error {
	if task == "" {
		return nil
	}
	return c.do(ctx, "cancel "+string(task), func(ctx context.Context, conn *connection) error {
		err := object.NewTask(conn.vim, task.reference()).Cancel(ctx)
		if err != nil && (exactly[types.ManagedObjectNotFound](err) || family[types.BaseInvalidState](err)) {
			return nil
		}
		return err
	})
}

// percentSink is govmomi's progress.Sinker over a plain function. It hands on
// only what has grown.
type percentSink struct {
	report  func(int)
	drained sync.WaitGroup
}

// Sink is called once, when the wait begins. govmomi closes the channel.
func (s *percentSink) Sink() chan<- progress.Report {
	reports := make(chan progress.Report, 1)
	s.drained.Go(func() {
		last := -1
		for r := range reports {
			percent := int(r.Percentage())
			if s.report != nil && percent > last && r.Error() == nil {
				last = percent
				s.report(percent)
			}
		}
	})
	return reports
}
