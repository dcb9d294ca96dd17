package console

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// boundSilence has the kernel give up a connection whose other end has not
// acknowledged anything for d. The pings make it be asked: a host that lost its
// power answers nothing, and without this the kernel would go on trying for a
// quarter of an hour.
func boundSilence(raw syscall.RawConn, d time.Duration) error {
	var refused error
	err := raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds())) // #nosec G115 -- a descriptor
	})
	if err != nil {
		return err
	}
	return refused
}
