//go:build unix

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	lockTries = 10
	lockPause = 20 * time.Millisecond
)

// lockDir keeps a second vCenter out of a folder that one is using. The lock
// goes with the process, however it ends.
func lockDir(dir string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the lab's own folder
	if err != nil {
		return nil, fmt.Errorf("lab: lock folder: %w", err)
	}
	// Whoever sweeps scratch folders holds the lock for an instant.
	for try := 0; ; try++ {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if try == lockTries {
			_ = f.Close()
			return nil, fmt.Errorf("lab: %s is in use by another vCenter: %w", dir, err)
		}
		time.Sleep(lockPause)
	}
	return func() { _ = f.Close() }, nil
}

// apart keeps a child out of the terminal's process group: Ctrl-C is for the
// parent, which ends its children in order.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
