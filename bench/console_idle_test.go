package bench

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// Idle consoles: what each keeps resident once it has shown a frame, and that
// thousands in one process all still answer.
func BenchmarkConsoleIdle(b *testing.B) {
	var screen screenAddresses
	play(b, "screen", nil, &screen)
	for _, c := range []struct {
		name     string
		secure   bool
		sessions int
	}{{"plain", false, 1000}, {"tls", true, 1000}, {"many", false, 5000}} {
		b.Run(c.name, func(b *testing.B) {
			site := newConsoleSite(b, screen, c.secure)
			for b.Loop() {
				idle(b, site, c.sessions)
			}
		})
	}
}

const (
	openersAtOnce = 16
	warmUp        = 200
	idleRest      = 10 * time.Second
	settleFirst   = 4 * time.Second // large buffers go back after one, closed consoles are recorded

	answerPatience = 30 * time.Second
)

// idleConsole reads all the time, as a page does: whoever doesn't answers no
// ping, and is taken for dead.
type idleConsole struct {
	*stream
	answers atomic.Int64 // to keys
}

func (c *idleConsole) read(shown chan<- struct{}) {
	if _, err := c.take(frameBytes); err != nil {
		return
	}
	close(shown)
	for {
		if _, err := c.take(rectangleBytes); err != nil {
			return
		}
		c.answers.Add(1)
	}
}

func idle(b *testing.B, site *consoleSite, sessions int) {
	b.Helper()
	// Some first, so that what is made once (the database's caches, most of all)
	// isn't counted as theirs.
	for _, s := range openMany(b, site, warmUp) {
		_ = s.Close()
	}
	before := settledKiB(b, site)
	start := time.Now()
	open := openMany(b, site, sessions)
	took := time.Since(start)
	after := settledKiB(b, site)
	busy := cpuSeconds(b, site.cmd.Process.Pid)
	time.Sleep(idleRest)
	busy = cpuSeconds(b, site.cmd.Process.Pid) - busy
	key := open[0].wire(message(sendKey, keyLength))
	for _, s := range open {
		_ = s.write(key) // one that fails does not answer
	}
	answered := 0
	for deadline := time.Now().Add(answerPatience); answered < sessions && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		answered = 0
		for _, s := range open {
			if s.answers.Load() > 0 {
				answered++
			}
		}
	}
	for _, s := range open {
		_ = s.Close()
	}
	b.ReportMetric((after-before)/float64(sessions), "KiB/session")
	b.ReportMetric(took.Seconds(), "open-s")
	b.ReportMetric(100*busy/idleRest.Seconds(), "idle-CPU-%")
	b.ReportMetric(float64(answered), "answered")
	b.ReportMetric(0, "ns/op")
	if answered != sessions {
		b.Errorf("%d of %d consoles answered", answered, sessions)
	}
}

// settledKiB is what the portal keeps once it has given back what it can: the
// hashing of the sign-in alone takes 64 MiB for a moment.
func settledKiB(b *testing.B, site *consoleSite) float64 {
	b.Helper()
	time.Sleep(settleFirst)
	if err := site.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		b.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	return residentKiB(b, site.cmd.Process.Pid)
}

// openMany opens consoles and takes a whole frame from each.
func openMany(b *testing.B, site *consoleSite, n int) []*idleConsole {
	b.Helper()
	var mu sync.Mutex
	var open []*idleConsole
	var all errgroup.Group
	all.SetLimit(openersAtOnce)
	for range n {
		all.Go(func() error {
			s, err := site.open()
			if err != nil {
				return err
			}
			c, shown := &idleConsole{stream: s}, make(chan struct{})
			go c.read(shown)
			if err := c.write(c.wire(message(askUpdate, askLength))); err != nil {
				return err
			}
			select {
			case <-shown:
			case <-time.After(answerPatience):
				return errors.New("no frame came")
			}
			mu.Lock()
			defer mu.Unlock()
			open = append(open, c)
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		b.Fatalf("open: %v", err)
	}
	return open
}
