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

// picture is the way from the hypervisor to the browser: one read and one
// write for whatever has come, however it was framed. RFB is a stream and
// knows no messages, so each write is a message of its own, between two of
// which a ping or a text may go.
type picture struct {
	c      *socket
	from   io.Reader
	frames frames
	quiet  deadline // how long the hypervisor may say nothing
	stuck  deadline // how long the browser may take nothing

	small, large []byte   // large is nil until small was too small
	pieces       []piece  // of the buffer, that are picture
	out          [][]byte // what is being written
	kept         int      // bytes at the buffer's begin that wait for more

	heard   time.Time // when the hypervisor last said something
	spoken  bool
	answers bool
}

// fromHypervisor relays the picture, and says why it stopped.
func (c *socket) fromHypervisor() ending {
	to := c.client.NetConn()
	p := &picture{
		c: c, from: c.upstream.from(), small: make([]byte, headMax+smallBuffer), heard: time.Now(),
		quiet: deadline{set: c.upstream.conn.SetReadDeadline}, stuck: deadline{set: to.SetWriteDeadline},
	}
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
			if e, ok := p.show(to, b, p.pieces); !ok {
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

// show writes the pieces of b[headMax:] to the browser as one message.
func (p *picture) show(to net.Conn, b []byte, pieces []piece) (ending, bool) {
	p.spoken = true
	c := p.c
	size := 0
	for _, k := range pieces {
		size += k.to - k.from
	}
	from := putHead(b[:headMax+pieces[0].from], size)
	p.out = append(p.out[:0], b[from:headMax+pieces[0].to])
	for _, k := range pieces[1:] {
		p.out = append(p.out, b[headMax+k.from:headMax+k.to])
	}
	c.talk.way.Lock()
	if c.talk.over {
		c.talk.way.Unlock()
		return endLost, false // has ended for another reason, which counts
	}
	p.stuck.extend(time.Now(), c.timing.write)
	err := write(to, p.out)
	c.talk.way.Unlock()
	if c.talk.some.Load() {
		c.flush()
	}
	switch {
	case err == nil:
		c.out.Add(int64(size))
		return ending{}, true
	case isTimeout(err):
		return endStuck, false
	default:
		return endLost, false
	}
}

// write writes the parts of one frame, which lie in one buffer in this order,
// by one call: whatever gorilla writes goes before or behind it.
func write(to net.Conn, parts [][]byte) error {
	if tcp, ok := to.(*net.TCPConn); ok && len(parts) > 1 {
		all := net.Buffers(parts)
		_, err := all.WriteTo(tcp)
		return err
	}
	all := parts[0]
	for _, part := range parts[1:] {
		all = append(all, part...) // to where the next frame's head was
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
	p.large, p.pieces, p.out = nil, nil, nil
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
