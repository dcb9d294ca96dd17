package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

const (
	ordersAtOnce = 100
	// cloneConcurrency is what the portal allows itself per cloud; the bare
	// loop gets the same.
	cloneConcurrency = 32
)

// labFlags are the same for both: eight hosts, clones of two seconds.
var labFlags = []string{"--name", "east", "--hosts", "8", "--clone-delay", "2s", "--guest-boot-delay", "500ms"}

// A hundred orders, from the first click to the last machine running, beside a
// loop that makes the same machines with nothing but govmomi: no database, no
// tasks, no history.
func BenchmarkHundredOrders(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				bare := bareClones(b)
				portal, accepted := portalOrders(b, kind)
				b.ReportMetric(portal.Seconds(), "portal-s")
				b.ReportMetric(accepted.Seconds(), "accepted-s")
				b.ReportMetric(bare.Seconds(), "bare-s")
				b.ReportMetric(portal.Seconds()/bare.Seconds(), "portal÷bare")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// portalOrders takes the time until all run, and until all were accepted.
func portalOrders(b *testing.B, kind string) (running, accepted time.Duration) {
	b.Helper()
	v := testkit.RunLabVCenter(b, labFlags...)
	defer v.Process.Kill()
	database := "sqlite://" + filepath.Join(b.TempDir(), "portal.db")
	if kind == "postgres" {
		database = testkit.PostgresURL(b)
	}
	site := testkit.NewSite(b, database, map[string]*testkit.LabVCenter{"east": v})
	visitor := site.Start()
	defer site.Portal.Kill()
	site.SetPassword("user@acme.example")
	visitor.SignIn(b, "user@acme.example", testkit.SitePassword)
	db := testkit.Open(b, database)
	org, err := db.System().OrgBySlug(b.Context(), "acme")
	if err != nil {
		b.Fatal(err)
	}
	count := func() int {
		var counts map[models.MachineState]int
		err := db.System().Look(context.Background(), org.ID, func(r *models.Reader) (err error) {
			counts, err = r.MachineCounts()
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		if counts[models.MachineFailed] > 0 {
			b.Fatalf("%d orders failed:\n%s", counts[models.MachineFailed], site.Portal.Log())
		}
		return counts[models.MachineRunning]
	}

	start := time.Now()
	work := make(chan int)
	var people sync.WaitGroup
	for range 8 {
		people.Go(func() {
			for i := range work {
				a, err := visitor.Post("/orgs/acme/machines", url.Values{
					"name": {fmt.Sprintf("m-%03d", i)}, "template": {"debian-13"}, "instance_type": {"small"}})
				if err != nil || a.Status != http.StatusSeeOther {
					b.Errorf("order: %d %v", a.Status, err)
				}
			}
		})
	}
	for i := range ordersAtOnce {
		work <- i
	}
	close(work)
	people.Wait()
	accepted = time.Since(start)
	for count() < ordersAtOnce {
		if time.Since(start) > 2*time.Minute {
			b.Fatalf("only %d run after two minutes:\n%s", count(), site.Portal.Log())
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(start), accepted
}

// bareClones makes the same machines: clone, grow the disk, power on, wait for
// the guest's address.
func bareClones(b *testing.B) time.Duration {
	b.Helper()
	ctx := context.Background()
	v := testkit.RunLabVCenter(b, labFlags...)
	defer v.Process.Kill()
	u, err := url.Parse(v.URL)
	if err != nil {
		b.Fatal(err)
	}
	u.User = url.UserPassword(v.Username, v.Password)
	client, err := govmomi.NewClient(ctx, u, true)
	if err != nil {
		b.Fatal(err)
	}
	finder := find.NewFinder(client.Client)
	dc, err := finder.DefaultDatacenter(ctx)
	if err != nil {
		b.Fatal(err)
	}
	finder.SetDatacenter(dc)
	template, _ := lab.TemplateBySlug("debian-13")
	ref, err := object.NewSearchIndex(client.Client).FindByUuid(ctx, dc, template.InstanceUUID("east"), true, new(true))
	if err != nil || ref == nil {
		b.Fatalf("template: %v", err)
	}
	source := object.NewVirtualMachine(client.Client, ref.Reference())
	folders, err := dc.Folders(ctx)
	if err != nil {
		b.Fatal(err)
	}
	pools, err := finder.ResourcePoolList(ctx, "*/Resources")
	if err != nil {
		b.Fatal(err)
	}
	pool := pools[0].Reference()

	start := time.Now()
	work := make(chan int)
	var workers sync.WaitGroup
	for range cloneConcurrency {
		workers.Go(func() {
			for i := range work {
				if err := bareClone(ctx, client, source, folders.VmFolder, pool, fmt.Sprintf("bare-%03d", i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range ordersAtOnce {
		work <- i
	}
	close(work)
	workers.Wait()
	return time.Since(start)
}

func bareClone(ctx context.Context, client *govmomi.Client, source *object.VirtualMachine, folder *object.Folder, pool types.ManagedObjectReference, name string) error {
	task, err := source.Clone(ctx, folder, name, types.VirtualMachineCloneSpec{
		Location: types.VirtualMachineRelocateSpec{Pool: &pool},
		Config:   &types.VirtualMachineConfigSpec{InstanceUuid: uuid.NewString(), NumCPUs: 1, MemoryMB: 1024},
		Customization: &types.CustomizationSpec{
			Identity:      &types.CustomizationLinuxPrep{HostName: &types.CustomizationFixedName{Name: name}, Domain: "local"},
			NicSettingMap: []types.CustomizationAdapterMapping{{Adapter: types.CustomizationIPSettings{Ip: &types.CustomizationFixedIp{IpAddress: "10.0.0.9"}, SubnetMask: "255.255.252.0"}}},
		},
	})
	if err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	info, err := task.WaitForResult(ctx)
	if err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	vm := object.NewVirtualMachine(client.Client, info.Result.(types.ManagedObjectReference))
	var current mo.VirtualMachine
	if err := vm.Properties(ctx, vm.Reference(), []string{"config.hardware.device"}, &current); err != nil {
		return err
	}
	disks := object.VirtualDeviceList(current.Config.Hardware.Device).SelectByType((*types.VirtualDisk)(nil))
	disk := disks[0].(*types.VirtualDisk)
	disk.CapacityInKB = 16 << 20
	task, err = vm.Reconfigure(ctx, types.VirtualMachineConfigSpec{Annotation: "made for " + strings.ToUpper(name),
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: disk}}})
	if err != nil {
		return fmt.Errorf("reconfigure: %w", err)
	}
	if _, err := task.WaitForResult(ctx); err != nil {
		return fmt.Errorf("reconfigure: %w", err)
	}
	if task, err = vm.PowerOn(ctx); err != nil {
		return fmt.Errorf("power on: %w", err)
	}
	if _, err := task.WaitForResult(ctx); err != nil {
		return fmt.Errorf("power on: %w", err)
	}
	return property.Wait(ctx, property.DefaultCollector(client.Client), vm.Reference(), []string{"guest.ipAddress"}, func(changes []types.PropertyChange) bool {
		for _, c := range changes {
			if s, ok := c.Val.(string); ok && s != "" {
				return true
			}
		}
		return false
	})
}
