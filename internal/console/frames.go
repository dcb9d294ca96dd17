package console

import (
	"encoding/binary"
	"errors"

	"github.com/gorilla/websocket"
)

// frames takes a server's WebSocket frames (RFC 6455, 5.2) off a stream that
// may be cut anywhere. A server masks nothing, neither the hypervisor nor the
// portal, so that the picture within them is passed on where it lies.
type frames struct {
	left int64 // payload of the current frame still to come
	open bool  // the current message has another frame to come
	// control is told of pings and pongs; what it returns ends the stream.
	control func(opcode int, text []byte) error
}

// piece is a part of a buffer.
type piece struct{ from, to int }

// smallPiece is what is rather moved to the piece before it, over the heads
// between them, than written by itself; so there are never many.
const smallPiece = 16 << 10

const (
	// headMax is the longest head of a frame that isn't masked.
	headMax = 10
	// controlMax bounds a control frame's payload, by the RFC.
	controlMax = 125
	// final is the bit of a message's last frame.
	final = 0x80
)

var (
	errMalformed = errors.New("a frame against RFC 6455")
	errHungUp    = errors.New("the hypervisor has closed the socket")
)

// strip says where the picture in b lies, piece by piece, in order, appended
// to pieces. b[rest:] is the beginning of a head or of a control frame, to be brought again with what
// follows it. Picture that comes with an error came before it.
func (f *frames) strip(b []byte, pieces []piece) (_ []piece, rest int, err error) {
	at := 0
	for at < len(b) {
		if f.left > 0 {
			n := int(min(f.left, int64(len(b)-at)))
			if k := len(pieces); k > 0 && n <= smallPiece {
				pieces[k-1].to += copy(b[pieces[k-1].to:], b[at:at+n])
			} else {
				pieces = append(pieces, piece{at, at + n})
			}
			at, f.left = at+n, f.left-int64(n)
			continue
		}
		h, whole, err := readHead(b[at:])
		if err != nil {
			return pieces, at, err
		}
		if !whole {
			break
		}
		if h.opcode < websocket.CloseMessage {
			if err := f.begin(h); err != nil {
				return pieces, at, err
			}
			at += h.size
			continue
		}
		size := h.size + int(h.length)
		if len(b)-at < size {
			break
		}
		if h.opcode == websocket.CloseMessage {
			return pieces, at, errHungUp
		}
		if err := f.control(h.opcode, b[at+h.size:at+size]); err != nil {
			return pieces, at, err
		}
		at += size
	}
	return pieces, at, nil
}

// begin takes a data frame's head.
func (f *frames) begin(h head) error {
	switch h.opcode {
	case websocket.BinaryMessage:
		if f.open {
			return errMalformed
		}
	case websocket.TextMessage:
		return errNotBinary // text is between page and portal
	default: // a continuation
		if !f.open {
			return errMalformed
		}
	}
	f.open, f.left = !h.final, h.length
	return nil
}

// head is what stands before a frame's payload.
type head struct {
	opcode int
	final  bool
	length int64
	size   int // of the head itself
}

// readHead reads the head that b begins with, if it is whole.
func readHead(b []byte) (h head, whole bool, err error) {
	const reserved, masked, topBit = 0x70, 0x80, 1 << 63
	if len(b) < 2 {
		return head{}, false, nil
	}
	h = head{opcode: int(b[0] & 0x0f), final: b[0]&final != 0, length: int64(b[1] & 0x7f), size: 2}
	control := h.opcode >= websocket.CloseMessage
	switch {
	case b[0]&reserved != 0, b[1]&masked != 0,
		control && (h.opcode > websocket.PongMessage || !h.final || h.length > controlMax),
		!control && h.opcode > websocket.BinaryMessage:
		return head{}, false, errMalformed
	case h.length == 126:
		if h.size = 4; len(b) < h.size {
			return head{}, false, nil
		}
		h.length = int64(binary.BigEndian.Uint16(b[2:]))
	case h.length == 127:
		if h.size = headMax; len(b) < h.size {
			return head{}, false, nil
		}
		length := binary.BigEndian.Uint64(b[2:])
		if length >= topBit {
			return head{}, false, errMalformed
		}
		h.length = int64(length) // #nosec G115 -- see above
	}
	return h, true, nil
}

// putHead writes the head of a whole binary message of n bytes so that it ends
// where b does, and returns where it begins.
func putHead(b []byte, n int) (start int) {
	switch {
	case n <= controlMax:
		start = len(b) - 2
		b[start+1] = byte(n) // #nosec G115 -- at most controlMax
	case n < 1<<16:
		start = len(b) - 4
		b[start+1] = 126
		binary.BigEndian.PutUint16(b[start+2:], uint16(n))
	default:
		start = len(b) - headMax
		b[start+1] = 127
		binary.BigEndian.PutUint64(b[start+2:], uint64(n))
	}
	b[start] = final | websocket.BinaryMessage
	return start
}

// appendFrame appends a whole frame that isn't masked.
func appendFrame(b []byte, opcode int, payload []byte) []byte {
	var room [headMax]byte
	head := room[putHead(room[:], len(payload)):]
	head[0] = final | byte(opcode) // #nosec G115 -- four bits
	return append(append(b, head...), payload...)
}
