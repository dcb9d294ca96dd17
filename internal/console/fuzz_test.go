package console

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/vsphere"
)

// wires is a socket without a database: a browser's connection, the portal's
// relays and a hypervisor's connection, all on loopback.
type wires struct {
	server *httptest.Server
	large  largeBuffers
	screen chan *websocket.Conn // the hypervisor's end
	ended  chan ending
	view   bool
}

func newWires(f *testing.F) *wires {
	f.Helper()
	w := &wires{screen: make(chan *websocket.Conn, 1), ended: make(chan ending, 1)}
	up := websocket.Upgrader{Subprotocols: []string{protocolBinary}, ReadBufferSize: smallBuffer,
		WriteBufferSize: smallBuffer, WriteBufferPool: &sync.Pool{}, CheckOrigin: func(*http.Request) bool { return true }}
	mux := http.NewServeMux()
	mux.HandleFunc("/screen", func(rw http.ResponseWriter, r *http.Request) {
		if conn, err := up.Upgrade(rw, r, nil); err == nil {
			w.screen <- conn
		}
	})
	mux.HandleFunc("/browser", func(rw http.ResponseWriter, r *http.Request) {
		client, err := up.Upgrade(lined{rw}, r, nil)
		if err != nil {
			return
		}
		client.SetReadLimit(browserMessageMax)
		conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
		if err != nil {
			return
		}
		service := &Service{dialer: websocket.Dialer{Subprotocols: []string{protocolBinary}}}
		up, err := service.upgrade(r.Context(), vsphere.Screen{URL: w.url("/screen")}, conn)
		if err != nil {
			return
		}
		short := production
		short.linger, short.read, short.write = 50*time.Millisecond, 2*time.Second, 2*time.Second
		c := &socket{timing: short, large: &w.large, client: client, cancel: func() {}, greet: func() {}}
		c.takeLine()
		if w.view {
			c.filter = &viewFilter{}
		}
		c.attach(up)
		c.run()
		w.ended <- c.reason()
	})
	w.server = httptest.NewServer(mux)
	f.Cleanup(w.server.Close)
	return w
}

func (w *wires) url(path string) string {
	return "ws" + strings.TrimPrefix(w.server.URL, "http") + path
}

// open returns both far ends of a new socket.
func (w *wires) open(t *testing.T, view bool) (browser, screen *websocket.Conn) {
	t.Helper()
	w.view = view
	browser, _, err := websocket.DefaultDialer.Dial(w.url("/browser"), nil)
	if err != nil {
		t.Fatal(err)
	}
	screen = <-w.screen
	deadline := time.Now().Add(10 * time.Second)
	_, _ = browser.SetReadDeadline(deadline), screen.SetReadDeadline(deadline)
	return browser, screen
}

// drain reads all binary data until the connection's end, and says how it ended.
func drain(conn *websocket.Conn) ([]byte, error) {
	var all []byte
	for {
		kind, p, err := conn.ReadMessage()
		if err != nil {
			return all, err
		}
		if kind == websocket.BinaryMessage {
			all = append(all, p...)
		}
	}
}

// fuzzed sends data as it is (0), or as messages of one kind, cut in pieces.
func fuzzed(conn *websocket.Conn, as uint8, cut uint16, data []byte) {
	kind := map[uint8]int{1: websocket.BinaryMessage, 2: websocket.TextMessage}[as%3]
	if kind == 0 {
		_, _ = conn.NetConn().Write(data)
	} else {
		for piece := range slices.Chunk(data, int(cut)+1) {
			_ = conn.WriteMessage(kind, piece)
		}
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	}
	if half, ok := conn.NetConn().(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

// FuzzClientFrames: whatever a client sends, the socket ends for one of the
// reasons that a client may give it; a viewer's hypervisor reads no input; and
// no text ever gets to a hypervisor.
func FuzzClientFrames(f *testing.F) {
	w := newWires(f)
	var all []byte
	for _, m := range viewerSays() {
		all = append(all, m.bytes...)
	}
	frame := func(head byte, mask bool, payload string) []byte {
		b := []byte{head, byte(len(payload))}
		if mask {
			b[1] |= 0x80
			b = append(b, 0, 0, 0, 0)
		}
		return append(b, payload...)
	}
	for _, view := range []bool{false, true} {
		f.Add(view, uint8(1), uint16(6), all)
		f.Add(view, uint8(2), uint16(1023), []byte(`{"ping":1}`))
		f.Add(view, uint8(2), uint16(2000), bytes.Repeat([]byte(`{"ping":`), 200))
		f.Add(view, uint8(0), uint16(0), frame(0x82, true, "RFB 003.008\n"))
		f.Add(view, uint8(0), uint16(0), frame(0x82, false, "unmasked"))
		f.Add(view, uint8(0), uint16(0), frame(0xF2, true, "reserved bits"))
		f.Add(view, uint8(0), uint16(0), frame(0x8B, true, "unknown opcode"))
		f.Add(view, uint8(0), uint16(0), frame(0x80, true, "continues nothing"))
		f.Add(view, uint8(0), uint16(0), append(frame(0x02, true, "begins"), frame(0x82, true, "and begins again")...))
		f.Add(view, uint8(0), uint16(0), []byte{0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}) // longer than a number
		f.Add(view, uint8(0), uint16(0), []byte{0x82, 0xFF, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0})                      // 2 MiB announced
		f.Add(view, uint8(0), uint16(0), frame(0x88, true, "\x03"))                                                      // half a close code
		f.Add(view, uint8(0), uint16(0), frame(0x09, true, "a ping in pieces"))
	}
	f.Fuzz(func(t *testing.T, view bool, as uint8, cut uint16, data []byte) {
		browser, screen := w.open(t, view)
		defer func() { _, _ = browser.Close(), screen.Close() }()
		got := make(chan []byte, 1)
		go func() {
			all, _ := drain(screen)
			got <- all
		}()
		go func() { _, _ = drain(browser) }()
		fuzzed(browser, as, cut, data)
		switch e := <-w.ended; e {
		case endClosed, endLost, endGibberish, endMalformed, endTooLong:
		default:
			t.Errorf("a client's bytes ended it by %v", e)
		}
		passed := <-got
		switch {
		case as%3 == 2 && len(passed) > 0:
			t.Errorf("text reached the hypervisor: %q", passed)
		case as%3 == 1 && !view && !bytes.Equal(passed, data):
			t.Errorf("%d bytes of input came as %d", len(data), len(passed))
		case view:
			var again viewFilter
			if clean, err := again.pass(passed); err != nil || !bytes.Equal(clean, passed) {
				t.Errorf("a viewer's hypervisor got %q: %v", passed, err)
			}
		}
	})
}

// FuzzHypervisorBytes: whatever a hypervisor sends, its picture comes unchanged
// or not at all, and the page is told no word of it.
func FuzzHypervisorBytes(f *testing.F) {
	w := newWires(f)
	for _, size := range []int{0, 1, 125, 126, 2047, 2049, 65535, 65537} {
		f.Add(uint8(1), uint16(40_000), bytes.Repeat([]byte{0xA5}, size))
	}
	f.Add(uint8(1), uint16(1), []byte("RFB 003.008\n"))
	f.Add(uint8(2), uint16(80), []byte(`{"notice":{"kind":"closed_by","by":"nobody","text":"<b>esx17</b>"}}`))
	f.Add(uint8(0), uint16(0), []byte("\x82\x05hello\x88\x02\x03\xe8"))
	f.Add(uint8(0), uint16(0), []byte("\x88\x16\x0f\xa0moved to esx17.secret"))
	f.Add(uint8(0), uint16(0), []byte("\x82\x85\x00\x00\x00\x00masked"))
	f.Add(uint8(0), uint16(0), []byte{0x82, 0x7F, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}) // more than there is
	f.Add(uint8(0), uint16(0), []byte("\x89\x02hi\xF2\x01x"))
	f.Add(uint8(0), uint16(0), []byte("HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\n\r\n"))
	f.Fuzz(func(t *testing.T, as uint8, cut uint16, data []byte) {
		browser, screen := w.open(t, false)
		defer func() { _, _ = browser.Close(), screen.Close() }()
		go func() { _, _ = drain(screen) }()
		go fuzzed(screen, as, cut, data) // the browser reads meanwhile
		picture, err := drain(browser)
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != endUpstream.code || closed.Text != endUpstream.text {
			t.Errorf("the page is told %v", err)
		}
		if as%3 == 1 && !bytes.Equal(picture, data) {
			t.Errorf("a picture of %d bytes came as %d", len(data), len(picture))
		}
		if as%3 == 2 && len(picture) > 0 {
			t.Errorf("text came as picture: %q", picture)
		}
		if e := <-w.ended; e != endUpstream {
			t.Errorf("a hypervisor's bytes ended it by %v", e)
		}
	})
}
