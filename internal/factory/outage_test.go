package factory

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestOrderWaitsForUnreachableCloudAndSaysSo(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{})
		r.start()
		r.vcenter.stop()
		m := r.order("patient")
		r.eventually("the task says that it waits", func() bool {
			return strings.Contains(r.latest(m.ID).Waiting, "Public does not answer")
		})
		if d := r.latest(m.ID); d.State != models.TaskRunning || d.Steps[2].State != models.StepRunning {
			t.Errorf("while waiting the task is %+v", d.Task)
		}
		r.eventually("the cloud is shown as unreachable", func() bool { return r.cloud().Status == models.CloudUnreachable })
		r.vcenter.start()
		if d := r.ends(m.ID, models.TaskSucceeded); d.Waiting != "" {
			t.Errorf("still waits: %s", d.Waiting)
		}
		r.eventually("the cloud is connected again", func() bool { return r.cloud().Status == models.CloudConnected })
	})
}

func (r *rig) cloud() models.Cloud {
	r.t.Helper()
	var c models.Cloud
	r.must(r.scope.Read(context.Background(), func(rd *models.Reader) (err error) {
		c, err = rd.Cloud(r.Public.ID)
		return err
	}))
	return c
}

func TestVCenterPowerCutDuringClonesMakesOneMachineEach(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{}, "--clone-delay", "600ms")
	r.start()
	var made []models.Machine
	for _, name := range []string{"a", "b", "c", "d"} {
		made = append(made, r.order(name))
	}
	r.eventually("clones are under way", func() bool { return r.latest(made[3].ID).Steps[2].Percent > 0 })
	r.vcenter.stop()
	r.vcenter.start()
	for _, m := range made {
		r.ends(m.ID, models.TaskSucceeded)
		if vms := r.vms(m.ID); vms != 1 {
			t.Errorf("%s has %d VMs", m.Name, vms)
		}
	}
	r.balanced()
}

func TestDroppedSessionsDelayNobodyForLong(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{}, "--clone-delay", "400ms")
	r.start()
	var made []models.Machine
	for _, name := range []string{"a", "b", "c"} {
		made = append(made, r.order(name))
	}
	for range 3 {
		r.vcenter.faults(lab.FaultRequest{DropSessions: true, DropConnections: true})
		time.Sleep(150 * time.Millisecond) // the drops are the point, not what follows them
	}
	for _, m := range made {
		r.ends(m.ID, models.TaskSucceeded)
		if vms := r.vms(m.ID); vms != 1 {
			t.Errorf("%s has %d VMs", m.Name, vms)
		}
	}
}

func TestHangingVCenterIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	r.start()
	r.vcenter.faults(lab.FaultRequest{Hang: "7s"})
	m := r.order("slow")
	r.ends(m.ID, models.TaskSucceeded)
	if vms := r.vms(m.ID); vms != 1 {
		t.Errorf("%d VMs", vms)
	}
}
