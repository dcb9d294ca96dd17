package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"
)

// BenchmarkReplay measures how long a vCenter takes to come back with so many
// machines.
func BenchmarkReplay(b *testing.B) {
	for _, n := range []int{0, 200, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			dir := b.TempDir()
			o := VCenterOptions{Dir: filepath.Join(dir, "vc"), Seed: seedFile(b, dir, n)}
			for b.Loop() {
				v, err := NewVCenter(o)
				if err != nil {
					b.Fatal(err)
				}
				if got := len(v.Machines()); got != n {
					b.Fatalf("%d machines", got)
				}
				if err := v.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHundredMachines measures a hundred clones and power-ons in a
// vCenter that has machines already, with and without somebody watching.
func BenchmarkHundredMachines(b *testing.B) {
	for _, there := range []int{0, 200, 1000} {
		for _, watched := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/watched=%v", there, watched), func(b *testing.B) { hundredMachines(b, there, watched) })
		}
	}
}

func seedFile(tb testing.TB, dir string, n int) string {
	tb.Helper()
	seeds := make([]SeedMachine, n)
	for i := range seeds {
		seeds[i] = SeedMachine{
			InstanceUUID: uuid.NewString(), Name: fmt.Sprintf("seed-%d", i), Folder: []string{"acme", "globex", "initech"}[i%3],
			Template: "debian-12", VCPUs: 2, MemoryMiB: 2048, DiskGiB: 20, IP: fmt.Sprintf("10.9.%d.%d", i/200, 10+i%200),
		}
	}
	path := filepath.Join(dir, "seed.json")
	data, err := json.Marshal(seeds)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func hundredMachines(b *testing.B, there int, watched bool) {
	b.Helper()
	dir := b.TempDir()
	v, err := NewVCenter(VCenterOptions{Dir: filepath.Join(dir, "vc"), Seed: seedFile(b, dir, there)})
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	s := login(b, v.Info())
	if watched {
		w := login(b, v.Info())
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		watching := make(chan struct{})
		var once sync.Once
		go w.watch(ctx, func([]types.ObjectUpdate) { once.Do(func() { close(watching) }) })
		<-watching
	}
	template := s.template(CloudPublic, "debian-12")
	round := 0
	for b.Loop() {
		round++
		slots := make(chan struct{}, 16)
		var wg sync.WaitGroup
		for i := range 100 {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				vm := s.clone(template, fmt.Sprintf("r%d-%d", round, i), s.cloneSpec("", "10.3.0.1"))
				s.must(vm.PowerOn(b.Context()))
			})
		}
		wg.Wait()
	}
}
