package console

import (
	"encoding/binary"
	"errors"
)

var errNotUnderstood = errors.New("a viewer's message of unknown length")

// viewFilter passes on what a viewer's client has to say for a picture, and
// drops what would act on the machine: keys, pointer, clipboard, size, power.
// It sees a stream; messages may be cut anywhere.
//
//	version ─▶ security ─(VNC: response)─▶ init ─▶ message, message, …
//
// What it drops never reaches the hypervisor, so a message whose length the
// two would read differently can't smuggle another one past it: only the
// lengths of passed messages matter, and those are beyond doubt.
type viewFilter struct {
	phase phase
	head  []byte // of a message whose length is not known yet
	left  int64  // bytes of the current message still to come
	drop  bool   // the current message is dropped
}

type phase int

const (
	phaseVersion phase = iota
	phaseSecurity
	phaseResponse
	phaseInit
	phaseMessages
)

// Client messages, by their first byte.
const (
	msgSetPixelFormat    = 0
	msgSetEncodings      = 2
	msgUpdateRequest     = 3
	msgKey               = 4
	msgPointer           = 5
	msgCutText           = 6
	msgContinuousUpdates = 150
	msgFence             = 248
	msgPower             = 250 // xvp: shutdown, reboot, reset
	msgDesktopSize       = 251
	msgQEMU              = 255

	securityNone = 1
	securityVNC  = 2
)

// pass returns the part of p that may go to the hypervisor.
func (f *viewFilter) pass(p []byte) ([]byte, error) {
	var out []byte
	for len(p) > 0 {
		if f.left == 0 {
			f.head = append(f.head, p[0])
			p = p[1:]
			size, known, err := f.size()
			if err != nil {
				return nil, err
			}
			if !known {
				continue
			}
			f.left = size - int64(len(f.head))
			if !f.drop {
				out = append(out, f.head...)
			}
			f.head = f.head[:0]
		}
		n := min(int64(len(p)), f.left)
		if !f.drop {
			out = append(out, p[:n]...)
		}
		p, f.left = p[n:], f.left-n
	}
	return out, nil
}

// size tells from the head how long the message is, once that can be told,
// and whether it is dropped.
func (f *viewFilter) size() (size int64, known bool, err error) {
	f.drop = false
	switch f.phase {
	case phaseVersion:
		return f.versionSize()
	case phaseSecurity:
		switch f.head[0] {
		case securityNone:
			f.phase = phaseInit
		case securityVNC:
			f.phase = phaseResponse
		default:
			return 0, false, errNotUnderstood
		}
		return 1, true, nil
	case phaseResponse:
		f.phase = phaseInit
		return 16, true, nil
	case phaseInit:
		f.phase = phaseMessages
		f.head[0] = 1 // shared: a viewer never turns others out
		return 1, true, nil
	default:
		return f.messageSize()
	}
}

// versionSize reads "RFB 003.007\n" or "RFB 003.008\n". In older ones the
// client does not choose the security type, and nothing tells what follows.
func (f *viewFilter) versionSize() (int64, bool, error) {
	const length = 12
	if len(f.head) < length {
		return 0, false, nil
	}
	if v := string(f.head); v != "RFB 003.007\n" && v != "RFB 003.008\n" {
		return 0, false, errNotUnderstood
	}
	f.phase = phaseSecurity
	return length, true, nil
}

func (f *viewFilter) messageSize() (int64, bool, error) {
	h := f.head
	need := func(n int) bool { return len(h) >= n }
	switch h[0] {
	case msgSetPixelFormat:
		return 20, true, nil
	case msgSetEncodings:
		if !need(4) {
			return 0, false, nil
		}
		return 4 + 4*int64(binary.BigEndian.Uint16(h[2:])), true, nil
	case msgUpdateRequest, msgContinuousUpdates:
		return 10, true, nil
	case msgFence:
		if !need(9) {
			return 0, false, nil
		}
		return 9 + int64(h[8]), true, nil
	}
	f.drop = true
	switch h[0] {
	case msgKey:
		return 8, true, nil
	case msgPointer:
		if !need(2) {
			return 0, false, nil
		}
		if h[1]&0x80 != 0 { // more than seven buttons: one byte more
			return 7, true, nil
		}
		return 6, true, nil
	case msgCutText:
		if !need(8) {
			return 0, false, nil
		}
		// Negative: the extended clipboard's, of that length without its sign.
		length := int64(int32(binary.BigEndian.Uint32(h[4:]))) // #nosec G115 -- meant as signed
		return 8 + max(length, -length), true, nil
	case msgPower:
		return 4, true, nil
	case msgDesktopSize:
		if !need(7) {
			return 0, false, nil
		}
		return 8 + 16*int64(h[6]), true, nil
	case msgQEMU:
		if !need(2) {
			return 0, false, nil
		}
		if h[1] == 0 { // extended key
			return 12, true, nil
		}
	}
	return 0, false, errNotUnderstood
}
