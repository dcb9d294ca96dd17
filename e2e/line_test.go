package e2e_test

import (
	"net"
	"sync"
	"testing"
	"time"
)

// line is what lies between a browser and a portal: a balancer that cuts what
// is idle, a network that freezes or breaks.
type line struct {
	idle  time.Duration // 0: never
	ended chan struct{} // the test is over

	mu     sync.Mutex
	target string
	calls  map[*call]struct{}
	cuts   int // of idle calls
}

// call is one connection through the line.
type call struct {
	near, far net.Conn
	frozen    chan struct{} // closed: nothing passes any more, and nobody is told
	timer     *time.Timer   // nil: never idle
}

// newLine takes connections at address and passes them on to target.
func newLine(t *testing.T, address, target string, idle time.Duration) *line {
	t.Helper()
	l := &line{target: target, idle: idle, ended: make(chan struct{}), calls: map[*call]struct{}{}}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		close(l.ended)
		l.cut()
		all.Wait()
	})
	all.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { l.carry(near) })
		}
	})
	return l
}

func (l *line) carry(near net.Conn) {
	l.mu.Lock()
	target := l.target
	l.mu.Unlock()
	far, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		_ = near.Close()
		return
	}
	c := &call{near: near, far: far, frozen: make(chan struct{})}
	if l.idle > 0 {
		c.timer = time.AfterFunc(l.idle, func() {
			l.mu.Lock()
			l.cuts++
			l.mu.Unlock()
			c.hangUp()
		})
	}
	l.mu.Lock()
	l.calls[c] = struct{}{}
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.pass(c, near, far) })
	both.Go(func() { l.pass(c, far, near) })
	both.Wait()
	if c.timer != nil {
		c.timer.Stop()
	}
	l.mu.Lock()
	delete(l.calls, c)
	l.mu.Unlock()
}

func (l *line) pass(c *call, from, to net.Conn) {
	defer c.hangUp()
	p := make([]byte, 32<<10)
	for {
		n, err := from.Read(p)
		select {
		case <-c.frozen:
			<-l.ended
			return
		default:
		}
		if err != nil {
			return
		}
		if c.timer != nil {
			c.timer.Reset(l.idle)
		}
		if _, err := to.Write(p[:n]); err != nil {
			return
		}
	}
}

func (c *call) hangUp() {
	_ = c.near.Close()
	_ = c.far.Close()
}

// freeze stops what is on its way now and later in every connection there is,
// and closes none. New ones pass.
func (l *line) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.calls {
		select {
		case <-c.frozen:
		default:
			close(c.frozen)
		}
	}
}

// cut hangs up every connection there is.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.calls {
		c.hangUp()
	}
}

// lead passes new connections on to another target.
func (l *line) lead(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = target
}

// idleCuts is how many connections were cut for being idle.
func (l *line) idleCuts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cuts
}
