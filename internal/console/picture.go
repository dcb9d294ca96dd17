package console

import (
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

// largeHeld is for how long the picture's relay keeps a large buffer with
// nothing to put into it. A stream's pauses are shorter.
const largeHeld = time.Second

const (
	// messageMost bounds a message on a line that hasn't shown yet that it is
	// fast. A page is told of a message when it is whole, so on a slow line a
	// large one is silence, which the page takes for a lost line; and no text
	// comes in between. With its head it is one TLS record.
	messageMost = 16<<10 - 4
	// A line is fast when it has taken freely bytes in a row without a write
	// that lasted slowly. There a message is whatever has come: each costs
	// both ends, so many small ones made the picture a third slower.
	freely = 1 << 20
	slowly = 100 * time.Millisecond
)

// picture is the way from the hypervisor to the browser: one read and one
// write for whatever has come, however it was framed. RFB is a stream and
// knows no messages, so they are cut as suits the page.
// Between two writes a ping or a text may go.
type picture struct {
	c      *socket
	from   io.Reader
	frames frames
	quiet  deadline // how long the hypervisor may say nothing

	small, large []byte   // large is nil until small was too small
	pieces       []piece  // of the buffer, that are picture
	out          [][]byte // the message that is being written
	taken        int      // bytes since a write last took long
	early        int      // bytes in small that came along with the handshake
	kept         int      // bytes at the buffer's begin that wait for more

	heard   time.Time // when the hypervisor last said something
	spoken  bool
	answers bool
}

// fromHypervisor relays the picture, and says why it stopped.
func (c *socket) fromHypervisor() ending {
	p := &picture{
		c: c, from: c.upstream.conn, small: make([]byte, smallBuffer), heard: time.Now(),
		quiet: deadline{set: c.upstream.conn.SetReadDeadline},
	}
	p.early = c.upstream.early(p.small[headMax:])
	p.frames.control = p.control
	defer p.shrink()
	for {
		b, err := p.read()
		if err != nil {
			return endUpstream
		}
		var rest int
		p.pieces, rest, err = p.frames.strip(b[headMax:], p.pieces[:0])
		if len(p.pieces) > 0 {
			if e, ok := p.show(b, p.pieces); !ok {
				return e
			}
		}
		if err != nil {
			return endUpstream
		}
		p.keep(b, headMax+rest)
	}
}

// read returns the buffer up to what has come, its first headMax bytes spare.
func (p *picture) read() ([]byte, error) {
	if n := p.early; n > 0 {
		p.early = 0
		return p.small[:headMax+n], nil
	}
	for {
		p.await()
		b := p.small
		if p.large != nil {
			b = p.large
		}
		n, err := p.from.Read(b[headMax+p.kept:])
		if n > 0 {
			p.heard = time.Now()
			return b[:headMax+p.kept+n], nil
		}
		if p.large == nil || !isTimeout(err) {
			return nil, err
		}
		p.shrink()
	}
}

// await sets how long the next read may take. A screen server speaks first,
// so one that says nothing is dead. Later only one that has answered a ping is
// expected to go on doing so: an idle screen is silent, and not every
// hypervisor's proxy answers.
func (p *picture) await() {
	switch {
	case p.large != nil:
		p.quiet.extend(p.heard, largeHeld)
	case p.spoken && !p.answers:
		p.quiet.lift()
	default:
		p.quiet.extend(p.heard, p.c.timing.read)
	}
}

// show writes the pieces of b[headMax:] to the browser.
func (p *picture) show(b []byte, pieces []piece) (ending, bool) {
	p.spoken = true
	c := p.c
	tcp, plain := c.talk.to.(*net.TCPConn)
	for len(pieces) > 0 {
		most := messageMost // TLS writes record by record anyway
		if plain && p.taken >= freely {
			most = len(b)
		}
		var size int
		pieces, size = p.frame(b, pieces, most)
		c.talk.way.Lock()
		if c.talk.over {
			why := c.talk.why
			c.talk.way.Unlock()
			return why, false // behind a close frame: the socket has its reason already
		}
		begun := time.Now()
		c.talk.stuck.extend(begun, c.timing.write)
		var err error
		if plain {
			err = p.writeOut(tcp)
		} else {
			err = join(c.talk.to, p.out)
		}
		if err != nil {
			c.talk.fail(err)
		}
		why := c.talk.why
		c.talk.way.Unlock()
		if err != nil {
			return why, false
		}
		c.out.Add(int64(size))
		if p.taken += size; time.Since(begun) > slowly {
			p.taken = 0
		}
		if c.talk.some.Load() {
			c.flush()
		}
	}
	return ending{}, true
}

// frame takes up to most bytes off the pieces, as one message in p.out. Its head
// stands in b, right before it.
func (p *picture) frame(b []byte, pieces []piece, most int) (rest []piece, size int) {
	p.out = p.out[:0]
	at := pieces[0].from
	for len(pieces) > 0 && size < most {
		k := &pieces[0]
		take := min(k.to-k.from, most-size)
		p.out = append(p.out, b[headMax+k.from:headMax+k.from+take])
		size, k.from = size+take, k.from+take
		if k.from == k.to {
			pieces = pieces[1:]
		}
	}
	from := putHead(b[:headMax+at], size)
	p.out[0] = b[from : headMax+at+len(p.out[0])]
	return pieces, size
}

// writeOut writes p.out by one call. The deadline is one for getting on: each
// time it finds some of it written, there is another.
func (p *picture) writeOut(to *net.TCPConn) error {
	all := net.Buffers(p.out)
	for {
		var n int64
		var err error
		if len(all) > 1 {
			n, err = all.WriteTo(to)
		} else {
			var one int
			one, err = to.Write(all[0])
			n, all[0] = int64(one), all[0][one:]
		}
		if err == nil || n == 0 || !isTimeout(err) {
			return err
		}
		p.c.talk.stuck.extend(time.Now(), p.c.timing.write)
	}
}

// join writes the parts of one message, which lie in one buffer in this order,
// by one call.
func join(to net.Conn, parts [][]byte) error {
	all := parts[0]
	for _, part := range parts[1:] {
		all = append(all, part...) // to where a head of the hypervisor's was
	}
	_, err := to.Write(all)
	return err
}

// keep moves b[rest:] to where the next read goes on, and takes a large buffer
// when a small one was filled.
func (p *picture) keep(b []byte, rest int) {
	next := b
	if p.large == nil && len(b) == len(p.small) {
		p.large = p.c.large.take()
		next = p.large
	}
	p.kept = copy(next[headMax:], b[rest:])
}

// shrink gives the large buffer back.
func (p *picture) shrink() {
	if p.large == nil {
		return
	}
	copy(p.small[headMax:], p.large[headMax:headMax+p.kept]) // less than a control frame
	p.c.large.give(p.large)
	p.large, p.pieces, p.out, p.taken = nil, nil, nil, 0
}

// control answers the hypervisor's ping, and notes that it answers ours.
func (p *picture) control(opcode int, text []byte) error {
	if opcode == websocket.PongMessage {
		p.answers = true
		return nil
	}
	return p.c.upstream.WriteControl(websocket.PongMessage, text, time.Now().Add(p.c.timing.write))
}

// deadline keeps a connection's deadline ahead. It is moved in steps, and then
// up to a sixteenth too far: moving it for each message would wake another
// thread of the program each time.
type deadline struct {
	set func(time.Time) error
	at  time.Time
}

// extend lets at least d pass from now on.
func (l *deadline) extend(now time.Time, d time.Duration) {
	if ahead := l.at.Sub(now); ahead >= d && ahead <= d+d/16 {
		return
	}
	l.at = now.Add(d + d/16)
	_ = l.set(l.at)
}

// lift lets any time pass.
func (l *deadline) lift() {
	if !l.at.IsZero() {
		l.at = time.Time{}
		_ = l.set(l.at)
	}
}
