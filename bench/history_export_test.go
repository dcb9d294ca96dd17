package bench

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/models"
)

// export streams the long org's history, watching memory, and verifies what
// came out and what is in the database.
func (s *historySite) export(b *testing.B) {
	b.Helper()
	ctx := context.Background()
	scope := s.world.Scope(b, "auditor@acme.example", "acme")
	path := filepath.Join(b.TempDir(), "export.jsonl")
	for _, format := range []audit.Format{audit.CSV, audit.JSONL} {
		file, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		export, err := s.service.Export(ctx, scope, models.EventFilter{}, format)
		if err != nil {
			b.Fatal(err)
		}
		stop, peak := watchMemory()
		start, before := time.Now(), cpu(b)
		err = export.Stream(ctx, file)
		took, used := time.Since(start), cpu(b)-before
		stop()
		if err != nil {
			b.Fatal(err)
		}
		if err := file.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(historyLong/took.Seconds(), string(format)+"-events/s")
		b.ReportMetric(historyLong/used.Seconds(), string(format)+"-events/s/core")
		b.ReportMetric(float64(*peak)/(1<<20), string(format)+"-extra-MiB")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	if lines := bytes.Count(text, []byte("\n")); lines < historyLong {
		b.Fatalf("%d lines", lines)
	}
	start, before := time.Now(), cpu(b)
	report, err := audit.VerifyExport(bytes.NewReader(text), s.key.Public(), nil)
	if err != nil || !report.Intact() || report.Signed < historyLong {
		b.Fatalf("%s: %v", report, err)
	}
	b.ReportMetric(historyLong/(cpu(b)-before).Seconds(), "verify-events/s/core")
	b.ReportMetric(historyLong/time.Since(start).Seconds(), "verify-events/s")
	start, before = time.Now(), cpu(b)
	if report, err = s.service.Verify(ctx, scope); err != nil || !report.Intact() {
		b.Fatalf("%s: %v", report, err)
	}
	// SQLite works within this process, PostgreSQL in its own.
	b.ReportMetric(historyLong/(cpu(b)-before).Seconds(), "verify-in-database-events/s/core")
	b.ReportMetric(historyLong/time.Since(start).Seconds(), "verify-in-database-events/s")
}

// watchMemory takes the most that the process has more than at the start.
func watchMemory() (stop func(), peak *int64) {
	peak = new(int64)
	done, ended := make(chan struct{}), make(chan struct{})
	inUse := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse) // #nosec G115
	}
	runtime.GC()
	start := inUse()
	go func() {
		defer close(ended)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				*peak = max(*peak, inUse()-start)
			}
		}
	}()
	return func() { close(done); <-ended }, peak
}

// cpu is what this process has used, on all cores.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// recording compares a change with its event beside the same without, in turns.
func (s *historySite) recording(b *testing.B) {
	b.Helper()
	ctx := context.Background()
	actor := s.world.Scope(b, "user@acme.example", "acme").Actor()
	const rounds = 400
	var with, without []time.Duration
	for i := range rounds * 2 {
		start := time.Now()
		err := s.world.System.Within(ctx, s.world.Acme.ID, actor, func(w *models.Writer) error {
			if err := w.TakeQuota(models.Amounts{models.ResourceVCPUs: 1}); err != nil {
				return err
			}
			if err := w.ReturnQuota(models.Amounts{models.ResourceVCPUs: 1}); err != nil {
				return err
			}
			if i%2 == 0 {
				return nil
			}
			return w.Record(models.Event{Action: models.ActionMachineCreate, Outcome: models.OutcomeAccepted,
				Object: models.Object{Kind: "machine", ID: string(models.NewID[models.MachineID]()), Name: "web-1"},
				After:  map[string]any{"template": "debian-13", "instance_type": "small", "cloud": "public", "network": "default", "price_per_hour_micros": 12000}})
		})
		if err != nil {
			b.Fatal(err)
		}
		if took := time.Since(start); i%2 == 0 {
			without = append(without, took)
		} else {
			with = append(with, took)
		}
	}
	b.ReportMetric(float64((median(with) - median(without)).Microseconds()), "record-µs")
}
