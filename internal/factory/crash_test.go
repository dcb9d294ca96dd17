package factory

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// killed is what a visit dies of, in place of a kill -9.
type killed struct{}

// visitOnce works on a Task as the queue would, and survives a kill.
func (r *rig) visitOnce(task models.TaskID) (dead bool, err error) {
	defer func() {
		if k := recover(); k != nil {
			if _, ours := k.(killed); !ours {
				panic(k)
			}
			dead = true
		}
	}()
	return false, r.factory.visit(context.Background(), taskRef{Org: r.Acme.ID, Task: task})
}

// workOff visits a Task until it has ended. Between visits it waits as long as
// the visit asked for.
func (r *rig) workOff(machine models.MachineID) (deaths int) {
	r.t.Helper()
	for range 500 {
		d := r.latest(machine)
		if !d.State.Active() {
			return deaths
		}
		dead, err := r.visitOnce(d.ID)
		if dead {
			deaths++
			continue
		}
		if nap, ok := errors.AsType[*rivertype.JobSnoozeError](err); ok {
			time.Sleep(min(nap.Duration, 100*time.Millisecond))
			continue
		}
		r.must(err)
	}
	r.t.Fatalf("the task does not end\n%s", r.report())
	return deaths
}

// dieAt has the n-th border of the coming visits kill them; 0 none.
func (r *rig) dieAt(n int) {
	var passed atomic.Int64
	border := func() {
		if passed.Add(1) == int64(n) {
			panic(killed{})
		}
	}
	r.border.Store(&border)
}

// TestKillAtEveryBorderMakesOneMachine kills the worker once before and once
// after each of its writes: before is after what the write tells of was
// submitted to vSphere.
func TestKillAtEveryBorderMakesOneMachine(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{}, "--clone-delay", "60ms")
		for n := 1; ; n++ {
			m := r.order(fmt.Sprintf("kill-%d", n))
			r.dieAt(n)
			deaths := r.workOff(m.ID)
			if got := r.machine(m.ID).State; got != models.MachineRunning {
				t.Fatalf("killed at border %d the machine ends %s\n%s", n, got, r.report())
			}
			if vms := r.vms(m.ID); vms != 1 {
				t.Fatalf("killed at border %d leaves %d VMs", n, vms)
			}
			r.dieAt(n)
			if _, err := r.factory.Delete(context.Background(), r.scope, m.ID, m.Name); err != nil {
				t.Fatal(err)
			}
			r.workOff(m.ID)
			if vms := r.vms(m.ID); vms != 0 || r.machine(m.ID).State != models.MachineDeleted {
				t.Fatalf("deleting, killed at border %d, leaves %d VMs\n%s", n, vms, r.report())
			}
			if deaths == 0 {
				break // past the last border
			}
		}
		r.balanced()
	})
}

// TestKillAfterEveryWriteStillEnds lets no visit get further than one write.
func TestKillAfterEveryWriteStillEnds(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{}, "--clone-delay", "60ms")
	var passed atomic.Int64
	border := func() {
		if passed.Add(1)%2 == 0 { // after each write
			panic(killed{})
		}
	}
	r.border.Store(&border)
	m := r.order("phoenix")
	if deaths := r.workOff(m.ID); deaths < 5 {
		t.Errorf("died only %d times", deaths)
	}
	if r.machine(m.ID).State != models.MachineRunning || r.vms(m.ID) != 1 {
		t.Errorf("ends %s with %d VMs", r.machine(m.ID).State, r.vms(m.ID))
	}
}

// TestKillWhileUndoingStillUndoes lets power-on fail and kills the worker at
// each border of what follows.
func TestKillWhileUndoingStillUndoes(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	r.vcenter.faults(lab.FaultRequest{Fail: []lab.Fault{{Method: "PowerOnVM_Task", Times: -1, Task: true, Type: "NoCompatibleHost"}}})
	for n := 1; ; n++ {
		m := r.order(fmt.Sprintf("undo-%d", n))
		r.dieAt(n)
		deaths := r.workOff(m.ID)
		d := r.latest(m.ID)
		if d.State != models.TaskFailed || !d.Undone || r.vms(m.ID) != 0 || r.machine(m.ID).Address != "" {
			t.Fatalf("killed at border %d: %d VMs, address %q\n%s", n, r.vms(m.ID), r.machine(m.ID).Address, r.report())
		}
		if deaths == 0 {
			break
		}
	}
	r.balanced()
}

// TestQueueTakesUpWhatAKilledNodeLeft kills a node's every worker in the
// middle of orders and starts the node again.
func TestQueueTakesUpWhatAKilledNodeLeft(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{}, "--clone-delay", "500ms")
		stop := r.start()
		var made []models.Machine
		for i := range 12 {
			made = append(made, r.order(fmt.Sprintf("m%d", i)))
		}
		r.eventually("some clones are under way", func() bool {
			d := r.latest(made[3].ID)
			return len(d.Steps) > 2 && d.Steps[2].Reference != ""
		})
		// From here on nothing that the workers do is written any more.
		border := func() { panic(killed{}) }
		r.border.Store(&border)
		stop()
		r.connect(Options{})
		r.start()
		for _, m := range made {
			r.ends(m.ID, models.TaskSucceeded)
			if vms := r.vms(m.ID); vms != 1 {
				t.Errorf("%s has %d VMs", m.Name, vms)
			}
		}
		r.balanced()
	})
}
