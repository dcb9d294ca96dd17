package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/vishvananda/netlink"
)

// insideVariable says that the program runs in a network of its own.
const insideVariable = "MILLWRIGHT_BENCH_INSIDE"

// inOwnNetwork runs the program again, in a network namespace that has a
// loopback and nothing else, and returns its exit code. There the congestion
// control is Reno, which every kernel has: a machine whose default is BBR paces
// each connection, on the loopback by a timer for each segment, and then the
// timers are measured and not the programs. It says false where that can't be
// had, as for want of root; the benchmarks then run where they are.
func inOwnNetwork() (code int, done bool) {
	if os.Getenv(insideVariable) != "" {
		return 0, false
	}
	program, err := os.Executable()
	if err != nil {
		return 0, false
	}
	cmd := exec.Command(program, os.Args[1:]...) // #nosec G204 -- itself
	cmd.Env = append(os.Environ(), insideVariable+"=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "no network of its own, so congestion control is the machine's:", err)
		return 0, false
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, true
	}
	return cmd.ProcessState.ExitCode(), true
}

// prepareNetwork makes the new network usable.
func prepareNetwork() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("reno"), 0)
}
