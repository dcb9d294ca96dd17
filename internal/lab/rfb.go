package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Encodings of the RFB protocol that the screen speaks.
const (
	encodingRaw         int32 = 0
	encodingZRLE        int32 = 16
	encodingDesktopSize int32 = -223
	encodingQEMUKeys    int32 = -258
)

// Messages from the viewer.
const (
	msgSetPixelFormat = 0
	msgSetEncodings   = 2
	msgUpdateRequest  = 3
	msgKey            = 4
	msgPointer        = 5
	msgCutText        = 6
	msgQEMU           = 255
)

const (
	viewerWriteTimeout = 20 * time.Second
	maxCutText         = 1 << 20
)

// viewer is one connection to a screen: an RFB 3.8 server over a WebSocket.
//
// One goroutine reads what the viewer says, another sends updates: one per
// request, with everything that changed since the last.
type viewer struct {
	screen *screen
	glyphs *glyphs
	ws     *websocket.Conn
	read   io.Reader // of the current message

	// damage is guarded by the screen's mutex.
	damage damage

	wakeup chan struct{}
	quit   chan struct{}
	once   sync.Once

	mu        sync.Mutex
	format    pixelFormat
	encodings []int32
	wanted    bool // an update was requested and not sent yet
	greetKeys bool // QEMU keys must still be acknowledged

	keys modifiers // the receiver's

	// The sender's:
	zrle          zrle
	width, height int // what the viewer believes
}

func newViewer(s *screen, g *glyphs, ws *websocket.Conn) *viewer {
	return &viewer{
		screen: s, glyphs: g, ws: ws, format: ownFormat(),
		wakeup: make(chan struct{}, 1), quit: make(chan struct{}),
	}
}

// serve runs the connection until one side ends it.
func (v *viewer) serve() {
	defer v.ws.Close() //nolint:errcheck // it is over
	v.ws.SetReadLimit(maxCutText + 64)
	if err := v.handshake(); err != nil {
		return
	}
	if !v.screen.attach(v) {
		v.close()
		return
	}
	defer v.screen.detach(v)
	var sender sync.WaitGroup
	sender.Go(v.send)
	for {
		if err := v.receive(); err != nil {
			break
		}
	}
	v.once.Do(func() { close(v.quit) })
	sender.Wait()
}

// close tells the viewer that the machine is off and ends the connection.
func (v *viewer) close() {
	v.once.Do(func() { close(v.quit) })
	bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "the machine is not running")
	_ = v.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
	_ = v.ws.SetReadDeadline(time.Now().Add(time.Second))
}

func (v *viewer) signal() {
	select {
	case v.wakeup <- struct{}{}:
	default:
	}
}

// Read makes one stream of the messages.
func (v *viewer) Read(p []byte) (int, error) {
	for {
		if v.read == nil {
			kind, r, err := v.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errors.New("lab: a screen takes binary messages only")
			}
			v.read = r
		}
		n, err := v.read.Read(p)
		if errors.Is(err, io.EOF) {
			v.read = nil
			if n == 0 {
				continue
			}
			err = nil
		}
		return n, err
	}
}

func (v *viewer) write(b []byte) error {
	if err := v.ws.SetWriteDeadline(time.Now().Add(viewerWriteTimeout)); err != nil {
		return err
	}
	return v.ws.WriteMessage(websocket.BinaryMessage, b)
}

func (v *viewer) handshake() error {
	if err := v.ws.SetReadDeadline(time.Now().Add(viewerWriteTimeout)); err != nil {
		return err
	}
	const version = "RFB 003.008\n"
	if err := v.write([]byte(version)); err != nil {
		return err
	}
	var hello [len(version)]byte
	if _, err := io.ReadFull(v, hello[:]); err != nil {
		return err
	}
	if string(hello[:]) != version {
		return fmt.Errorf("lab: viewer speaks %q", hello)
	}
	if err := v.write([]byte{1, 1}); err != nil { // one type: None
		return err
	}
	var choice [1]byte
	if _, err := io.ReadFull(v, choice[:]); err != nil {
		return err
	}
	if choice[0] != 1 {
		return errors.New("lab: viewer chose an unknown security type")
	}
	if err := v.write([]byte{0, 0, 0, 0}); err != nil {
		return err
	}
	if _, err := io.ReadFull(v, choice[:]); err != nil { // shared or not: always shared
		return err
	}
	f, _ := v.screen.snapshot(v)
	v.width, v.height = f.cols*cellWidth, f.rows*cellHeight
	init := binary.BigEndian.AppendUint16(nil, uint16(v.width))  //nolint:gosec // pixels
	init = binary.BigEndian.AppendUint16(init, uint16(v.height)) //nolint:gosec // pixels
	init, err := binary.Append(init, binary.BigEndian, v.format)
	if err != nil {
		return err
	}
	name := v.screen.machine.Name
	init = binary.BigEndian.AppendUint32(init, uint32(len(name))) //nolint:gosec // a name
	if err := v.write(append(init, name...)); err != nil {
		return err
	}
	return v.ws.SetReadDeadline(time.Time{})
}

// receive handles one message.
func (v *viewer) receive() error {
	var kind [1]byte
	if _, err := io.ReadFull(v, kind[:]); err != nil {
		return err
	}
	body := func(n int) ([]byte, error) {
		b := make([]byte, n)
		_, err := io.ReadFull(v, b)
		return b, err
	}
	switch kind[0] {
	case msgSetPixelFormat:
		b, err := body(19)
		if err != nil {
			return err
		}
		var p pixelFormat
		if _, err := binary.Decode(b[3:], binary.BigEndian, &p); err != nil || !p.usable() {
			return errors.New("lab: pixel format not supported")
		}
		v.mu.Lock()
		v.format = p
		v.mu.Unlock()
	case msgSetEncodings:
		return v.setEncodings(body)
	case msgUpdateRequest:
		b, err := body(9)
		if err != nil {
			return err
		}
		v.request(b[0] == 0)
	case msgKey:
		b, err := body(7)
		if err != nil {
			return err
		}
		v.screen.key(&v.keys, binary.BigEndian.Uint32(b[3:]), b[0] != 0)
	case msgPointer:
		_, err := body(5)
		return err
	case msgCutText:
		b, err := body(7)
		if err != nil {
			return err
		}
		n := int64(int32(binary.BigEndian.Uint32(b[3:]))) //nolint:gosec // negative lengths mean the extended form
		if n < 0 {
			n = -n
		}
		if n > maxCutText {
			return errors.New("lab: clipboard too large")
		}
		_, err = io.CopyN(io.Discard, v, n)
		return err
	case msgQEMU:
		b, err := body(11)
		if err != nil {
			return err
		}
		v.screen.key(&v.keys, binary.BigEndian.Uint32(b[3:]), binary.BigEndian.Uint16(b[1:]) != 0)
	default:
		return fmt.Errorf("lab: unknown message %d from viewer", kind[0])
	}
	return nil
}

func (v *viewer) setEncodings(body func(int) ([]byte, error)) error {
	b, err := body(3)
	if err != nil {
		return err
	}
	b, err = body(4 * int(binary.BigEndian.Uint16(b[1:])))
	if err != nil {
		return err
	}
	var list []int32
	for ; len(b) > 0; b = b[4:] {
		list = append(list, int32(binary.BigEndian.Uint32(b))) //nolint:gosec // signed on the wire
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.encodings = list
	v.greetKeys = slices.Contains(list, encodingQEMUKeys)
	return nil
}

// request notes that the viewer wants an update.
func (v *viewer) request(whole bool) {
	if whole {
		v.screen.mu.Lock()
		v.damage.all(v.screen.rows)
		v.screen.mu.Unlock()
	}
	v.mu.Lock()
	v.wanted = true
	v.mu.Unlock()
	v.signal()
}

// send answers requests whenever there is something to tell.
func (v *viewer) send() {
	for {
		select {
		case <-v.quit:
			return
		case <-v.wakeup:
		}
		if err := v.update(); err != nil {
			v.once.Do(func() { close(v.quit) })
			_ = v.ws.Close()
			return
		}
	}
}

func (v *viewer) update() error {
	v.mu.Lock()
	wanted, format, encodings, greet := v.wanted, v.format, v.encodings, v.greetKeys
	v.mu.Unlock()
	if !wanted {
		return nil
	}
	f, d := v.screen.snapshot(v)
	areas := d.areas(f)
	if len(areas) == 0 && !greet {
		return nil
	}
	v.mu.Lock()
	v.wanted, v.greetKeys = false, false
	v.mu.Unlock()

	out := []byte{0, 0, 0, 0} // message 0, padding, count set below
	count := 0
	if w, h := f.cols*cellWidth, f.rows*cellHeight; (w != v.width || h != v.height) && slices.Contains(encodings, encodingDesktopSize) {
		out = rectHeader(out, 0, 0, w, h, encodingDesktopSize)
		v.width, v.height = w, h
		count++
	}
	if greet {
		out = rectHeader(out, 0, 0, 0, 0, encodingQEMUKeys)
		count++
	}
	for _, a := range areas {
		// A viewer that can't change its size is shown what fits.
		a.cols = min(a.cols, v.width/cellWidth-a.col)
		a.rows = min(a.rows, v.height/cellHeight-a.row)
		if a.cols <= 0 || a.rows <= 0 {
			continue
		}
		var err error
		if out, err = v.rectangle(out, f, a, &format, encodings); err != nil {
			return err
		}
		count++
	}
	binary.BigEndian.PutUint16(out[2:], uint16(count))
	return v.write(out)
}

func (v *viewer) rectangle(out []byte, f frame, a area, format *pixelFormat, encodings []int32) ([]byte, error) {
	pixels := v.glyphs.paint(f, a)
	w, h := a.cols*cellWidth, a.rows*cellHeight
	if slices.Contains(encodings, encodingZRLE) {
		out = rectHeader(out, a.col*cellWidth, a.row*cellHeight, w, h, encodingZRLE)
		return v.zrle.encode(out, pixels, w, h, format)
	}
	out = rectHeader(out, a.col*cellWidth, a.row*cellHeight, w, h, encodingRaw)
	for _, p := range pixels {
		out = format.put(out, p)
	}
	return out, nil
}

func rectHeader(out []byte, x, y, w, h int, encoding int32) []byte {
	for _, n := range []int{x, y, w, h} {
		out = binary.BigEndian.AppendUint16(out, uint16(n)) //nolint:gosec // pixels
	}
	return binary.BigEndian.AppendUint32(out, uint32(encoding)) //nolint:gosec // signed on the wire
}
