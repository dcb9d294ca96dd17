package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
)

// BenchmarkReplay measures how long a vCenter takes to come back with so many
// machines.
func BenchmarkReplay(b *testing.B) {
	for _, n := range []int{0, 200, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			seeds := make([]SeedMachine, n)
			for i := range seeds {
				seeds[i] = SeedMachine{
					InstanceUUID: uuid.NewString(), Name: fmt.Sprintf("seed-%d", i), Folder: []string{"acme", "globex", "initech"}[i%3],
					Template: "debian-12", VCPUs: 2, MemoryMiB: 2048, DiskGiB: 20, IP: fmt.Sprintf("10.9.%d.%d", i/200, 10+i%200),
				}
			}
			seed := filepath.Join(dir, "seed.json")
			data, err := json.Marshal(seeds)
			if err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(seed, data, 0o600); err != nil {
				b.Fatal(err)
			}
			o := VCenterOptions{Dir: filepath.Join(dir, "vc"), Seed: seed}
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
