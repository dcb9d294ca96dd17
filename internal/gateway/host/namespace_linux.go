package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespacePrefix begins the names of our namespaces.
const namespacePrefix = "mw-"

const namespaceDir = "/run/netns"

// namespace is an org's.
type namespace struct {
	path string
}

func namespaceOf(key string) namespace {
	return namespace{path: filepath.Join(namespaceDir, namespacePrefix+key)}
}

// ensure makes the namespace if it isn't there, and says whether it made it.
func (n namespace) ensure() (bool, error) {
	if n.alive() {
		return false, nil
	}
	// A file without a namespace is left from before a reboot.
	if err := os.Remove(n.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("namespace: %w", err)
	}
	err := apart(func() error {
		handle, err := netns.NewNamed(filepath.Base(n.path))
		if err != nil {
			return fmt.Errorf("make namespace: %w", err)
		}
		return handle.Close()
	})
	return err == nil, err
}

func (n namespace) alive() bool {
	var s unix.Statfs_t
	return unix.Statfs(n.path, &s) == nil && s.Type == unix.NSFS_MAGIC
}

// inode identifies the namespace as long as it lives.
func (n namespace) inode() uint64 {
	var s unix.Stat_t
	if unix.Stat(n.path, &s) != nil {
		return 0
	}
	return s.Ino
}

func (n namespace) remove() error {
	if err := netns.DeleteNamed(filepath.Base(n.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove namespace: %w", err)
	}
	return nil
}

// apart runs f on a thread of its own, which ends with it: whatever f did to
// the thread's namespace is gone with the thread.
func apart(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- f()
	}()
	return <-done
}

// do runs f inside the namespace. Sockets and processes that f makes stay
// there.
func (n namespace) do(f func() error) error {
	return apart(func() error {
		handle, err := netns.GetFromPath(n.path)
		if err != nil {
			return fmt.Errorf("open namespace: %w", err)
		}
		defer handle.Close() //nolint:errcheck // a descriptor
		if err := netns.Set(handle); err != nil {
			return fmt.Errorf("enter namespace: %w", err)
		}
		return f()
	})
}

// handles opens netlink to the namespace for the time of f. It is not kept:
// an open socket would keep a deleted namespace, and its links, alive.
func (n namespace) handles(f func(*netlink.Handle, netns.NsHandle) error) error {
	file, err := netns.GetFromPath(n.path)
	if err != nil {
		return fmt.Errorf("open namespace: %w", err)
	}
	defer file.Close() //nolint:errcheck // a descriptor
	handle, err := netlink.NewHandleAt(file)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer handle.Close()
	return f(handle, file)
}

// run runs a program inside the namespace and returns what it printed. One
// that takes longer than patience is killed, with all that it started.
func (n namespace) run(ctx context.Context, stdin string, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patienceOf(ctx))
	defer cancel()
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...) // #nosec G204 -- nft or haproxy, with paths of ours
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &complaint
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a child of its own may hold what is read here
	if err := n.do(cmd.Start); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		text := strings.TrimSpace(complaint.String())
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = errTooLong
		}
		return out.String(), &commandError{program: filepath.Base(program), text: text, err: err}
	}
	return out.String(), nil
}

var errTooLong = errors.New("it took too long, and was ended")

// patienceDefault is many times what a few thousand services take.
const patienceDefault = 30 * time.Second

type patienceKey struct{}

// patient gives the programs that are run under ctx so long each.
func patient(ctx context.Context, each time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, each)
}

func patienceOf(ctx context.Context) time.Duration {
	if d, ok := ctx.Value(patienceKey{}).(time.Duration); ok && d > 0 {
		return d
	}
	return patienceDefault
}

// commandError carries what a program complained of, whole.
type commandError struct {
	program, text string
	err           error
}

func (e *commandError) Error() string {
	text := e.text
	if len(text) > 600 {
		text = text[:600] + "…"
	}
	return fmt.Sprintf("%s: %v: %s", e.program, e.err, text)
}

func (e *commandError) Unwrap() error { return e.err }

// sysctls of an org's namespace.
//
//   - ip_nonlocal_bind: one address that isn't there yet would pause all of
//     HAProxy's listeners on reload.
//   - nf_conntrack_tcp_loose: a reply whose connection was swept would be taken
//     for a new one, and leave under another address.
//   - promote_secondaries: a network's old gateway address would take its new
//     one along.
//   - arp_ignore: the uplink must not answer for private addresses.
var sysctls = [][2]string{
	{"net.ipv6.conf.all.disable_ipv6", "1"},
	{"net.ipv4.ip_forward", "1"},
	{"net.ipv4.ip_nonlocal_bind", "1"},
	{"net.ipv4.conf.all.rp_filter", "1"},
	{"net.ipv4.conf.default.rp_filter", "1"},
	{"net.ipv4.conf.all.arp_ignore", "1"},
	{"net.ipv4.conf.all.arp_announce", "2"},
	{"net.ipv4.conf.default.arp_notify", "1"},
	{"net.ipv4.conf.all.accept_redirects", "0"},
	{"net.ipv4.conf.all.send_redirects", "0"},
	{"net.ipv4.conf.default.send_redirects", "0"},
	{"net.ipv4.conf.all.promote_secondaries", "1"},
	{"net.ipv4.ip_local_port_range", "10240 65535"},
	{"net.netfilter.nf_conntrack_tcp_loose", "0"},
	{"net.netfilter.nf_conntrack_acct", "1"},
}

// optional ones exist only where the module is.
var optional = [][2]string{
	{"net.bridge.bridge-nf-call-iptables", "0"},
	{"net.bridge.bridge-nf-call-arptables", "0"},
}

// settle writes the sysctls that differ and names them.
func (n namespace) settle() (changed []string, err error) {
	err = n.do(func() error {
		for _, s := range append(append([][2]string{}, sysctls...), optional...) {
			path := "/proc/sys/" + strings.ReplaceAll(s[0], ".", "/")
			now, err := os.ReadFile(path) // #nosec G304 -- one of the sysctls above
			if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(s[0], "net.bridge.") {
				continue
			}
			if err != nil {
				return fmt.Errorf("sysctl: %w", err)
			}
			if strings.Join(strings.Fields(string(now)), " ") == s[1] {
				continue
			}
			if err := os.WriteFile(path, []byte(s[1]), 0); err != nil {
				return fmt.Errorf("sysctl: %w", err)
			}
			changed = append(changed, "sysctl "+s[0])
		}
		return nil
	})
	return changed, err
}

// end kills the processes of ours inside the namespace.
func (n namespace) end(programs ...string) {
	if inode := n.inode(); inode != 0 {
		endWhere("net:["+strconv.FormatUint(inode, 10)+"]", programs...)
	}
}

// endPatience is for a killed process to be gone, and its sockets with it.
const endPatience = 3 * time.Second

// endWhere kills processes with one of the texts in their command line, in one
// namespace or, where that is empty, in any: also in one that has lost its name
// and lives on by them. It returns when they are gone.
func endWhere(namespace string, programs ...string) {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range list {
		dir := filepath.Dir(path)
		line, err := os.ReadFile(path) // #nosec G304 -- in /proc
		if err != nil || !slices.ContainsFunc(programs, func(text string) bool { return bytes.Contains(line, []byte(text)) }) {
			continue
		}
		if at, err := os.Readlink(filepath.Join(dir, "ns/net")); err != nil || namespace != "" && at != namespace {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
		for deadline := time.Now().Add(endPatience); syscall.Kill(pid, 0) == nil && time.Now().Before(deadline); {
			if state, err := os.ReadFile(filepath.Join(dir, "stat")); err == nil && bytes.Contains(state, []byte(") Z ")) { // #nosec G304 -- in /proc
				break // dead; its parent hasn't looked yet
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}
