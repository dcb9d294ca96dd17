package console

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// smallBuffer is what the picture's relay keeps while it waits, and
	// inputBuffer what the browser's does: most consoles are idle most of the
	// time, and there may be thousands. A live byte costs two, for the collector
	// lets garbage of the same size grow beside it.
	smallBuffer = 2 << 10
	inputBuffer = 1 << 10
	// largeBuffer is borrowed for what is bigger. Most of what a large piece
	// costs is waking who waits for it, so fewer and larger ones cost less: the
	// portal's CPU per GB was 0.53 s with 64 KiB, 0.47 s with 128 and more.
	largeBuffer = 200 << 10
	// browserMessageMax bounds what a browser may send in one message. noVNC
	// sends at most 10 KiB; a pasted text comes in several.
	browserMessageMax = 1 << 20
)

// largeBuffers lends buffers of largeBuffer bytes.
type largeBuffers struct {
	pool sync.Pool
	lent atomic.Int64
}

func (l *largeBuffers) take() []byte {
	l.lent.Add(1)
	if b, ok := l.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, largeBuffer)
}

func (l *largeBuffers) give(b []byte) {
	l.lent.Add(-1)
	l.pool.Put(&b)
}

var errNotBinary = errors.New("a text message on the binary way")

// fromBrowser relays input, and says why it stopped.
func (c *socket) fromBrowser() ending {
	c.client.SetReadLimit(browserMessageMax)
	small := make([]byte, inputBuffer)
	var refused, written error
	send := func(p []byte) error {
		c.in.Add(int64(len(p)))
		c.alive()
		if c.filter != nil {
			if p, refused = c.filter.pass(p); refused != nil || len(p) == 0 {
				return refused
			}
		}
		_ = c.upstream.SetWriteDeadline(time.Now().Add(c.timing.write))
		written = c.upstream.WriteMessage(websocket.BinaryMessage, p)
		return written
	}
	for {
		kind, r, err := c.client.NextReader()
		switch {
		case err != nil:
		case kind == websocket.TextMessage: // the page's own channel: none of it is for the hypervisor
			var first bool
			if first, refused = c.hear(r, small); first {
				c.greet()
			}
			c.alive()
		default:
			err = c.carry(r, small, send)
		}
		switch {
		case refused != nil && !errors.Is(refused, errTextTooLong) && !errors.Is(refused, errNotUnderstood):
			return c.browserEnding(refused) // the connection broke within a text
		case refused != nil:
			return endGibberish
		case written != nil:
			return endUpstream
		case err != nil:
			return c.browserEnding(err)
		}
	}
}

// carry passes one message on, in pieces as big as its buffers. A message
// that fits into small never touches the pool.
func (c *socket) carry(r io.Reader, small []byte, send func([]byte) error) error {
	n, whole, err := fill(r, small)
	if err != nil {
		return err
	}
	if whole {
		if n == 0 {
			return nil
		}
		return send(small[:n])
	}
	large := c.large.take()
	defer c.large.give(large)
	start := copy(large, small[:n])
	for {
		n, whole, err := fill(r, large[start:])
		if err != nil {
			return err
		}
		if n += start; n > 0 {
			if err := send(large[:n]); err != nil {
				return err
			}
		}
		if whole {
			return nil
		}
		start = 0
	}
}

// fill reads until p is full or the message ends (whole).
func fill(r io.Reader, p []byte) (n int, whole bool, err error) {
	n, err = io.ReadFull(r, p)
	whole = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if whole {
		err = nil
	}
	return n, whole, err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || (errors.As(err, &timeout) && timeout.Timeout())
}

// browserEnding tells a page that was closed from one that was lost, and from
// one that isn't understood.
func (c *socket) browserEnding(err error) ending {
	switch {
	case websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived):
		return endClosed
	case errors.Is(err, websocket.ErrReadLimit):
		return endTooLong
	case c.line.refused == websocket.CloseProtocolError:
		return endMalformed
	default:
		return endLost
	}
}
