package console

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/models"
)

// serverFrame is a frame as a server sends it.
func serverFrame(opcode int, final bool, payload string) []byte {
	room := make([]byte, headMax, headMax+len(payload))
	b := append(room, payload...)[putHead(room, len(payload)):]
	b[0] = byte(opcode)
	if final {
		b[0] |= 0x80
	}
	return b
}

func TestPictureIsFoundWhereverTheStreamIsCut(t *testing.T) {
	t.Parallel()
	const binary, more = websocket.BinaryMessage, 0
	stream := slices.Concat(
		serverFrame(binary, true, "RFB 003.008\n"), serverFrame(binary, true, ""),
		serverFrame(binary, false, "in "), serverFrame(websocket.PingMessage, true, "there?"),
		serverFrame(more, false, "three "), serverFrame(more, true, "frames "),
		serverFrame(binary, true, strings.Repeat("x", 200)), serverFrame(websocket.PongMessage, true, ""),
		serverFrame(binary, true, strings.Repeat("y", 70_000)), serverFrame(websocket.CloseMessage, true, "\x03\xe8"))
	want := "RFB 003.008\nin three frames " + strings.Repeat("x", 200) + strings.Repeat("y", 70_000)
	for _, size := range []int{1, 2, 3, 5, 7, 11, 127, 1000, 65_536, len(stream)} {
		var got bytes.Buffer
		var said []string
		f := frames{control: func(opcode int, text []byte) error {
			said = append(said, string(rune('0'+opcode))+string(text))
			return nil
		}}
		var waiting []byte
		var err error
		for start := 0; start < len(stream) && err == nil; start += size {
			b := slices.Concat(waiting, stream[start:min(start+size, len(stream))])
			var pieces []piece
			var rest int
			pieces, rest, err = f.strip(b, nil)
			for _, k := range pieces {
				got.Write(b[k.from:k.to])
			}
			waiting = slices.Clone(b[rest:])
			if err == nil && len(waiting) > 2+controlMax {
				t.Fatalf("cut at %d: %d bytes wait", size, len(waiting))
			}
		}
		if !errors.Is(err, errHungUp) {
			t.Errorf("cut at %d: ended by %v", size, err)
		}
		if got.String() != want {
			t.Errorf("cut at %d: a picture of %d bytes came as %d", size, len(want), got.Len())
		}
		if !slices.Equal(said, []string{"9there?", ":"}) {
			t.Errorf("cut at %d: heard %q", size, said)
		}
	}
}

func TestFramesAgainstTheProtocolEndThePicture(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bytes string
		want  error
	}{
		"reserved bits":            {"\xC2\x01x", errMalformed},
		"masked":                   {"\x82\x81\x00\x00\x00\x00x", errMalformed},
		"unknown data":             {"\x83\x01x", errMalformed},
		"unknown control":          {"\x8B\x00", errMalformed},
		"continues nothing":        {"\x80\x01x", errMalformed},
		"begins again":             {"\x02\x01x\x82\x01y", errMalformed},
		"a ping in pieces":         {"\x09\x01x", errMalformed},
		"a ping too long":          {"\x89\x7E\x00\x7E", errMalformed},
		"longer than a number":     {"\x82\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", errMalformed},
		"text":                     {"\x81\x01x", errNotBinary},
		"closed, a word behind it": {"\x88\x00\x82\x01x", errHungUp},
	} {
		f := frames{control: func(int, []byte) error { return nil }}
		if _, _, err := f.strip([]byte(c.bytes), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A hypervisor that stops within a message must not keep the page from being
// answered.
func TestTextGoesBetweenPiecesOfALongMessage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn, screen := b.watch(b.user(), models.ConsoleOperate)
	long := serverFrame(websocket.BinaryMessage, true, strings.Repeat("z", 1<<20))
	half := len(long) / 2
	write := func(p []byte) {
		if _, err := screen.conn.NetConn().Write(p); err != nil {
			t.Fatal(err)
		}
	}
	write(long[:half])
	b.read(conn, half-headMax)
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"ping":7}`)); err != nil {
		t.Fatal(err)
	}
	for got := ""; got != `{"pong":7}`; { // the list of viewers may come first
		got = string(b.readMessage(conn))
	}
	write(long[half:])
	rest := 0
	for rest < len(long)-half {
		kind, p, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if kind == websocket.BinaryMessage {
			rest += len(p)
		}
	}
	if rest != len(long)-half {
		t.Errorf("the rest came as %d bytes, want %d", rest, len(long)-half)
	}
}

func TestBothEndsPingsAreAnswered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn, screen := b.watch(b.user(), models.ConsoleOperate)
	for name, end := range map[string]*websocket.Conn{"the browser's": conn, "the hypervisor's": screen.conn} {
		heard := make(chan string, 1)
		end.SetPongHandler(func(text string) error { heard <- text; return nil })
		if err := end.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if end == conn {
			go func() { _, _, _ = conn.ReadMessage() }()
		}
		select {
		case text := <-heard:
			if text != "there?" {
				t.Errorf("%s ping was answered %q", name, text)
			}
		case <-time.After(patience):
			t.Errorf("%s ping was not answered", name)
		}
	}
}

// An idle console keeps 2 KiB, whatever it has carried before.
func TestLargeBufferGoesBackWhenTheStreamRests(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn, screen := b.watch(b.user(), models.ConsoleOperate)
	picture := strings.Repeat("p", 1<<20)
	screen.draw(t, picture)
	b.read(conn, len(picture))
	b.until("the large buffer is given back", func() bool { return b.service.large.lent.Load() == 0 })
	screen.draw(t, "and on")
	if got := b.read(conn, 6); got != "and on" {
		t.Errorf("after a rest came %q", got)
	}
}
