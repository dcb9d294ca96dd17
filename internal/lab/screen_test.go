package lab

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

// rfbClient is the least of a viewer that a test needs.
type rfbClient struct {
	t             *testing.T
	ws            *websocket.Conn
	in            []byte
	width, height int
	zipped        bytes.Buffer
	unzip         io.ReadCloser
	pixels        []byte // last rectangle, decoded
	mode          int32  // ZRLE or Raw
}

func dialScreen(url string) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{TLSClientConfig: insecure(), Subprotocols: []string{"binary"}, HandshakeTimeout: 5 * time.Second}
	return d.Dial(url, nil)
}

func openScreen(t *testing.T, url string, mode int32) *rfbClient {
	t.Helper()
	ws, _, err := dialScreen(url)
	if err != nil {
		t.Fatalf("dial screen: %v", err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	if ws.Subprotocol() != "binary" {
		t.Errorf("subprotocol %q", ws.Subprotocol())
	}
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	c := &rfbClient{t: t, ws: ws, mode: mode}
	if v := string(c.take(12)); v != "RFB 003.008\n" {
		t.Fatalf("version %q", v)
	}
	c.send([]byte("RFB 003.008\n"))
	if b := c.take(2); b[0] != 1 || b[1] != 1 {
		t.Fatalf("security types %v", b)
	}
	c.send([]byte{1})
	if b := c.take(4); !bytes.Equal(b, make([]byte, 4)) {
		t.Fatalf("security result %v", b)
	}
	c.send([]byte{1})
	init := c.take(24)
	c.width, c.height = int(binary.BigEndian.Uint16(init)), int(binary.BigEndian.Uint16(init[2:]))
	c.take(int(binary.BigEndian.Uint32(init[20:])))

	list := []int32{mode, encodingDesktopSize, encodingQEMUKeys}
	msg := []byte{msgSetEncodings, 0, 0, byte(len(list))}
	for _, e := range list {
		msg = binary.BigEndian.AppendUint32(msg, uint32(e))
	}
	c.send(msg)
	return c
}

func (c *rfbClient) send(b []byte) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.BinaryMessage, b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

func (c *rfbClient) take(n int) []byte {
	c.t.Helper()
	for len(c.in) < n {
		_, b, err := c.ws.ReadMessage()
		if err != nil {
			c.t.Fatalf("read: %v", err)
		}
		c.in = append(c.in, b...)
	}
	b := c.in[:n]
	c.in = c.in[n:]
	return b
}

// update asks for an update and returns how many rectangles of pixels came.
func (c *rfbClient) update(incremental byte) int {
	c.t.Helper()
	req := []byte{msgUpdateRequest, incremental, 0, 0, 0, 0}
	req = binary.BigEndian.AppendUint16(req, uint16(c.width))
	req = binary.BigEndian.AppendUint16(req, uint16(c.height))
	c.send(req)
	head := c.take(4)
	if head[0] != 0 {
		c.t.Fatalf("message %d", head[0])
	}
	painted := 0
	for range binary.BigEndian.Uint16(head[2:]) {
		h := c.take(12)
		w, ht := int(binary.BigEndian.Uint16(h[4:])), int(binary.BigEndian.Uint16(h[6:]))
		switch enc := int32(binary.BigEndian.Uint32(h[8:])); enc {
		case encodingDesktopSize:
			c.width, c.height = w, ht
		case encodingQEMUKeys:
		case encodingRaw:
			c.pixels = slices.Clone(c.take(w * ht * 4))
			painted++
		case encodingZRLE:
			c.inflate(c.take(int(binary.BigEndian.Uint32(c.take(4)))), w, ht)
			painted++
		default:
			c.t.Fatalf("encoding %d", enc)
		}
	}
	return painted
}

// inflate decodes a ZRLE rectangle into 3 bytes a pixel.
func (c *rfbClient) inflate(data []byte, w, h int) {
	c.t.Helper()
	c.zipped.Write(data)
	if c.unzip == nil {
		r, err := zlib.NewReader(&c.zipped)
		if err != nil {
			c.t.Fatalf("zlib: %v", err)
		}
		c.unzip = r
	}
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(c.unzip, b); err != nil {
			c.t.Fatalf("inflate: %v", err)
		}
		return b
	}
	c.pixels = make([]byte, w*h*3)
	for y := 0; y < h; y += zrleTile {
		for x := 0; x < w; x += zrleTile {
			tw, th := min(zrleTile, w-x), min(zrleTile, h-y)
			put := func(px, py int, colour []byte) { copy(c.pixels[((y+py)*w+x+px)*3:], colour) }
			switch kind := int(read(1)[0]); {
			case kind == 0:
				for py := range th {
					for px := range tw {
						put(px, py, read(3))
					}
				}
			case kind == 1:
				colour := read(3)
				for py := range th {
					for px := range tw {
						put(px, py, colour)
					}
				}
			case kind <= 16:
				colours := read(3 * kind)
				bits := 4
				if kind == 2 {
					bits = 1
				} else if kind <= 4 {
					bits = 2
				}
				for py := range th {
					row := read((tw*bits + 7) / 8)
					for px := range tw {
						at := px * bits
						i := int(row[at/8]>>(8-bits-at%8)) & (1<<bits - 1)
						put(px, py, colours[3*i:3*i+3])
					}
				}
			default:
				c.t.Fatalf("tile of kind %d", kind)
			}
		}
	}
}

func (c *rfbClient) press(sym uint32, down byte) {
	c.send(binary.BigEndian.AppendUint32([]byte{msgKey, down, 0, 0}, sym))
}

func (c *rfbClient) typeText(text string) {
	for _, r := range text {
		sym := uint32(r)
		if r == '\n' {
			sym = keyReturn
		}
		c.press(sym, 1)
		c.press(sym, 0)
	}
}

// running makes a machine that is on, in a vCenter of this process.
func running(t *testing.T, o VCenterOptions) (*VCenter, *session, *object.VirtualMachine) {
	t.Helper()
	v := newTestVCenter(t, o)
	s := login(t, v.Info())
	spec := s.cloneSpec("", "10.20.0.9")
	spec.PowerOn = true
	vm := s.clone(s.template(CloudPublic, "debian-13"), "screen-1", spec)
	return v, s, vm
}

func screenText(v *VCenter, vm *object.VirtualMachine) string {
	s, ok := v.screenOf(vm.Reference())
	if !ok {
		return ""
	}
	return s.text()
}

// eventually waits for the screen to show something.
func eventually(t *testing.T, v *VCenter, vm *object.VirtualMachine, want string) string {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		text := screenText(v, vm)
		if strings.Contains(text, want) {
			return text
		}
		if time.Now().After(deadline) {
			t.Fatalf("screen never shows %q:\n%s", want, text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestTypingShowsOnTheScreen(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]int32{"raw": encodingRaw, "zrle": encodingZRLE} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, _, vm := running(t, VCenterOptions{})
			ticket, err := vm.AcquireTicket(t.Context(), string(types.VirtualMachineTicketTypeWebmks))
			if err != nil {
				t.Fatal(err)
			}
			if ticket.SslThumbprint != v.Info().ThumbprintSHA1 {
				t.Errorf("thumbprint %s", ticket.SslThumbprint)
			}
			eventually(t, v, vm, "web login:")
			c := openScreen(t, ticket.Url, mode)
			if n := c.update(0); n == 0 {
				t.Fatal("the first update is empty")
			}
			before := slices.Clone(c.pixels)
			c.typeText("root\nsecret\nhelp\n")
			eventually(t, v, vm, "This guest is simulated")
			c.update(0)
			if len(before) != len(c.pixels) || bytes.Equal(before, c.pixels) {
				t.Error("typing help changed no pixel")
			}
			if text := screenText(v, vm); strings.Contains(text, "secret") {
				t.Errorf("the password is on the screen:\n%s", text)
			}
		})
	}
}

func TestTicketIsGoodOnce(t *testing.T) {
	t.Parallel()
	v, _, vm := running(t, VCenterOptions{})
	ticket, err := vm.AcquireTicket(t.Context(), "webmks")
	if err != nil {
		t.Fatal(err)
	}
	openScreen(t, ticket.Url, encodingRaw)
	if _, res, err := dialScreen(ticket.Url); err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("second use: %v, %v", res, err)
	}
	v.tickets.mu.Lock()
	v.tickets.ttl = -time.Second
	v.tickets.mu.Unlock()
	late, err := vm.AcquireTicket(t.Context(), "webmks")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := dialScreen(late.Url); err == nil {
		t.Error("an expired ticket lets in")
	}
}

func TestMachineThatIsOffGivesNoTicketAndClosesItsScreen(t *testing.T) {
	t.Parallel()
	_, s, vm := running(t, VCenterOptions{})
	ticket, err := vm.AcquireTicket(t.Context(), "webmks")
	if err != nil {
		t.Fatal(err)
	}
	unused, err := vm.AcquireTicket(t.Context(), "webmks")
	if err != nil {
		t.Fatal(err)
	}
	c := openScreen(t, ticket.Url, encodingRaw)
	c.update(0)
	s.must(vm.PowerOff(t.Context()))
	for {
		_, _, err := c.ws.ReadMessage()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != websocket.CloseGoingAway {
			t.Errorf("screen ended with %v", err)
		}
		break
	}
	if _, err := vm.AcquireTicket(t.Context(), "webmks"); err == nil {
		t.Error("a machine that is off gives a ticket")
	}
	if _, res, err := dialScreen(unused.Url); err == nil || res == nil || res.StatusCode != http.StatusConflict {
		t.Errorf("ticket of a machine that went off: %v, %v", res, err)
	}
}

func TestTwoViewersSeeTheSameAndGuestCanTurnItselfOff(t *testing.T) {
	t.Parallel()
	v, s, vm := running(t, VCenterOptions{})
	eventually(t, v, vm, "login:")
	var viewers [2]*rfbClient
	for i := range viewers {
		ticket, err := vm.AcquireTicket(t.Context(), "webmks")
		if err != nil {
			t.Fatal(err)
		}
		viewers[i] = openScreen(t, ticket.Url, encodingZRLE)
		viewers[i].update(0)
	}
	viewers[0].typeText("ann\nx\nuname -a\n")
	eventually(t, v, vm, "Linux web")
	viewers[0].update(0)
	viewers[1].update(0)
	if !bytes.Equal(viewers[0].pixels, viewers[1].pixels) {
		t.Error("two viewers see different screens")
	}
	viewers[1].press(keyCtrlLeft, 1)
	viewers[1].press(keyAltLeft, 1)
	viewers[1].press(keyDelete, 1)
	for strings.Contains(screenText(v, vm), "uname -a") {
		time.Sleep(5 * time.Millisecond)
	}
	eventually(t, v, vm, "login:")
	viewers[0].typeText("ann\nx\npoweroff\n")
	s.until(vm, "runtime.powerState", func(v any) bool { return v == types.VirtualMachinePowerStatePoweredOff })
}
