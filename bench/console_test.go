package bench

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// The console proxy beside websockify, and beside a relay that copies between
// two TCP connections, on the same stream. Each is a process of its own; the
// load's part is the same for all.
func BenchmarkConsoleStream(b *testing.B) {
	var screen screenAddresses
	ends := []int{os.Getpid(), play(b, "screen", nil, &screen).Process.Pid}
	b.Run("plain", func(b *testing.B) {
		var relay string
		relayed := play(b, "relay", screen.TCP, &relay)
		ways := []*way{
			portalWay(b, screen, false),
			websockifyWay(b, screen, false),
			{name: "relay", pid: relayed.Process.Pid, open: func() (*stream, error) { return openTCP(relay) }},
		}
		for b.Loop() {
			measure(b, ways, ends)
		}
	})
	b.Run("tls", func(b *testing.B) {
		ways := []*way{portalWay(b, screen, true), websockifyWay(b, screen, true)}
		for b.Loop() {
			measure(b, ways, ends)
		}
	})
}

const (
	streamRounds = 5
	streamFrames = 300 // about 1.2 GB a round
	keyPresses   = 4000
	outstanding  = 3 // frames asked for ahead
)

// way is one path to the screen.
type way struct {
	name string
	pid  int
	open func() (*stream, error)

	rate, cpu, delay []float64 // MB/s, CPU seconds per GB, median µs from key to rectangle
}

func portalWay(b *testing.B, screen screenAddresses, secure bool) *way {
	b.Helper()
	site := newConsoleSite(b, screen, secure)
	return &way{name: "portal", pid: site.cmd.Process.Pid, open: site.open}
}

func websockifyWay(b *testing.B, screen screenAddresses, secure bool) *way {
	b.Helper()
	address, scheme := testkit.FreeAddr(b), "ws"
	args := []string{address, screen.TCP}
	if secure {
		file, err := writeCertificate(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		scheme, args = "wss", []string{"--cert", file, "--ssl-only", "--ssl-target", address, screen.TLS}
	}
	cmd := exec.Command("websockify", args...)
	if err := cmd.Start(); err != nil {
		b.Fatalf("websockify (task deps installs it): %v", err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	open := func() (*stream, error) { return openSocket(scheme+"://"+address+"/", nil, "binary") }
	eventually(b, "websockify answers", func() bool {
		conn, err := open()
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return &way{name: "websockify", pid: cmd.Process.Pid, open: open}
}

// measure goes through the ways in turns, so that a machine that drifts
// drifts for all, and reports the first one's ratios to the others.
func measure(b *testing.B, ways []*way, ends []int) {
	b.Helper()
	for range streamRounds {
		for _, w := range ways {
			w.stream(b)
		}
	}
	for range streamRounds {
		for _, w := range ways {
			together := apart(b, w.pid, ends...)
			w.press(b)
			together()
		}
	}
	ours := ways[0]
	for _, w := range ways {
		b.ReportMetric(median(w.rate), w.name+"-MB/s")
		b.ReportMetric(median(w.cpu), w.name+"-CPU-s/GB")
		b.ReportMetric(median(w.delay), w.name+"-key-µs")
		if w != ours {
			b.ReportMetric(ratio(ours.rate, w.rate), "rate÷"+w.name)
			b.ReportMetric(ratio(ours.cpu, w.cpu), "CPU÷"+w.name)
			b.ReportMetric(ratio(ours.delay, w.delay), "key÷"+w.name)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// stream takes frames as fast as they come.
func (w *way) stream(b *testing.B) {
	b.Helper()
	conn, err := w.open()
	if err != nil {
		b.Fatalf("%s: %v", w.name, err)
	}
	defer conn.Close()
	ask := conn.wire(message(askUpdate, askLength))
	take := func(bytes int) {
		if _, err := conn.take(bytes); err != nil {
			b.Fatalf("%s: %v", w.name, err)
		}
	}
	send := func() {
		if err := conn.write(ask); err != nil {
			b.Fatalf("%s: %v", w.name, err)
		}
	}
	for range outstanding {
		send()
	}
	take(frameBytes) // the buffers have grown
	before, start := cpuSeconds(b, w.pid), time.Now()
	for range streamFrames {
		send()
		take(frameBytes)
	}
	took := time.Since(start).Seconds()
	gigabytes := float64(streamFrames) * frameBytes / 1e9
	w.rate = append(w.rate, gigabytes*1000/took)
	w.cpu = append(w.cpu, (cpuSeconds(b, w.pid)-before)/gigabytes)
	take((outstanding - 1) * frameBytes)
}

// press waits for what each key changes before it presses the next.
func (w *way) press(b *testing.B) {
	b.Helper()
	conn, err := w.open()
	if err != nil {
		b.Fatalf("%s: %v", w.name, err)
	}
	defer conn.Close()
	key := conn.wire(message(sendKey, keyLength))
	times := make([]float64, 0, keyPresses)
	for range keyPresses {
		start := time.Now()
		if err := conn.write(key); err != nil {
			b.Fatalf("%s: %v", w.name, err)
		}
		if _, err := conn.take(rectangleBytes); err != nil {
			b.Fatalf("%s: %v", w.name, err)
		}
		times = append(times, float64(time.Since(start).Nanoseconds())/1000)
	}
	w.delay = append(w.delay, median(times))
}

// ratio is the median of the rounds' own ratios: each round's two figures were
// taken within seconds of each other.
func ratio(a, b []float64) float64 {
	var list []float64
	for i := range a {
		list = append(list, a[i]/b[i])
	}
	return median(list)
}

// message is a client's, of which only the first byte means something here.
func message(kind byte, length int) []byte {
	text := make([]byte, length)
	text[0] = kind
	return text
}
