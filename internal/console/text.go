package console

import (
	"encoding/json"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/models"
)

const (
	// textMax bounds a page's text frame; a ping has some 30 bytes.
	textMax = 1 << 10
	// textsPerSecond is how many text frames of a page are answered.
	textsPerSecond = 10
)

// talk is the text channel of a socket. The picture's relay owns the way to
// the browser; a text goes between two of its frames, written by whoever finds
// the way free: the one who has something to say, or the relay after its
// frame. A text that is newer stands in for an older of its kind, so nothing
// piles up behind a browser that doesn't read.
type talk struct {
	way   sync.Mutex  // held while a data frame is written to the browser
	some  atomic.Bool // a text waits
	heard atomic.Bool // the client has sent text, so it understands some

	mu                    sync.Mutex
	pong, viewers, notice []byte
	told                  chan struct{} // closes when the notice is written

	window time.Time // fromBrowser's own: the second in which texts are counted
	texts  int
}

// viewer is somebody who has the console open, as the page is told.
type viewer struct {
	ID    models.ConsoleSessionID `json:"id"`
	Name  string                  `json:"name"`
	Mode  models.ConsoleMode      `json:"mode"`
	Since time.Time               `json:"since"`
	You   bool                    `json:"you,omitempty"`
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
	n, whole, err := fill(r, small[:textMax+1])
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

// say puts a text on its way. It returns at once while the relay writes, which
// then takes the text along; else it writes, for the write time at most.
func (c *socket) say(place *[]byte, what any) {
	text, err := json.Marshal(what)
	if err != nil {
		return // a number that JSON can't write: not one of ours
	}
	c.talk.mu.Lock()
	*place = text
	c.talk.some.Store(true)
	c.talk.mu.Unlock()
	c.flush()
}

// flush writes the texts that wait, unless somebody is writing: they will.
func (c *socket) flush() {
	for c.talk.some.Load() && c.talk.way.TryLock() {
		c.talk.mu.Lock()
		texts := [][]byte{c.talk.pong, c.talk.viewers, c.talk.notice}
		told := c.talk.told
		c.talk.pong, c.talk.viewers, c.talk.notice, c.talk.told = nil, nil, nil, nil
		c.talk.some.Store(false)
		c.talk.mu.Unlock()
		_ = c.client.SetWriteDeadline(time.Now().Add(c.timing.write))
		for _, text := range texts {
			if text != nil {
				_ = c.client.WriteMessage(websocket.TextMessage, text) // a broken way tells the relay
			}
		}
		c.talk.way.Unlock()
		if told != nil {
			close(told)
		}
	}
}

// announce says the notice, and waits until it is written or can't be.
func (c *socket) announce(n *notice, within time.Duration) {
	told := make(chan struct{})
	c.talk.mu.Lock()
	c.talk.told = told
	c.talk.mu.Unlock()
	timer := time.NewTimer(within)
	defer timer.Stop()
	go c.say(&c.talk.notice, map[string]*notice{"notice": n})
	select {
	case <-told:
	case <-timer.C:
	}
}

// show tells the page who has the console open. A client that has sent no
// text would take it for picture.
func (c *socket) show(rows []models.ConsoleRow) {
	if !c.talk.heard.Load() {
		return
	}
	list := make([]viewer, 0, len(rows))
	for _, row := range rows {
		list = append(list, viewer{ID: row.ID, Name: row.UserName, Mode: row.Mode, Since: row.OpenedAt, You: row.ID == c.session})
	}
	c.say(&c.talk.viewers, map[string][]viewer{"viewers": list})
}
