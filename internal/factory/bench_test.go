package factory

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

const (
	benchOrders      = 100
	benchConcurrency = 32 // what the factory allows itself on eight hosts
)

// BenchmarkHundredOrders takes a hundred orders from acceptance to running,
// beside a bare loop over govmomi that makes and starts the same machines with
// the same concurrency: x-bare is how many times as long ours takes.
//
//	go test -run '^$' -bench HundredOrders -benchtime 1x ./internal/factory
func BenchmarkHundredOrders(b *testing.B) {
	for _, kind := range []models.Kind{models.SQLite, models.PostgreSQL} {
		b.Run(string(kind), func(b *testing.B) {
			for range b.N {
				bare := bareLoop(b)
				ours, accepting := throughPortal(b, kind)
				b.ReportMetric(bare.Seconds(), "bare-s")
				b.ReportMetric(ours.Seconds(), "ours-s")
				b.ReportMetric(accepting.Seconds(), "accept-s")
				b.ReportMetric(ours.Seconds()/bare.Seconds(), "x-bare")
			}
		})
	}
}

func benchVCenter(b *testing.B) *simulated {
	b.Helper()
	return simulate(b, "--name", "public", "--hosts", "8", "--clone-delay", "2s")
}

func throughPortal(b *testing.B, kind models.Kind) (running, accepting time.Duration) {
	b.Helper()
	b.StopTimer()
	db := testkit.SQLite
	if kind == models.PostgreSQL {
		db = testkit.Postgres
	}
	r := buildOn(b, db(b), benchVCenter(b), Options{})
	stop := r.start()
	defer stop()
	if _, err := r.client.About(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
	began := time.Now()
	made, err := make([]models.Machine, 0, benchOrders), error(nil)
	for i := range benchOrders {
		made = append(made, r.order(fmt.Sprintf("m%d", i)))
	}
	accepting = time.Since(began)
	r.eventually("all run", func() bool {
		var counts map[models.MachineState]int
		err = r.scope.Read(context.Background(), func(rd *models.Reader) (err error) {
			counts, err = rd.MachineCounts()
			return err
		})
		return err == nil && counts[models.MachineRunning] == len(made)
	})
	running = time.Since(began)
	b.StopTimer()
	if n := len(r.vcenter.machines()); n != benchOrders {
		b.Fatalf("vCenter holds %d machines", n)
	}
	b.StartTimer()
	return running, accepting
}

func bareLoop(b *testing.B) time.Duration {
	b.Helper()
	v := benchVCenter(b)
	ctx := context.Background()
	u, err := url.Parse(v.info.URL)
	if err != nil {
		b.Fatal(err)
	}
	u.User = url.UserPassword(v.info.Username, v.info.Password)
	c, err := govmomi.NewClient(ctx, u, true)
	if err != nil {
		b.Fatal(err)
	}
	kind, _ := lab.TemplateBySlug("debian-13")
	finder := find.NewFinder(c.Client, false)
	folder, err1 := finder.Folder(ctx, lab.PathFolder)
	pool, err2 := finder.ResourcePool(ctx, lab.PathPool)
	ref, err3 := object.NewSearchIndex(c.Client).FindByUuid(ctx, nil, kind.InstanceUUID("public"), true, new(true))
	if err1 != nil || err2 != nil || err3 != nil || ref == nil {
		b.Fatal(err1, err2, err3)
	}
	template := object.NewVirtualMachine(c.Client, ref.Reference())
	where := pool.Reference()
	one := func(name string) error {
		task, err := template.Clone(ctx, folder, name, types.VirtualMachineCloneSpec{
			Location: types.VirtualMachineRelocateSpec{Pool: &where},
			Config:   &types.VirtualMachineConfigSpec{NumCPUs: 1, MemoryMB: 1024, InstanceUuid: uuid.NewString()},
		})
		if err != nil {
			return err
		}
		info, err := task.WaitForResult(ctx)
		if err != nil {
			return err
		}
		vm := object.NewVirtualMachine(c.Client, info.Result.(types.ManagedObjectReference))
		if task, err = vm.PowerOn(ctx); err != nil {
			return err
		}
		if err := task.Wait(ctx); err != nil {
			return err
		}
		_, err = vm.WaitForIP(ctx, true)
		return err
	}
	began := time.Now()
	var wg sync.WaitGroup
	room := make(chan struct{}, benchConcurrency)
	for i := range benchOrders {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			if err := one(fmt.Sprintf("bare-%d", i)); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}
