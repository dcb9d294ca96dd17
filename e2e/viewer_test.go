package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// A real VNC viewer, TigerVNC's, on a display of its own, shows a machine's
// screen over the bridge; and the command without a bridge prints a ticket.
func TestVNCViewerShowsTheScreenOverTheBridge(t *testing.T) {
	t.Parallel()
	portal := testkit.Run(t, nil, "demo", "--addr", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"), "--seed-machines", "3", "--guest-boot-delay", "100ms")
	base := strings.TrimPrefix(portal.WaitLine(t, "ready ", 2*time.Minute), "ready ")
	visitor := testkit.NewVisitor(t, base)
	visitor.SignIn(t, "user@acme.example", "millwright")
	made, err := visitor.Post("/account/tokens", url.Values{"name": {"viewer"}, "org": {"acme"}, "role": {"user"}})
	token := regexp.MustCompile(`mw_[A-Za-z0-9_-]{43}`).FindString(made.Body)
	if err != nil || token == "" {
		t.Fatalf("no token: %d %v", made.Status, err)
	}
	env := []string{"MILLWRIGHT_TOKEN=" + token, "MILLWRIGHT_URL=" + base}

	command := exec.Command(testkit.Binary(t), "console", "acme/web-1")
	command.Env = append(os.Environ(), env...)
	printed, err := command.Output()
	var ticket struct {
		Ticket string `json:"ticket"`
		URL    string `json:"url"`
		Mode   string `json:"mode"`
	}
	if err != nil || json.Unmarshal(printed, &ticket) != nil || len(ticket.Ticket) != 43 || !strings.HasSuffix(ticket.URL, "/console") {
		t.Fatalf("it prints %s: %v", printed, err)
	}
	// A machine that is off has no screen, and the portal's own sentence says so.
	list, err := visitor.Get("/orgs/acme/machines?q=web-2")
	row := regexp.MustCompile(`data-machine-id="([^"]+)"`).FindStringSubmatch(list.Body)
	if err != nil || row == nil {
		t.Fatalf("there is no web-2: %v", err)
	}
	if a, err := visitor.Post("/orgs/acme/machines/"+row[1]+"/power", url.Values{"op": {"stop"}, "confirm": {"yes"}}); err != nil || a.Status != http.StatusSeeOther {
		t.Fatalf("power off: %d %v", a.Status, err)
	}
	watch(t, visitor, "/orgs/acme/machines/"+row[1], "stopped", is("stopped"))
	for _, c := range []struct {
		machine, token, says string
		exit                 int
	}{
		{"acme/nothing", token, "no machine", 4}, {"globex/shop-1", token, "no such org or machine", 4}, {"acme", token, "ORG/MACHINE", 2},
		{"acme/web-2", token, "web-2 is stopped", 5}, {"acme/web-1", "mw_" + strings.Repeat("A", 43), "token", 3},
	} {
		command := exec.Command(testkit.Binary(t), "console", "--url", base, "--token", c.token, c.machine)
		out, _ := command.CombinedOutput()
		if got := command.ProcessState.ExitCode(); got != c.exit || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: exit code %d, want %d and %q: %s", c.machine, got, c.exit, c.says, out)
		}
	}

	bridge := testkit.Run(t, env, "console", "--listen", "127.0.0.1:0", "acme/web-1")
	address := strings.TrimPrefix(bridge.WaitLine(t, "ready ", 30*time.Second), "ready ")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	view := exec.Command("xtigervncviewer", "-Shared", "-Log", "*:stderr:100", "-SecurityTypes", "None", host+"::"+port)
	view.Env = append(os.Environ(), "DISPLAY="+display(t), "HOME="+t.TempDir())
	said := &lockedText{}
	view.Stderr = said
	if err := view.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = view.Process.Kill(); _ = view.Wait() })
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(said.String(), "pixel format") {
		if time.Now().After(deadline) {
			t.Fatalf("the viewer shows nothing:\n%s\n%s", said, bridge.Log())
		}
		time.Sleep(50 * time.Millisecond)
	}
	// The portal knows of it, and has sent it a picture.
	admin := testkit.NewVisitor(t, base)
	admin.SignIn(t, "admin@acme.example", "millwright")
	sent := regexp.MustCompile(`data-label="Sent"[^>]*>[0-9.]+ KiB`)
	for {
		page, err := admin.Get("/orgs/acme/consoles")
		if err != nil || page.Status != http.StatusOK {
			t.Fatalf("consoles: %d %v", page.Status, err)
		}
		if strings.Contains(page.Body, "web-1") && sent.MatchString(page.Body) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the portal does not list it:\n%s", said)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if text := bridge.Log() + portal.Log(); strings.Contains(text, token) || strings.Contains(text, ticket.Ticket) {
		t.Error("token or ticket is in a log")
	}
	var local net.Conn
	if local, err = net.Dial("tcp", address); err != nil { // another viewer beside it
		t.Fatal(err)
	}
	defer func() { _ = local.Close() }()
	greeting := make([]byte, 12)
	_ = local.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.ReadFull(local, greeting); err != nil || !bytes.HasPrefix(greeting, []byte("RFB 003.008")) {
		t.Errorf("a second viewer reads %q: %v", greeting, err)
	}
}

// lockedText is written by a program while the test reads it.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// display is an X display that nobody sees.
func display(t *testing.T) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1024x768x24", "-nolisten", "tcp")
	server.ExtraFiles = []*os.File{write}
	if err := server.Start(); err != nil {
		t.Fatalf("a display for the viewer (Debian's xvfb): %v", err)
	}
	_ = write.Close()
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait(); _ = read.Close() })
	number, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return ":" + strings.TrimSpace(number)
}
