package console

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/models"
)

func TestBytesGoBothWaysAndAreCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn, screen := b.watch(b.user(), models.ConsoleOperate)
	if got := b.consolesUsed(); got != 1 {
		t.Errorf("quota counts %d consoles, want 1", got)
	}
	noise := rand.NewChaCha8([32]byte{})
	var out, in int
	for _, size := range []int{1, 2047, 2048, 2049, 65535, 65536, 65537, 300_000, 5} {
		picture := make([]byte, size)
		_, _ = noise.Read(picture)
		if err := screen.conn.WriteMessage(websocket.BinaryMessage, picture); err != nil {
			t.Fatal(err)
		}
		if got := b.read(conn, size); got != string(picture) {
			t.Fatalf("a picture of %d bytes came changed", size)
		}
		if err := conn.WriteMessage(websocket.BinaryMessage, picture); err != nil {
			t.Fatal(err)
		}
		if got := screen.receive(t, size); got != string(picture) {
			t.Fatalf("input of %d bytes came changed", size)
		}
		in, out = in+size, out+size
	}
	out += len(greeting)
	// Text is between page and portal: it neither arrives nor counts.
	_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"hello":1}`))
	_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
	e := b.wantEvent(models.ActionConsoleClose, `"reason":"closed in the browser"`)
	for _, want := range []string{`"bytes_in":` + itoa(in), `"bytes_out":` + itoa(out), `"seconds":`} {
		if !strings.Contains(e.After, want) {
			t.Errorf("the history says %s, want %s", e.After, want)
		}
	}
	if e.ObjectName != "web-1" || e.ActorName != "User of acme" || e.Source != "192.0.2.1" {
		t.Errorf("the close event is of %s by %s from %s", e.ObjectName, e.ActorName, e.Source)
	}
	if opened := b.wantEvent(models.ActionConsoleOpen, `"mode":"operate"`); opened.Source != "192.0.2.1" {
		t.Errorf("the open event is from %q", opened.Source)
	}
	if got := b.consolesUsed(); got != 0 {
		t.Errorf("quota still counts %d consoles", got)
	}
	if _, ok := <-screen.got; ok {
		t.Error("text reached the hypervisor")
	}
}

func TestMachineThatIsOffClosesWith4409(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	ticket := b.ticket(u, models.ConsoleOperate)
	b.move(models.MachineStopped)
	b.wantClose(b.connect(u, ticket), endNotOn)
	b.wantEvent(models.ActionConsoleRefuse, endNotOn.text)
}

func TestLostHypervisorClosesWith4503(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn, screen := b.watch(b.user(), models.ConsoleOperate)
	_ = screen.conn.Close()
	b.wantClose(conn, endUpstream)
	b.wantEvent(models.ActionConsoleClose, endUpstream.text)
	// No address of ours, and no ticket, is anywhere.
	for _, e := range append(b.history(models.ActionConsoleClose), b.history(models.ActionConsoleOpen)...) {
		if strings.Contains(e.After, "127.0.0.1") || strings.Contains(e.After, "one-time") {
			t.Errorf("the history says %s", e.After)
		}
	}
	if text := b.log.String(); strings.Contains(text, "127.0.0.1") || strings.Contains(text, "one-time") {
		t.Errorf("the log says %s", text)
	}
}

func TestHypervisorThatFallsSilentIsNoticed(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.timing.ping, s.timing.read = 20*time.Millisecond, 300*time.Millisecond })
	release := make(chan struct{})
	pongs := make(chan struct{}, 1000)
	b.host.onPing = func(conn *websocket.Conn, data string) error {
		select {
		case <-release: // answers no more
			return nil
		default:
		}
		pongs <- struct{}{}
		return conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
	}
	conn, _ := b.watch(b.user(), models.ConsoleOperate)
	go func() { // more than the read deadline's worth of answers, then silence
		for range 30 {
			<-pongs
		}
		close(release)
	}()
	b.wantClose(conn, endUpstream)
	select {
	case <-release:
	default:
		t.Error("a silent screen that answered pings was closed")
	}
}

func TestBrowserThatStopsReadingIsClosed(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.timing.write = 200 * time.Millisecond })
	_, screen := b.watch(b.user(), models.ConsoleOperate) // reads nothing more
	picture := make([]byte, 1<<20)
	const pictures = 64
	taken := 0
	for ; taken < pictures; taken++ {
		if err := screen.conn.WriteMessage(websocket.BinaryMessage, picture); err != nil {
			break // the portal has hung up
		}
	}
	// What the browser doesn't read waits at the hypervisor, and in the kernel's
	// bounded buffers: the portal takes in no more than it can pass on.
	if taken == pictures {
		t.Errorf("the portal took in all %d MiB for a browser that read nothing", pictures)
	}
	b.wantEvent(models.ActionConsoleClose, endStuck.text)
}

func TestDeadBrowserIsNoticed(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.timing.ping, s.timing.read = 20*time.Millisecond, 150*time.Millisecond })
	b.watch(b.user(), models.ConsoleOperate) // nobody reads, so nobody answers pings
	b.wantEvent(models.ActionConsoleClose, endLost.text)
}

func TestViewersInputIsDropped(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn, screen := b.watch(b.user(), models.ConsoleView)
	var sent, want bytes.Buffer
	for _, m := range viewerSays() {
		sent.Write(m.bytes)
		if m.passed != nil {
			want.Write(m.passed)
		}
	}
	if err := conn.WriteMessage(websocket.BinaryMessage, sent.Bytes()); err != nil {
		t.Fatal(err)
	}
	if got := screen.receive(t, want.Len()); got != want.String() {
		t.Errorf("the hypervisor got %q, want %q", got, want.String())
	}
	if err := conn.WriteMessage(websocket.BinaryMessage, []byte{77, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endGibberish)
	if p, ok := <-screen.got; ok {
		t.Errorf("the hypervisor got %q as well", p)
	}
}

func TestServiceThatDoesNotGuardDoesNotServe(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	b.service = New(b.world.System, b.screens, Options{Node: "node-2"}) // no Run
	b.wantClose(b.connect(u, b.ticket(u, models.ConsoleOperate)), endNodeDown)
}

func TestPlainRequestIsNoSocket(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, b.portal.URL+Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Test-Session", string(u.who.Session.ID))
	r.Header.Set("Origin", b.portal.URL)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("answered %d, want 400", res.StatusCode)
	}
}
