package factory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestOrderBecomesOneRunningMachine(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{}, "--clone-delay", "300ms")
		r.start()
		m := r.order("web")
		if m.Address == "" || m.State != models.MachineBuilding {
			t.Fatalf("accepted as %+v", m)
		}
		d := r.ends(m.ID, models.TaskSucceeded)
		if d.Percent != 100 || d.Waiting != "" || len(d.Log) == 0 {
			t.Errorf("ended as %+v", d.Task)
		}
		for _, s := range d.Steps {
			if s.State != models.StepDone || s.Percent != 100 || s.StartedAt == nil || s.FinishedAt == nil {
				t.Errorf("step %+v", s)
			}
		}
		now := r.machine(m.ID)
		if now.State != models.MachineRunning || now.ObservedPower != "poweredOn" || now.ObservedAddress != m.Address || !now.ToolsRunning {
			t.Errorf("machine %+v", now)
		}
		list := r.vcenter.machines()
		if len(list) != 1 {
			t.Fatalf("vCenter holds %d machines", len(list))
		}
		vm := list[0]
		if vm.InstanceUUID != m.ID.InstanceUUID() || vm.Name != models.VMName("web", m.ID) || vm.HostName != "web" ||
			vm.VCPUs != int32(m.VCPUs) || vm.MemoryMiB != int64(m.MemoryMiB) || vm.Disks[0].CapacityKiB != int64(m.DiskGiB)<<20 {
			t.Errorf("VM %+v", vm)
		}
		want := []string{"machine.create accepted by User of acme", "machine.create succeeded by User of acme"}
		if got := r.outcomes(m.ID); !slices.Equal(got, want) {
			t.Errorf("history %q", got)
		}
		r.balanced()
	})
}

func TestHundredOrdersOnQuotaOfTenMakeTen(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{})
		limits := models.Limits{models.ResourceMachines: 10, models.ResourceVCPUs: 1000, models.ResourceMemory: 1 << 20, models.ResourceStorage: 1 << 20}
		_, err := r.System.PutOrg(context.Background(), "acme", "Acme", limits)
		r.must(err)
		r.start()
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			made []models.Machine
		)
		for i := range 100 {
			wg.Go(func() {
				list, err := r.factory.Order(context.Background(), r.scope, models.Order{
					Name: fmt.Sprintf("m%d", i), Template: "debian-13", InstanceType: "small", Cloud: "public"})
				if err != nil && !errors.Is(err, models.ErrQuota) {
					t.Errorf("order %d: %v", i, err)
				}
				mu.Lock()
				defer mu.Unlock()
				made = append(made, list...)
			})
		}
		wg.Wait()
		if len(made) != 10 {
			t.Fatalf("%d orders were accepted", len(made))
		}
		for _, m := range made {
			r.ends(m.ID, models.TaskSucceeded)
		}
		if n := len(r.vcenter.machines()); n != 10 {
			t.Errorf("vCenter holds %d machines", n)
		}
		r.balanced()
		r.refusals(map[models.Action]int{models.ActionMachineCreate: 90})
	})
}

func TestCountMakesNumberedMachinesOrNone(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	o := models.Order{Name: "node", Template: "debian-13", InstanceType: "small", Count: 3}
	made, err := r.factory.Order(context.Background(), r.scope, o)
	r.must(err)
	if len(made) != 3 || made[0].Name != "node-1" || made[2].Name != "node-3" {
		t.Fatalf("made %v", made)
	}
	o.Name, o.Count = "x", 20
	limits := testkit.RoomyLimits
	limits = models.Limits{models.ResourceMachines: 10, models.ResourceVCPUs: limits[models.ResourceVCPUs],
		models.ResourceMemory: limits[models.ResourceMemory], models.ResourceStorage: limits[models.ResourceStorage]}
	_, err = r.System.PutOrg(context.Background(), "acme", "Acme", limits)
	r.must(err)
	if _, err := r.factory.Order(context.Background(), r.scope, o); !errors.Is(err, models.ErrQuota) {
		t.Errorf("twenty on a quota of ten: %v", err)
	}
	r.balanced()
	r.must(r.scope.Read(context.Background(), func(rd *models.Reader) error {
		page, err := rd.Machines(models.MachineFilter{})
		if len(page.Rows) != 3 {
			t.Errorf("%d machines are there", len(page.Rows))
		}
		return err
	}))
}
