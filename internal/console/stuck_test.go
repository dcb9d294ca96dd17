package console

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/models"
)

// heapNow is what the process holds on to.
func heapNow() uint64 {
	runtime.GC()
	runtime.GC() // what pools lend goes at the second time
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Not parallel: it looks at the whole process.
func TestBrowsersThatStopReadingDoNotGrowTheProcess(t *testing.T) { //nolint:paralleltest // see above
	const browsers = 64
	b := newBench(t, func(s *Service) { s.timing.write, s.timing.linger = 2*time.Second, 100*time.Millisecond })
	b.crowd(browsers)
	u := b.user()
	picture := make([]byte, 1<<20)
	before := heapNow()
	var all sync.WaitGroup
	for range browsers {
		conn := b.connect(u, b.mustIssue(u, models.ConsoleAsk{Mode: models.ConsoleView}))
		b.read(conn, len(greeting)) // and nothing more
		screen := b.host.next(t)
		all.Go(func() {
			for screen.conn.WriteMessage(websocket.BinaryMessage, picture) == nil { // until the portal hangs up
			}
		})
	}
	ended := make(chan struct{})
	go func() { defer close(ended); all.Wait() }()
	// Each has a large buffer at most, two small ones and its sockets: the far
	// ends are in this process as well.
	const each = largeBuffer + 256<<10
	var most uint64
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for stuck := true; stuck; {
		select {
		case <-ended:
			stuck = false
		case <-look.C:
			most = max(most, heapNow())
		}
	}
	if most > before+browsers*each {
		t.Errorf("the heap grew by %d KiB while %d browsers did not read, want %d KiB at most", (most-before)>>10, browsers, browsers*each>>10)
	}
	b.until("all are closed", func() bool { return b.consolesUsed() == 0 })
	for _, e := range b.history(models.ActionConsoleClose) {
		if !strings.Contains(e.After, endStuck.text) {
			t.Errorf("one ended otherwise: %s", e.After)
		}
	}
	if after := heapNow(); after > before+browsers*64<<10 {
		t.Errorf("%d KiB stay behind", (after-before)>>10)
	}
	if lent := b.service.large.lent.Load(); lent != 0 {
		t.Errorf("%d large buffers are lent still", lent)
	}
}

// Compressing would cost a window for each console, and tell of what is typed
// by its length.
func TestCompressionIsNotAccepted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.portal.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nTest-Session: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary, ticket.%s\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
		Path, conn.RemoteAddr(), b.portal.URL, u.who.Session.ID, b.ticket(u, models.ConsoleOperate))
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answered by %+v, %v", answer, err)
	}
	_ = answer.Body.Close()
	if got, ok := answer.Header["Sec-Websocket-Extensions"]; ok {
		t.Errorf("the portal accepted %q", got)
	}
	// A whole binary message that is not compressed, and the greeting in it.
	frame := make([]byte, 2+len(greeting))
	if _, err := io.ReadFull(r, frame); err != nil || frame[0] != final|websocket.BinaryMessage || string(frame[2:]) != greeting {
		t.Errorf("the first frame is %q, %v", frame, err)
	}
	if offered := b.host.next(t).offered; offered != "" {
		t.Errorf("the hypervisor was offered %q", offered)
	}
}
