//go:build !linux

package console

import (
	"syscall"
	"time"
)

// boundSilence is Linux's: elsewhere the kernel's own patience counts.
func boundSilence(syscall.RawConn, time.Duration) error { return nil }
