package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// The two ends of a measured stream share the machine's cores with what is
// measured between them, and whatever they spend makes all ways look alike.
// So they do as little as an end can, the same for each way: what is sent is
// made once and written whole, and of what comes only the frames' heads are
// looked at.

const (
	binaryFrame = 2
	closeFrame  = 8
	pingFrame   = 9
	pongFrame   = 10

	headMax    = 10 // of a frame that isn't masked
	scrapBytes = 256 << 10
)

// stream is one end of the bytes between a screen and its client.
type stream struct {
	conn   net.Conn
	in     *bufio.Reader
	framed bool   // a WebSocket
	masks  bool   // at its client's end
	left   int    // payload of the frame that is being taken
	scrap  []byte // where the picture goes
}

func newStream(conn net.Conn, framed, masks bool) *stream {
	return &stream{conn: conn, in: bufio.NewReader(conn), framed: framed, masks: masks}
}

// wire is a message as it goes out at this end.
func (s *stream) wire(message []byte) []byte {
	if !s.framed {
		return message
	}
	return frames(message, binaryFrame, s.masks)
}

// frames cuts a message into frames of messageBytes.
func frames(message []byte, kind byte, masked bool) []byte {
	var all []byte
	for first := true; first || len(message) > 0; first = false {
		part := message[:min(len(message), messageBytes)]
		message = message[len(part):]
		mask := byte(0)
		if masked {
			mask = 0x80
		}
		switch n := len(part); {
		case n < 126:
			all = append(all, 0x80|kind, mask|byte(n))
		case n < 1<<16:
			all = binary.BigEndian.AppendUint16(append(all, 0x80|kind, mask|126), uint16(n))
		default:
			all = binary.BigEndian.AppendUint64(append(all, 0x80|kind, mask|127), uint64(n))
		}
		if masked {
			all = append(all, 0, 0, 0, 0) // changes nothing
		}
		all = append(all, part...)
	}
	return all
}

// take takes n bytes of picture or input, and returns the first.
func (s *stream) take(n int) (first byte, err error) {
	for begun := false; n > 0; {
		if s.framed && s.left == 0 {
			if err := s.next(); err != nil {
				return 0, err
			}
			continue
		}
		part := n
		if s.framed {
			part = min(part, s.left)
		}
		if !begun {
			if first, err = s.in.ReadByte(); err != nil {
				return 0, err
			}
			begun = true
			n, s.left = n-1, s.left-1
			continue
		}
		if err := s.discard(part); err != nil {
			return 0, err
		}
		n, s.left = n-part, s.left-part
	}
	return first, nil
}

// next reads the head of the next frame with picture, and answers a ping.
func (s *stream) next() error {
	for {
		head, err := s.in.Peek(2)
		if err != nil {
			return err
		}
		kind, length, size := head[0]&15, int(head[1]&127), 2
		masked := head[1]&0x80 != 0
		switch length {
		case 126:
			size = 4
			if head, err = s.in.Peek(size); err != nil {
				return err
			}
			length = int(binary.BigEndian.Uint16(head[2:]))
		case 127:
			size = headMax
			if head, err = s.in.Peek(size); err != nil {
				return err
			}
			length = int(binary.BigEndian.Uint64(head[2:]))
		}
		if masked {
			if size += 4; length > 0 && kind == binaryFrame {
				if head, err = s.in.Peek(size); err != nil {
					return err
				}
				if key := head[size-4:]; key[0] != 0 {
					// The first byte alone is looked at.
					if head, err = s.in.Peek(size + 1); err != nil {
						return err
					}
					head[size] ^= head[size-4]
				}
			}
		}
		_, _ = s.in.Discard(size)
		switch kind {
		case closeFrame:
			return io.EOF
		case pingFrame, pongFrame:
			text := make([]byte, length)
			if _, err := io.ReadFull(s.in, text); err != nil {
				return err
			}
			if kind == pingFrame {
				if _, err := s.conn.Write(frames(text, pongFrame, s.masks)); err != nil {
					return err
				}
			}
		default:
			s.left = length
			return nil
		}
	}
}

// discard reads on past the picture, in large pieces.
func (s *stream) discard(n int) error {
	here := min(n, s.in.Buffered())
	_, _ = s.in.Discard(here)
	if n -= here; n > 0 && s.scrap == nil {
		s.scrap = make([]byte, scrapBytes)
	}
	for n > 0 {
		got, err := s.conn.Read(s.scrap[:min(n, len(s.scrap))])
		if n -= got; err != nil {
			return err
		}
	}
	return nil
}

// write sends what wire has made.
func (s *stream) write(wired []byte) error {
	_, err := s.conn.Write(wired)
	return err
}

func (s *stream) Close() error { return s.conn.Close() }

// greeted takes the screen's greeting.
func (s *stream) greeted() (*stream, error) {
	_, err := s.take(len(screenGreeting))
	return s, err
}

// openTCP opens a stream without frames.
func openTCP(address string) (*stream, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return newStream(conn, false, false).greeted()
}

// openSocket opens a stream over WebSocket.
func openSocket(address string, header http.Header, protocols string) (*stream, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	if u.Scheme == "wss" {
		conn, err = (&tls.Dialer{Config: loopbackTLS}).DialContext(context.Background(), "tcp", u.Host)
	} else {
		conn, err = net.Dial("tcp", u.Host)
	}
	if err != nil {
		return nil, err
	}
	s := newStream(conn, true, true)
	ask := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: header.Clone()}
	if ask.Header == nil {
		ask.Header = http.Header{}
	}
	ask.Header.Set("Connection", "Upgrade")
	ask.Header.Set("Upgrade", "websocket")
	ask.Header.Set("Sec-WebSocket-Version", "13")
	ask.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	ask.Header.Set("Sec-WebSocket-Protocol", protocols)
	if err := ask.Write(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	answer, err := http.ReadResponse(s.in, ask)
	if err == nil && answer.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("%s answers %s", u.Host, answer.Status)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s.greeted()
}
