package console

import (
	"encoding/json"
	"errors"
	"hash/maphash"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/models"
)

const (
	// textMax bounds a page's text frame; a ping has some 30 bytes.
	textMax = inputBuffer - 1
	// textsPerSecond is how many text frames of a page are answered.
	textsPerSecond = 10
)

// talk is what goes to the browser beside the picture, whose relay owns the
// way: texts, pings, and at last the close frame. They go between two frames of
// the picture, written by whoever finds the way free: the one who has something
// to say, or the relay after its frame. What is newer stands in for an older of
// its kind, so nothing piles up behind a browser that doesn't read.
type talk struct {
	way   sync.Mutex  // held while a frame is written to the browser
	over  bool        // the close frame is written, or half a frame; way guards it
	why   ending      // that it is over, where writing failed; way guards it
	to    net.Conn    // the browser's; way guards writing to it
	stuck deadline    // how long the browser may take nothing; way guards it
	some  atomic.Bool // a text or a control frame waits
	heard atomic.Bool // the client has sent text, so it understands some

	mu                    sync.Mutex
	pong, viewers, notice []byte
	ping                  bool
	answer                *string       // to the client's own ping
	bye                   []byte        // the close frame's
	told                  chan struct{} // closes when bye is written

	window time.Time // fromBrowser's own: the second in which texts are counted
	texts  int
}

// notice says that a person ended the socket.
type notice struct {
	Kind models.ConsoleEnd `json:"kind"`
	By   string            `json:"by"`
	Text string            `json:"text"`
}

var errTextTooLong = errors.New("a text frame too long for a page's")

// hear reads a text frame, and answers a ping. first: it is the client's first.
func (c *socket) hear(r io.Reader, small []byte) (first bool, err error) {
	n, whole, err := fill(r, small)
	if err != nil {
		return false, err
	}
	if !whole || n > textMax {
		return false, errTextTooLong
	}
	now := time.Now()
	if now.Sub(c.talk.window) > time.Second {
		c.talk.window, c.talk.texts = now, 0
	}
	if c.talk.texts++; c.talk.texts > textsPerSecond {
		return false, nil
	}
	var said struct {
		Ping *json.Number `json:"ping"`
	}
	if json.Unmarshal(small[:n], &said) == nil && said.Ping != nil {
		c.say(&c.talk.pong, map[string]any{"pong": *said.Ping})
	}
	return c.talk.heard.CompareAndSwap(false, true), nil
}

// say puts a text on its way.
func (c *socket) say(place *[]byte, what any) {
	text, err := json.Marshal(what)
	if err != nil {
		return // a number that JSON can't write: not one of ours
	}
	c.put(func(*talk) { *place = text })
}

// hand has the page told who has the console open, unless it knows. It does
// not wait: the browser may be stuck.
func (c *socket) hand(viewers []byte) {
	sum := maphash.Bytes(viewersSeed, viewers)
	if sum == c.told {
		return
	}
	c.told = sum
	c.talk.mu.Lock()
	c.talk.viewers = viewers
	c.talk.some.Store(true)
	c.talk.mu.Unlock()
	go c.flush()
}

var viewersSeed = maphash.MakeSeed()

// ping asks the browser for a sign of life.
func (c *socket) ping() { c.put(func(t *talk) { t.ping = true }) }

// answer answers a client's ping.
func (c *socket) answer(text string) { c.put(func(t *talk) { t.answer = &text }) }

// put has something said. It returns at once while the relay writes, which
// then takes it along; else it writes, for the write time at most.
func (c *socket) put(what func(*talk)) {
	c.talk.mu.Lock()
	what(&c.talk)
	c.talk.some.Store(true)
	c.talk.mu.Unlock()
	c.flush()
}

// flush writes what waits, unless somebody is writing: they will. A way that is
// broken ends the socket: behind half a frame nothing would be understood.
func (c *socket) flush() {
	t := &c.talk
	for t.some.Load() && t.way.TryLock() {
		t.mu.Lock()
		texts := [][]byte{t.pong, t.viewers, t.notice}
		ping, answer, bye, told := t.ping, t.answer, t.bye, t.told
		t.pong, t.viewers, t.notice, t.ping, t.answer, t.bye, t.told = nil, nil, nil, false, nil, nil, nil
		t.some.Store(false)
		t.mu.Unlock()
		var frames []byte
		if ping {
			frames = appendFrame(frames, websocket.PingMessage, nil)
		}
		if answer != nil {
			frames = appendFrame(frames, websocket.PongMessage, []byte(*answer))
		}
		for _, text := range texts {
			if text != nil {
				frames = appendFrame(frames, websocket.TextMessage, text)
			}
		}
		if bye != nil {
			frames = appendFrame(frames, websocket.CloseMessage, bye)
		}
		broken := false
		if !t.over && len(frames) > 0 {
			t.stuck.extend(time.Now(), c.timing.write)
			if _, err := t.to.Write(frames); err != nil {
				broken = true
				t.fail(err)
			}
			t.over = t.over || bye != nil
		}
		why := t.why
		t.way.Unlock()
		if told != nil {
			close(told)
		}
		if broken {
			c.end(why)
		}
	}
}

// fail notes that a frame could not be written whole. way is held.
func (t *talk) fail(err error) {
	t.over, t.why = true, endLost
	if isTimeout(err) {
		t.why = endStuck
	}
}

// takeLeave tells the browser why it is closed, after the notice if there is
// one, and waits until that is written or can't be.
func (c *socket) takeLeave(e ending, n *notice) {
	var text []byte
	if n != nil {
		text, _ = json.Marshal(map[string]*notice{"notice": n}) //nolint:errchkjson // of strings
	}
	told := make(chan struct{})
	timer := time.NewTimer(c.timing.linger)
	defer timer.Stop()
	go c.put(func(t *talk) {
		t.notice, t.bye, t.told = text, websocket.FormatCloseMessage(e.code, e.text), told
	})
	select {
	case <-told:
	case <-timer.C:
	}
}
