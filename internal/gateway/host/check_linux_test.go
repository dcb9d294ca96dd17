package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/millwright/millwright/internal/testkit"
)

// millwright edge --check names each thing that a gateway needs, what it found
// and what to do, and its exit code says whether all is there.
func TestCheckSaysWhatTheHostLacks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	check := func(user uint32, flags ...string) (map[string][2]string, int) {
		t.Helper()
		cmd := exec.Command(testkit.Binary(t), append([]string{"edge", "--check", "--state", t.TempDir(), "--sockets", t.TempDir()}, flags...)...)
		if user != 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		}
		var out strings.Builder
		cmd.Stdout = &out
		r.must(r.gateway.do(cmd.Start))
		err := cmd.Wait()
		if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
		found := map[string][2]string{}
		for line := range strings.Lines(out.String()) {
			mark, rest, _ := strings.Cut(strings.TrimSpace(line), "  ")
			name, detail, _ := strings.Cut(strings.TrimSpace(rest), "  ")
			found[name] = [2]string{mark, strings.TrimSpace(detail)}
		}
		return found, cmd.ProcessState.ExitCode()
	}
	here := []string{"--uplink", "up", "--trunk", "cloud0=trunk0"}

	// VLANs are the kernel's affair: found out by trying one here.
	vlan := r.namespace("vlan").handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		lo, err := in.LinkByName("lo")
		if err != nil {
			return err
		}
		a := netlink.NewLinkAttrs()
		a.Name, a.ParentIndex = "v7", lo.Attrs().Index
		return in.LinkAdd(&netlink.Vlan{LinkAttrs: a, VlanId: 7, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	})
	found, code := check(0, here...)
	for _, name := range []string{"root", "nftables", "haproxy", "tun", "connection tracking", "uplink", "trunk of cloud0", "network namespaces", "sysctls",
		"address translation", "transparent proxy", "connection marks", "interval sets", "connection timeouts", "VLANs"} {
		want := "ok"
		if name == "VLANs" && vlan != nil {
			want = "MISSING"
		}
		if got := found[name]; got[0] != want || got[1] == "" {
			t.Errorf("%s: %q, want %s and a word on it", name, got, want)
		}
	}
	if vlan != nil && !strings.Contains(found["VLANs"][1], "8021q") {
		t.Errorf("without VLANs it says %q", found["VLANs"][1])
	}
	if want := map[bool]int{true: 0, false: 1}[vlan == nil]; code != want {
		t.Errorf("it ends with %d, want %d", code, want)
	}

	for _, c := range []struct {
		flags        []string
		name, remedy string
	}{
		{[]string{"--uplink", "nowhere"}, "uplink", "nowhere"},
		{append(here, "--trunk", "cloud9=elsewhere"), "trunk of cloud9", "elsewhere"},
		{append(here, "--nft", "/nonexistent/nft"), "nftables", "install the package nftables"},
		{append(here, "--haproxy", "/nonexistent/haproxy"), "haproxy", "install the package haproxy"},
	} {
		found, code := check(0, c.flags...)
		if got := found[c.name]; got[0] != "MISSING" || !strings.Contains(got[1], c.remedy) || code != 1 {
			t.Errorf("%v: %s is %q, the exit code %d", c.flags, c.name, got, code)
		}
	}
}

// The suite itself: where it may not make namespaces it says so in one line,
// and fails in CI only.
func TestSuiteSaysWhereItCantRun(t *testing.T) {
	t.Parallel()
	// A copy that others may run; the build's own folder is closed to them.
	dir, err := os.MkdirTemp("/tmp", "mwt-suite-") //nolint:usetesting // closed to others as well
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "suite.test")
	text, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(program, text, 0o755)) // for nobody to run
	}
	if err != nil {
		t.Fatal(err)
	}
	for ci, want := range map[string]int{"": 0, "true": 1} {
		cmd := exec.Command(program, "-test.run", "TestServicesReachTheirOwnOrgsMachines")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CI="+ci)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != want || strings.Count(string(out), "\n") != 1 || !strings.HasPrefix(string(out), "network namespaces can't be made here") {
			t.Errorf("with CI=%s it ends with %d and says %q", ci, got, out)
		}
	}
}
