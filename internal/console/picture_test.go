package console

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/models"
)

// A page hears of a message when it is whole: on a slow line a large one would
// be silence. What a fast one is told it is told in few.
func TestMessagesAreSmallUntilTheLineIsFast(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn, screen := b.watch(b.user(), models.ConsoleOperate)
	picture := noise(3 << 20)
	go func() { // whole messages, and then pieces of all sizes
		_ = screen.conn.WriteMessage(websocket.BinaryMessage, picture[:2<<20])
		for rest, n := picture[2<<20:], 1; len(rest) > 0; n = n*3%100_003 + 1 {
			n = min(n, len(rest))
			_ = screen.conn.WriteMessage(websocket.BinaryMessage, rest[:n])
			rest = rest[n:]
		}
	}()
	var got []byte
	first, longest := 0, 0
	for len(got) < len(picture) {
		p := b.readMessage(conn)
		if len(got) < freely {
			first = max(first, len(p))
		}
		longest = max(longest, len(p))
		got = append(got, p...)
	}
	if !bytes.Equal(got, picture) {
		t.Error("the picture came changed")
	}
	if first > messageMost || first < messageMost/2 {
		t.Errorf("of the first the longest message has %d bytes", first)
	}
	if longest <= messageMost || longest > largeBuffer {
		t.Errorf("the longest message has %d bytes", longest)
	}
}

// A line that becomes slow gets small messages again, after one large one.
func TestMessagesAreSmallOnceTheLineIsSlow(t *testing.T) {
	t.Parallel()
	ours, theirs := tcpPair(t)
	c := &socket{timing: timing{write: time.Minute}}
	c.talk.to, c.talk.stuck = ours, deadline{set: ours.SetWriteDeadline}
	p := &picture{c: c, taken: freely}
	screenful := largeBuffer - headMax
	go func() {
		b := append(make([]byte, headMax), noise(screenful)...)
		for range 2 {
			if _, ok := p.show(b, []piece{{0, screenful}}); !ok {
				break
			}
		}
		_ = ours.Close()
	}()
	slowly := &paced{from: theirs, most: 4 << 10, every: time.NewTicker(5 * time.Millisecond)}
	var sizes []int
	for f := newFrames(slowly); ; {
		payload, err := f.next()
		if err != nil {
			break
		}
		sizes = append(sizes, len(payload))
	}
	if len(sizes) < 2 || sizes[0] != screenful || slices.Max(sizes[1:]) > messageMost {
		t.Errorf("messages of %v bytes", sizes)
	}
}

// The write time is for getting on, not for all that is written at once.
func TestBrowserThatReadsSlowlyIsNotStuck(t *testing.T) {
	t.Parallel()
	const patient, pause = 250 * time.Millisecond, 20 * time.Millisecond
	for name, pair := range map[string]func(*testing.T) (ours, theirs net.Conn){"plain": tcpPair, "not TCP, as TLS": pipe} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := pair(t)
			c := &socket{timing: timing{write: patient}}
			c.talk.to, c.talk.stuck = ours, deadline{set: ours.SetWriteDeadline}
			p := &picture{c: c}
			picture := noise(largeBuffer - headMax)
			b := append(make([]byte, headMax), picture...)
			shown := make(chan ending, 1)
			begun := time.Now()
			go func() {
				e, _ := p.show(b, []piece{{0, 70_000}, {70_000, len(picture)}})
				shown <- e
				_ = ours.Close()
			}()
			var got []byte
			slowly := &paced{from: theirs, most: 4 << 10, every: time.NewTicker(pause)}
			for f := newFrames(slowly); ; {
				payload, err := f.next()
				if err != nil {
					break
				}
				got = append(got, payload...)
			}
			if e := <-shown; e != (ending{}) {
				t.Errorf("ended by %v after %d bytes", e, len(got))
			}
			if !bytes.Equal(got, picture) {
				t.Errorf("%d bytes came, or others", len(got))
			}
			if took := time.Since(begun); took < 2*patient {
				t.Errorf("it took %s alone, which shows nothing", took)
			}
		})
	}
}

// Behind half a text nothing would be understood, so nothing more is written.
func TestTextThatIsNotTakenEndsTheSocket(t *testing.T) {
	t.Parallel()
	c, browser := bareSocket(t)
	ours, theirs := pipe(t)
	c.talk.to, c.talk.stuck = ours, deadline{set: ours.SetWriteDeadline}
	c.timing.write = 100 * time.Millisecond
	first := make(chan byte, 1)
	go func() {
		var one [1]byte
		_, _ = io.ReadFull(theirs, one[:]) // and no more
		first <- one[0]
	}()
	c.say(&c.talk.viewers, map[string]string{"viewers": "a text"})
	if got := <-first; got != final|websocket.TextMessage {
		t.Errorf("the text begins with %x", got)
	}
	if e := c.reason(); e != endStuck {
		t.Errorf("ended by %v", e)
	}
	p := &picture{c: c}
	if e, ok := p.show(make([]byte, headMax+5), []piece{{0, 5}}); ok || e != endStuck {
		t.Errorf("behind half a text a picture was written: %v, %v", ok, e)
	}
	c.ping()
	rest, _ := io.ReadAll(&hurried{theirs})
	if len(rest) != 0 {
		t.Errorf("behind half a text came %x", rest)
	}
	if _, _, err := browser.ReadMessage(); err == nil {
		t.Error("the browser's connection is open")
	}
}

// The answer to a page's close frame comes behind whole frames, however much
// of the picture is on its way.
func TestCloseIsAnsweredBehindTheFrameUnderWay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn, screen := b.watch(b.user(), models.ConsoleOperate)
	drawn := make(chan struct{})
	go func() {
		defer close(drawn)
		for screen.conn.WriteMessage(websocket.BinaryMessage, make([]byte, 1<<20)) == nil { // until the portal hangs up
		}
	}()
	b.read(conn, 1<<20)
	if err := conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")); err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endClosed)
	b.wantEvent(models.ActionConsoleClose, endClosed.text)
	<-drawn
}

func TestBrowserAgainstTheProtocolIsToldSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for want, frame := range map[ending]string{
		endMalformed: "\xF2\x81\x00\x00\x00\x00x",                    // reserved bits
		endTooLong:   "\x82\xFF\x00\x00\x00\x00\x10\x00\x00\x00mask", // 256 MiB
	} {
		conn, _ := b.watch(b.user(), models.ConsoleOperate)
		if _, err := conn.NetConn().Write([]byte(frame)); err != nil {
			t.Fatal(err)
		}
		b.wantClose(conn, want)
		b.wantEvent(models.ActionConsoleClose, want.text)
	}
}

func noise(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(p)
	return p
}

// bareSocket is one with a browser and no screen.
func bareSocket(t *testing.T) (*socket, *websocket.Conn) {
	t.Helper()
	made := make(chan *socket, 1)
	up := websocket.Upgrader{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := up.Upgrade(lined{w}, r, nil)
		if err != nil {
			t.Error(err)
			close(made)
			return
		}
		c := &socket{timing: production, client: client, cancel: func() {}}
		c.takeLine()
		made <- c
	}))
	t.Cleanup(server.Close)
	browser, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = browser.Close() })
	c := <-made
	t.Cleanup(func() { _ = c.client.Close() })
	return c, browser
}

func pipe(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	ours, theirs = net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

// tcpPair has small buffers in the kernel, and segments as on a real line:
// those of loopback are larger than the buffers, which makes it stutter.
func tcpPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	control := func(_, _ string, raw syscall.RawConn) error {
		var err error
		if gone := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400) }); gone != nil {
			return gone
		}
		return err
	}
	listener, err := (&net.ListenConfig{Control: control}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	theirs, err = (&net.Dialer{Control: control}).Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if ours, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	_ = ours.(*net.TCPConn).SetWriteBuffer(16 << 10)
	_ = theirs.(*net.TCPConn).SetReadBuffer(16 << 10)
	return ours, theirs
}

// paced reads a little at each tick.
type paced struct {
	from  io.Reader
	most  int
	every *time.Ticker
}

func (p *paced) Read(b []byte) (int, error) {
	<-p.every.C
	return p.from.Read(b[:min(len(b), p.most)])
}

// hurried reads what comes within a moment.
type hurried struct{ net.Conn }

func (h *hurried) Read(b []byte) (int, error) {
	_ = h.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	return h.Conn.Read(b)
}

// frameReader reads a server's frames, one by one.
type frameReader struct {
	from io.Reader
	held []byte
}

func newFrames(from io.Reader) *frameReader { return &frameReader{from: from} }

func (f *frameReader) next() ([]byte, error) {
	for {
		h, whole, err := readHead(f.held)
		if err != nil {
			return nil, err
		}
		if end := h.size + int(h.length); whole && len(f.held) >= end {
			payload := f.held[h.size:end]
			f.held = f.held[end:]
			return payload, nil
		}
		more := make([]byte, messageMost)
		n, err := f.from.Read(more)
		if f.held = append(f.held, more[:n]...); err != nil {
			return nil, err
		}
	}
}
