package factory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestFailedCloneGivesEverythingBackAndCanBeRetried(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{})
		r.start()
		r.vcenter.faults(lab.FaultRequest{Fail: []lab.Fault{{Method: "CloneVM_Task", Task: true, Type: "NoDiskSpace"}}})
		m := r.order("unlucky")
		d := r.ends(m.ID, models.TaskFailed)
		if !d.Undone || d.ErrorCode != "no_capacity" || !strings.Contains(d.ErrorText, "could not be cloned: Public has no room") {
			t.Errorf("failed as %+v", d.Task)
		}
		if d.Steps[2].State != models.StepFailed || d.Steps[3].State != models.StepPending {
			t.Errorf("steps %+v", d.Steps)
		}
		now := r.machine(m.ID)
		if now.State != models.MachineFailed || now.Reserved || now.Address != "" || now.Failure == "" {
			t.Errorf("machine %+v", now)
		}
		r.balanced()
		if n := len(r.vcenter.machines()); n != 0 {
			t.Errorf("vCenter holds %d machines", n)
		}

		again, err := r.factory.Retry(context.Background(), r.scope, d.ID)
		r.must(err)
		if again.RetryOf != d.ID || again.ID == d.ID {
			t.Errorf("retry is %+v", again)
		}
		if _, err := r.factory.Retry(context.Background(), r.scope, d.ID); !errors.Is(err, models.ErrConflict) {
			t.Errorf("a second retry: %v", err)
		}
		r.ends(m.ID, models.TaskSucceeded)
		if now := r.machine(m.ID); now.State != models.MachineRunning || now.Address == "" || now.Failure != "" || r.vms(m.ID) != 1 {
			t.Errorf("after the retry %+v", now)
		}
		r.balanced()
		want := []string{"machine.create accepted", "machine.create failed", "task.retry accepted", "machine.create succeeded"}
		got := r.outcomes(m.ID)
		for i := range got {
			got[i] = strings.TrimSuffix(got[i], " by User of acme")
		}
		if !slices.Equal(got, want) {
			t.Errorf("history %q", got)
		}
	})
}

func TestLaterFailureRemovesTheHalfMadeMachine(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"ReconfigVM_Task", "PowerOnVM_Task"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			r := build(t, testkit.SQLite(t), Options{})
			r.start()
			r.vcenter.faults(lab.FaultRequest{Fail: []lab.Fault{{Method: method, Task: true, Type: "SystemError"}}})
			m := r.order("half")
			d := r.ends(m.ID, models.TaskFailed)
			if !d.Undone || r.vms(m.ID) != 0 || r.machine(m.ID).State != models.MachineFailed {
				t.Errorf("%d VMs left\n%s", r.vms(m.ID), r.report())
			}
			if d.Detail == "" || strings.Contains(d.ErrorText, d.Detail) {
				t.Errorf("vSphere's words: detail %q, shown %q", d.Detail, d.ErrorText)
			}
			r.balanced()
		})
	}
}

func TestPassingFaultOfATaskIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	r.start()
	r.vcenter.faults(lab.FaultRequest{Fail: []lab.Fault{
		{Method: "CloneVM_Task", Task: true, Type: "HostNotConnected"},
		{Method: "ReconfigVM_Task", Task: true, Type: "TaskInProgress"},
		{Method: "PowerOnVM_Task", Type: "HostNotConnected", Times: 2},
	}})
	m := r.order("stubborn")
	r.ends(m.ID, models.TaskSucceeded)
	if vms := r.vms(m.ID); vms != 1 {
		t.Errorf("%d VMs", vms)
	}
}

func TestCancelDuringCloneUndoesIt(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{}, "--clone-delay", "20s")
		r.start()
		m := r.order("nevermind")
		r.eventually("the clone is under way", func() bool { return r.latest(m.ID).Steps[2].Reference != "" })
		r.must(r.factory.Cancel(context.Background(), r.scope, r.latest(m.ID).ID))
		r.ends(m.ID, models.TaskCancelled)
		if now := r.machine(m.ID); now.State != models.MachineDeleted || now.Reserved || now.Address != "" || r.vms(m.ID) != 0 {
			t.Errorf("machine %+v", now)
		}
		r.balanced()
		if err := r.factory.Cancel(context.Background(), r.scope, r.latest(m.ID).ID); !errors.Is(err, models.ErrConflict) {
			t.Errorf("cancel of an ended task: %v", err)
		}
		// The history tells that it was called off, not that it failed.
		for _, f := range []models.EventFilter{{Outcome: models.OutcomeCancelled}, {Text: "nevermind cancelled"}, {Action: models.ActionMachineCreate, Outcome: models.OutcomeCancelled, Object: "nevermind"}} {
			r.must(r.scope.Read(context.Background(), func(x *models.Reader) error {
				page, err := x.Events(f)
				if err == nil && (len(page.Rows) == 0 || page.Rows[0].Outcome != models.OutcomeCancelled || page.Rows[0].ObjectName != "nevermind") {
					t.Errorf("%+v finds %+v", f, page.Rows)
				}
				return err
			}))
		}
		r.must(r.scope.Read(context.Background(), func(x *models.Reader) error {
			page, err := x.Events(models.EventFilter{Outcome: models.OutcomeFailed})
			if len(page.Rows) > 0 {
				t.Errorf("failed: %+v", page.Rows)
			}
			return err
		}))
	})
}

func TestCancelBeforeAnyWorkerEndsAtOnce(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	m := r.order("early")
	r.must(r.factory.Cancel(context.Background(), r.scope, r.latest(m.ID).ID))
	if d := r.latest(m.ID); d.State != models.TaskCancelled || r.machine(m.ID).State != models.MachineDeleted {
		t.Errorf("the task is %s", d.State)
	}
	r.balanced()
	r.start() // the job finds nothing to do
	again := r.order("early")
	r.ends(again.ID, models.TaskSucceeded)
	if n := len(r.vcenter.machines()); n != 1 {
		t.Errorf("vCenter holds %d machines", n)
	}
}

// TestCancelledShutdownLeavesTheRestToTheGuest cancels our waiting; what the
// guest does then is seen by the feed.
func TestCancelledShutdownLeavesTheRestToTheGuest(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{}, "--guest-boot-delay", "3s")
	r.start()
	m := r.running("slow")
	_, err := r.factory.Power(context.Background(), r.scope, m.ID, models.PowerShutdown)
	r.must(err)
	r.eventually("the guest was asked", func() bool { return r.latest(m.ID).Steps[0].Reference != "" })
	r.must(r.factory.Cancel(context.Background(), r.scope, r.latest(m.ID).ID))
	r.ends(m.ID, models.TaskCancelled)
	r.reaches(m.ID, models.MachineStopped)
	if got := r.outcomes(m.ID); !slices.Contains(got, "machine.state succeeded by vSphere") {
		t.Errorf("history %q", got)
	}
}

func TestStrangerReachesNothing(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	m := r.order("mine")
	stranger := r.Scope(t, "admin@globex.example", "globex")
	ctx := context.Background()
	_, power := r.factory.Power(ctx, stranger, m.ID, models.PowerStop)
	_, removal := r.factory.Delete(ctx, stranger, m.ID, m.Name)
	_, retry := r.factory.Retry(ctx, stranger, r.latest(m.ID).ID)
	for what, err := range map[string]error{
		"power": power, "delete": removal, "retry": retry, "cancel": r.factory.Cancel(ctx, stranger, r.latest(m.ID).ID),
	} {
		if !errors.Is(err, models.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestLostCloneIsSweptUp lets a clone come up whose order was undone: its
// answer was lost in a crash.
func TestLostCloneIsSweptUp(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	m := r.order("lost")
	v := &visit{f: r.factory, failed: -1}
	r.must(v.load(context.Background(), taskRef{Org: r.Acme.ID, Task: r.latest(m.ID).ID}))
	r.must(r.factory.Cancel(context.Background(), r.scope, r.latest(m.ID).ID))
	ref, err := r.client.StartClone(context.Background(), v.cloneSpec())
	r.must(err)
	_, err = r.client.Await(context.Background(), ref, nil)
	r.must(err)
	if r.vms(m.ID) != 1 {
		t.Fatal("the clone is not there")
	}
	found, err := r.System.Leftovers(context.Background(), r.Public.ID, []models.MachineID{m.ID})
	r.must(err)
	if len(found) != 1 {
		t.Fatalf("%d leftovers are known", len(found))
	}
	c, _ := r.factory.clouds.get(r.Public.ID)
	removed, err := r.factory.removeLeftover(context.Background(), c, found[0])
	r.must(err)
	if !removed || r.vms(m.ID) != 0 {
		t.Error("the leftover is still there")
	}
}
