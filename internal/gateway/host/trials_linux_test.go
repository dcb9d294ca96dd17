package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// Whatever is taken away from a host, --check names it in one line with what to
// do, and ends with 1.
func TestCheckNamesWhatIsTakenAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	dir := t.TempDir()
	script := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		r.must(os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
		return path
	}
	// check runs it behind prelude, in a mount namespace of its own.
	check := func(prelude, path string, flags ...string) (lines map[string]string, code int) {
		t.Helper()
		args := append([]string{"-c", "mount --make-rprivate / && " + prelude + `PATH="$LATER" exec "$0" "$@"`, testkit.Binary(t), "edge", "--check", "--state", t.TempDir(), "--sockets", t.TempDir(),
			"--uplink", "up", "--trunk", "cloud0=trunk0"}, flags...)
		cmd := exec.Command("/bin/sh", args...)
		cmd.Env = append(os.Environ(), "LATER="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		var out strings.Builder
		cmd.Stdout = &out
		r.must(r.gateway.do(cmd.Start))
		if e := (*exec.ExitError)(nil); !errors.As(cmd.Wait(), &e) && cmd.ProcessState == nil {
			t.Fatal("it did not run")
		}
		lines = map[string]string{}
		for line := range strings.Lines(out.String()) {
			mark, rest, _ := strings.Cut(strings.TrimSpace(line), "  ")
			name, detail, _ := strings.Cut(strings.TrimSpace(rest), "  ")
			lines[name] = mark + " " + strings.TrimSpace(detail)
		}
		return lines, cmd.ProcessState.ExitCode()
	}
	whole := os.Getenv("PATH")
	names := []string{"macvlan", "TUN device", "connection accounting", "binding ahead", "ending connections", "reading connections", "proxying", "splice", "client addresses"}
	lines, _ := check("", whole)
	for _, name := range names {
		if !strings.HasPrefix(lines[name], "ok ") || lines[name] == "ok " {
			t.Errorf("%s: %q", name, lines[name])
		}
	}
	old := func(program, version string) string {
		return script(program+"-old", `case "$1" in -v|--version) echo "`+version+`";; *) exec `+program+` "$@";; esac`)
	}
	without := script("haproxy-without", `if [ "$1" = -vv ]; then haproxy -vv | sed 's/+LINUX_SPLICE/-LINUX_SPLICE/'; else exec haproxy "$@"; fi`)
	refuses := script("haproxy-refuses", `if [ "$1" = -c ]; then echo "[ALERT] unknown keyword 'redispatch'" >&2; exit 1; fi; exec haproxy "$@"`)
	for what, c := range map[string]struct {
		prelude, path string
		flags         []string
		missing       map[string]string // name → word of its line
	}{
		"no programs in PATH":         {"", "/nonexistent", nil, map[string]string{"haproxy": "install the package haproxy", "nftables": "install the package nftables", "splice": "package haproxy"}},
		"an old HAProxy":              {"", whole, []string{"--haproxy", old("haproxy", "HAProxy version 2.4.9 2021/11/23")}, map[string]string{"haproxy": "2.6 or newer"}},
		"an old nft":                  {"", whole, []string{"--nft", old("nft", "nftables v0.9.8 (E.D.S.)")}, map[string]string{"nftables": "1.0.6 or newer"}},
		"an nft that was never fixed": {"", whole, []string{"--nft", old("nft", "nftables v1.0.2 (Lester Gooch)")}, map[string]string{"nftables": "1.0.6 or newer"}},
		"HAProxy without splicing":    {"", whole, []string{"--haproxy", without}, map[string]string{"splice": "LINUX_SPLICE"}},
		"HAProxy that refuses":        {"", whole, []string{"--haproxy", refuses}, map[string]string{"proxying": "redispatch"}},
		"no TUN":                      {"mount -t tmpfs none /dev/net && ", whole, nil, map[string]string{"TUN device": "module tun", "tun": "module tun"}},
		"no sysctls": {"mount -t tmpfs none /proc/sys && ", whole, nil, map[string]string{"connection accounting": "module nf_conntrack", "connection tracking": "module nf_conntrack",
			"binding ahead": "ip_nonlocal_bind", "sysctls": "disable_ipv6"}},
		"no uplink": {"", whole, []string{"--uplink", "nowhere"}, map[string]string{"macvlan": "nowhere", "uplink": "nowhere"}},
	} {
		lines, code := check(c.prelude, c.path, c.flags...)
		for name, word := range c.missing {
			if !strings.HasPrefix(lines[name], "MISSING ") || !strings.Contains(lines[name], word) {
				t.Errorf("%s: %s is %q, want a word of %q", what, name, lines[name], word)
			}
		}
		if code != 1 {
			t.Errorf("%s: it ends with %d", what, code)
		}
	}
}
