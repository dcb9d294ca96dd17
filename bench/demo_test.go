package bench

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// From starting the binary in an empty folder to its ready line, beside the
// second start in the same folder; and what the portal then holds of memory,
// its two simulated vCenters not counted, with 200 machines.
func BenchmarkDemo(b *testing.B) {
	testkit.Binary(b) // built before the clock runs
	for b.Loop() {
		var first, second []time.Duration
		for range 5 {
			dir := b.TempDir()
			first = append(first, startDemo(b, dir, 14))
			second = append(second, startDemo(b, dir, 14))
		}
		slices.Sort(first)
		slices.Sort(second)
		b.ReportMetric(first[2].Seconds(), "first-s")
		b.ReportMetric(second[2].Seconds(), "second-s")
		b.ReportMetric(first[2].Seconds()/second[2].Seconds(), "first÷second")

		demo, addr := demoProcess(b, b.TempDir(), 200)
		visitor := testkit.NewVisitor(b, "http://"+addr)
		visitor.SignIn(b, "user@acme.example", "millwright")
		for _, page := range []string{"/", "/machines", "/catalog", "/machines/new", "/tasks", "/history"} {
			if a, err := visitor.Get("/orgs/acme" + page); err != nil || a.Status != 200 {
				b.Fatalf("%s: %d %v", page, a.Status, err)
			}
		}
		time.Sleep(15 * time.Second) // idle, the feed settled
		b.ReportMetric(residentMiB(b, demo.Cmd.Process.Pid), "resident-MiB")
		demo.Kill()
		b.ReportMetric(0, "ns/op")
	}
}

func demoProcess(b *testing.B, dir string, machines int) (*testkit.Process, string) {
	b.Helper()
	addr := testkit.FreeAddr(b)
	p := testkit.Run(b, nil, "demo", "--addr", addr, "--data", dir, "--seed-machines", strconv.Itoa(machines))
	p.WaitLine(b, "ready ", 30*time.Second)
	return p, addr
}

func startDemo(b *testing.B, dir string, machines int) time.Duration {
	b.Helper()
	start := time.Now()
	p, _ := demoProcess(b, dir, machines)
	took := time.Since(start)
	if !p.Stop(15 * time.Second) {
		b.Errorf("the demo did not end by itself:\n%s", p.Log())
	}
	return took
}

// residentMiB is what the kernel says the process holds.
func residentMiB(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if kib, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB")))
			if err != nil {
				b.Fatal(err)
			}
			return float64(n) / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
