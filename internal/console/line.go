package console

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// line is the browser's connection as gorilla has it. gorilla answers by
// itself, whenever it reads: a close frame, one against the protocol, a message
// too long. Such an answer would end up within a frame that the relay is
// writing, and its deadline of a second would cut that one. So once a socket
// has the line, gorilla only reads; the socket writes to the connection itself.
type line struct {
	net.Conn
	taken   bool // by a socket, before anything is read
	refused int  // the close code that gorilla would have sent
}

// take leaves the writing to whoever calls it.
func (l *line) take() net.Conn {
	l.taken = true
	return l.Conn
}

// SetWriteDeadline is gorilla's, for its own answers.
func (l *line) SetWriteDeadline(t time.Time) error {
	if l.taken {
		return nil
	}
	return l.Conn.SetWriteDeadline(t)
}

// Write notes what gorilla would close the socket for.
func (l *line) Write(p []byte) (int, error) {
	if !l.taken {
		return l.Conn.Write(p)
	}
	if h, whole, err := readHead(p); err == nil && whole && h.opcode == websocket.CloseMessage && h.length >= 2 {
		l.refused = int(binary.BigEndian.Uint16(p[h.size:]))
	}
	return len(p), nil
}

// lined has gorilla take the connection over as a line.
type lined struct{ http.ResponseWriter }

func (w lined) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &line{Conn: conn}, buffers, nil
}
