package testkit

import (
	"context"
	"net"
	"sync"
	"testing"
)

// Pipes is a listener whose connections hold nothing: what the other end
// doesn't read isn't written yet.
type Pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

// NewPipes makes one, which is closed with the test.
func NewPipes(t testing.TB) *Pipes {
	t.Helper()
	p := &Pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	t.Cleanup(p.close)
	return p
}

// Accept waits for the next Dial.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial.
func (p *Pipes) Close() error {
	p.close()
	return nil
}

// Addr is nowhere.
func (p *Pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// Dial connects, wherever to.
func (p *Pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
