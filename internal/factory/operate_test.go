package factory

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// running orders a machine and waits for it.
func (r *rig) running(name string) models.Machine {
	r.t.Helper()
	m := r.order(name)
	r.ends(m.ID, models.TaskSucceeded)
	return m
}

func (r *rig) power(id models.MachineID, op models.PowerOp) models.TaskDetail {
	r.t.Helper()
	_, err := r.factory.Power(context.Background(), r.scope, id, op)
	r.must(err)
	return r.ends(id, models.TaskSucceeded)
}

func TestPowerOperationsLeadWhereTheySay(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{})
		r.start()
		m := r.running("web")
		for _, op := range []models.PowerOp{
			models.PowerReset, models.PowerSuspend, models.PowerResume, models.PowerStop, models.PowerStart,
			models.PowerSuspend, models.PowerStop, models.PowerStart,
		} {
			r.power(m.ID, op)
			if got, want := r.machine(m.ID).State, models.PowerRules[op].To; got != want {
				t.Fatalf("after %s the machine is %s, want %s", op, got, want)
			}
		}
		r.eventually("the guest is up", func() bool { return r.machine(m.ID).ToolsRunning })
		r.power(m.ID, models.PowerShutdown)
		if got := r.machine(m.ID); got.State != models.MachineStopped || got.ObservedPower != "poweredOff" {
			t.Errorf("after shutdown %+v", got)
		}
		for _, line := range r.outcomes(m.ID) {
			if strings.Contains(line, "machine.state") {
				t.Errorf("our own doing was taken for other hands': %q", r.outcomes(m.ID))
				break
			}
		}
		if _, err := r.factory.Power(context.Background(), r.scope, m.ID, models.PowerSuspend); !errors.Is(err, models.ErrConflict) {
			t.Errorf("suspend of a stopped machine: %v", err)
		}
		if _, err := r.factory.Power(context.Background(), r.scope, m.ID, "explode"); !errors.Is(err, models.ErrInvalid) {
			t.Errorf("an unknown operation: %v", err)
		}
	})
}

func TestPowerOpWhoseEffectIsThereSucceeds(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	stop := r.start()
	m := r.running("web")
	stop()
	_, err := r.factory.Power(context.Background(), r.scope, m.ID, models.PowerStop)
	r.must(err)
	vm, err := r.client.FindVM(context.Background(), m.ID.InstanceUUID())
	r.must(err)
	ref, err := r.client.StartPower(context.Background(), vm.Ref, "power_off")
	r.must(err)
	_, err = r.client.Await(context.Background(), ref, nil)
	r.must(err)
	r.workOff(m.ID)
	if d := r.latest(m.ID); d.State != models.TaskSucceeded || r.machine(m.ID).State != models.MachineStopped {
		t.Errorf("the task is %s", d.State)
	}
}

func TestOneActiveTaskPerMachine(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{})
		stop := r.start()
		m := r.running("web")
		stop()
		ctx := context.Background()
		_, err := r.factory.Power(ctx, r.scope, m.ID, models.PowerStop)
		r.must(err)
		if _, err := r.factory.Power(ctx, r.scope, m.ID, models.PowerReset); !errors.Is(err, models.ErrConflict) {
			t.Errorf("a second operation: %v", err)
		}
		if _, err := r.factory.Delete(ctx, r.scope, m.ID, "web"); !errors.Is(err, models.ErrConflict) {
			t.Errorf("a delete beside an operation: %v", err)
		}
		if got := r.machine(m.ID).State; got != models.MachineRunning {
			t.Errorf("the refused delete left it %s", got)
		}
		r.refusals(map[models.Action]int{models.ActionMachinePower: 1, models.ActionMachineDelete: 1})
	})
}

func TestShutdownWithoutToolsGivesAdvice(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{GuestPatience: 100 * time.Millisecond}, "--guest-boot-delay", "1h")
	r.start()
	m := r.running("deaf") // handed over without tools
	_, err := r.factory.Power(context.Background(), r.scope, m.ID, models.PowerShutdown)
	r.must(err)
	d := r.ends(m.ID, models.TaskFailed)
	if d.ErrorCode != "tools_not_running" || !strings.Contains(d.ErrorText, "Use Stop") {
		t.Errorf("failed as %+v", d.Task)
	}
	if got := r.machine(m.ID).State; got != models.MachineRunning {
		t.Errorf("the machine is %s", got)
	}
	r.power(m.ID, models.PowerStop)
}

func TestDeleteNeedsTheNameAndRemovesEverything(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{})
		r.start()
		m := r.running("web")
		ctx := context.Background()
		_, err := r.factory.Delete(ctx, r.scope, m.ID, "wed")
		if fields := models.FieldsOf(err); fields["confirm"] == "" {
			t.Fatalf("a wrong name: %v", err)
		}
		_, err = r.factory.Delete(ctx, r.scope, m.ID, "web")
		r.must(err)
		r.ends(m.ID, models.TaskSucceeded)
		now := r.machine(m.ID)
		if now.State != models.MachineDeleted || now.DeletedAt == nil || now.Address != "" || r.vms(m.ID) != 0 {
			t.Errorf("machine %+v", now)
		}
		r.balanced()
		if again := r.order("web"); again.ID == m.ID {
			t.Error("the name is not free again")
		}
	})
}

func TestDeleteOfAMachineThatIsGoneSucceeds(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	r.start()
	m := r.running("ghost")
	r.destroyBehindOurBack(m)
	r.reaches(m.ID, models.MachineMissing)
	_, err := r.factory.Delete(context.Background(), r.scope, m.ID, "ghost")
	r.must(err)
	r.ends(m.ID, models.TaskSucceeded)
	r.balanced()
}

func TestFailedDeleteCanBeAskedAgain(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	r.start()
	m := r.running("sticky")
	r.vcenter.faults(lab.FaultRequest{Fail: []lab.Fault{{Method: "Destroy_Task", Task: true, Type: "NoPermission"}}})
	_, err := r.factory.Delete(context.Background(), r.scope, m.ID, "sticky")
	r.must(err)
	d := r.ends(m.ID, models.TaskFailed)
	if now := r.machine(m.ID); now.State != models.MachineFailed || !now.Reserved {
		t.Errorf("machine %+v", now)
	}
	r.balanced()
	_, err = r.factory.Retry(context.Background(), r.scope, d.ID)
	r.must(err)
	r.ends(m.ID, models.TaskSucceeded)
	r.balanced()
}

// otherHands is a second client of the vCenter: an administrator's.
func (r *rig) otherHands(m models.Machine) *object.VirtualMachine {
	r.t.Helper()
	ctx := context.Background()
	u, err := url.Parse(r.vcenter.info.URL)
	r.must(err)
	u.User = url.UserPassword(r.vcenter.info.Username, r.vcenter.info.Password)
	c, err := govmomi.NewClient(ctx, u, true)
	r.must(err)
	r.t.Cleanup(func() { _ = c.Logout(ctx) })
	ref, err := object.NewSearchIndex(c.Client).FindByUuid(ctx, nil, m.ID.InstanceUUID(), true, new(true))
	r.must(err)
	return object.NewVirtualMachine(c.Client, types.ManagedObjectReference{Type: "VirtualMachine", Value: ref.Reference().Value})
}

func (r *rig) done(task *object.Task, err error) {
	r.t.Helper()
	r.must(err)
	r.must(task.Wait(context.Background()))
}

func (r *rig) destroyBehindOurBack(m models.Machine) {
	r.t.Helper()
	vm := r.otherHands(m)
	r.done(vm.PowerOff(context.Background()))
	r.done(vm.Destroy(context.Background()))
}

func TestFeedTellsWhatOtherHandsDid(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{})
		r.start()
		m := r.running("web")
		vm := r.otherHands(m)
		r.done(vm.PowerOff(context.Background()))
		r.reaches(m.ID, models.MachineStopped)
		r.done(vm.PowerOn(context.Background()))
		r.reaches(m.ID, models.MachineRunning)
		r.destroyBehindOurBack(m)
		r.reaches(m.ID, models.MachineMissing)
		if !slices.Contains(r.outcomes(m.ID), "machine.state succeeded by vSphere") {
			t.Errorf("history %q", r.outcomes(m.ID))
		}
	})
}

func TestFeedSeesWhatHappenedWhileItWasAway(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	stop := r.start()
	gone, off := r.running("gone"), r.running("off")
	stop()
	r.destroyBehindOurBack(gone)
	r.done(r.otherHands(off).PowerOff(context.Background()))
	r.connect(Options{})
	r.start()
	r.reaches(gone.ID, models.MachineMissing)
	r.reaches(off.ID, models.MachineStopped)
}

func TestPowerOfAVanishedMachineSaysSo(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	stop := r.start()
	m := r.running("web")
	stop()
	_, err := r.factory.Power(context.Background(), r.scope, m.ID, models.PowerStop)
	r.must(err)
	r.destroyBehindOurBack(m)
	r.workOff(m.ID)
	if d := r.latest(m.ID); d.State != models.TaskFailed || !strings.Contains(d.ErrorText, "removed there by other hands") {
		t.Errorf("failed as %+v", d.Task)
	}
	if got := r.machine(m.ID).State; got != models.MachineMissing {
		t.Errorf("the machine is %s", got)
	}
}

func TestTaskWithoutJobGetsOne(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{})
		m := r.order("orphan")
		_, err := db.SQL().ExecContext(context.Background(), "DELETE FROM river_job")
		r.must(err)
		r.must(r.factory.Reconcile(context.Background())) // too young
		_, err = db.SQL().ExecContext(context.Background(), "UPDATE tasks SET created_at = '2020-01-01 00:00:00+00:00'")
		if db.Kind() == models.PostgreSQL {
			err = r.backdate(db)
		}
		r.must(err)
		r.must(r.factory.Reconcile(context.Background()))
		r.must(r.factory.Reconcile(context.Background())) // it has one now
		var jobs int
		r.must(db.SQL().QueryRowContext(context.Background(), "SELECT COUNT(*) FROM river_job").Scan(&jobs))
		if jobs != 1 {
			t.Errorf("%d jobs", jobs)
		}
		r.start()
		r.ends(m.ID, models.TaskSucceeded)
	})
}

// backdate ages every Task, past row-level security.
func (r *rig) backdate(db *models.DB) error {
	ctx := context.Background()
	tx, err := db.SQL().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, statement := range []string{"SET LOCAL millwright.system = 'on'", "UPDATE tasks SET created_at = now() - interval '1 hour'"} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}
