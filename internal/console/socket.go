package console

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/models"
)

// socket is one browser's open console.
//
//	opened ──attach──▶ run ──end──▶ linger ──▶ closed
//	   └───────────────end─────────▶
//
// Whoever has a reason calls end; the first reason counts. It tells the
// browser, frees the hypervisor and wakes the relays; the goroutine of run
// then waits for the browser to take notice.
type socket struct {
	record  models.ConsoleSession
	timing  timing
	large   *largeBuffers
	client  *websocket.Conn // reads; what is written goes past it
	line    *line
	filter  *viewFilter // nil: input goes through
	greet   func()      // the client has sent its first text
	talk    talk
	present deadline // of the browser's signs of life; fromBrowser's own

	confirmed time.Time // when guard last found the socket allowed; guard's own
	told      uint64    // which list of viewers it was last told, hashed; guard's own

	in, out atomic.Int64 // bytes from and to the browser

	mu       sync.Mutex
	cancel   context.CancelFunc // ends what is still being asked for the socket; nil once it is attached
	ended    *ending
	upstream *upstream
	pinger   *time.Timer
}

// newSocket also returns the context of what is asked for the socket until it
// has its other end.
func (s *Service) newSocket(client *websocket.Conn, record models.ConsoleSession) (context.Context, *socket) {
	// The request's context ends with the server's, and a socket has to live on
	// until Drain has told its page where to go; its values hold the request,
	// for which nobody has a use any more.
	ctx, cancel := context.WithCancel(context.Background())
	c := &socket{
		record: record, timing: s.timing, large: &s.large, client: client,
		cancel: cancel, confirmed: time.Now(),
	}
	c.greet = func() { s.watched.ask(c.record.MachineID) }
	c.takeLine()
	if record.Mode != models.ConsoleOperate {
		c.filter = &viewFilter{}
	}
	return ctx, c
}

// takeLine leaves the writing to the socket: from here on nothing else writes.
func (c *socket) takeLine() {
	c.line = c.client.NetConn().(*line) //nolint:forcetypeassert // by lined, see Serve
	c.talk.to = c.line.take()
	c.talk.stuck = deadline{set: c.talk.to.SetWriteDeadline}
}

// attach gives the socket its other end, unless it has ended meanwhile. Of what
// it took to get there nothing is kept.
func (c *socket) attach(to *upstream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		_ = to.Close()
		return false
	}
	c.upstream = to
	c.cancel()
	c.cancel = nil
	return true
}

// end closes the socket for a reason. It returns when the browser's close
// frame is written, or could not be for the linger time.
func (c *socket) end(e ending) { c.endBy(e, nil) }

// endBy is end for a reason with a person in it, of whom the page is told
// before the close frame.
func (c *socket) endBy(e ending, by *notice) {
	c.mu.Lock()
	if c.ended != nil {
		c.mu.Unlock()
		return
	}
	c.ended = &e
	upstream := c.upstream
	if c.cancel != nil {
		c.cancel()
	}
	if c.pinger != nil {
		c.pinger.Stop()
	}
	c.mu.Unlock()
	if upstream != nil {
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		_ = upstream.WriteControl(websocket.CloseMessage, bye, time.Now().Add(100*time.Millisecond))
		_ = upstream.Close()
	}
	if e.code == 0 { // nobody is there any more
		_ = c.client.Close()
		return
	}
	c.takeLeave(e, by)
	// The relay reads on until the browser answers: closing over unread input
	// would make the close frame overtake itself as a reset.
	time.AfterFunc(c.timing.linger, func() { _ = c.client.Close() })
}

// tell writes the close frame. A frame on its way to a browser that has
// stopped reading is waited for no longer than the given time.
func tell(client *websocket.Conn, e ending, within time.Duration) {
	_ = client.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(e.code, e.text), time.Now().Add(within))
}

// dismiss tells a browser whose socket never opened, and waits until it has
// taken notice.
func dismiss(client *websocket.Conn, e ending, within time.Duration) {
	tell(client, e, within)
	_ = client.NetConn().SetReadDeadline(time.Now().Add(within))
	discard(client)
	_ = client.Close()
}

// discard reads until the other end closes.
func discard(client *websocket.Conn) {
	for {
		if _, _, err := client.NextReader(); err != nil {
			return
		}
	}
}

// reason is why the socket ended.
func (c *socket) reason() ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		return endInternal
	}
	return *c.ended
}

// run carries bytes both ways until one end is gone or end is called.
func (c *socket) run() {
	c.present = deadline{set: c.client.SetReadDeadline}
	c.client.SetPongHandler(func(string) error { c.alive(); return nil })
	c.client.SetPingHandler(func(text string) error { c.answer(text); return nil })
	c.alive()
	c.keepAlive()
	back := make(chan struct{})
	go func() {
		defer close(back)
		c.end(c.fromHypervisor())
	}()
	c.end(c.fromBrowser())
	discard(c.client)
	_ = c.client.Close()
	<-back
}

// alive gives the browser another while to be heard of.
func (c *socket) alive() { c.present.extend(time.Now(), c.timing.read) }

// keepAlive pings both ends, from a timer: an idle console costs no third
// goroutine.
func (c *socket) keepAlive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return
	}
	c.pinger = time.AfterFunc(c.timing.ping, func() {
		c.ping()
		_ = c.upstream.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.timing.ping))
		c.keepAlive()
	})
}
