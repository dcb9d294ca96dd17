package console

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A host that lost its power acknowledges no ping: the kernel gives it up as
// soon as a silent one would be.
func TestUnacknowledgedHypervisorIsGivenUp(t *testing.T) {
	t.Parallel()
	host := newHypervisor(t)
	screen, err := host.screen()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := New(nil, nil, Options{}).dialPinned(context.Background(), screen)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*tls.Conn).NetConn().(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	within := 0
	if gone := raw.Control(func(fd uintptr) { within, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); gone != nil || err != nil {
		t.Fatal(gone, err)
	}
	if want := int(production.read / time.Millisecond); within != want {
		t.Errorf("given up after %d ms, want %d", within, want)
	}
}
