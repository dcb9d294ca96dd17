package testkit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"crypto/tls"

	"github.com/millwright/millwright/internal/lab"
)

// binary builds the portal once per test process, into the build cache's care.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "millwright-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "millwright")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "github.com/millwright/millwright/cmd/millwright") // #nosec G204 -- fixed program
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &exec.ExitError{Stderr: out}
	}
	return path, nil
})

// Binary is the path of the real portal, built from this tree; or the one that
// MILLWRIGHT_BINARY names.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("MILLWRIGHT_BINARY"); path != "" {
		return path
	}
	path, err := binary()
	if err != nil {
		t.Fatalf("build the portal: %v", err)
	}
	return path
}

// Process is a running program of ours.
type Process struct {
	Cmd    *exec.Cmd
	Lines  chan string // its standard output
	stdin  io.WriteCloser
	stderr *lockedBuffer
	ended  chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Run starts the portal's binary; the test's end kills it.
func Run(t testing.TB, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{Cmd: exec.Command(Binary(t), args...), Lines: make(chan string, 100), stderr: &lockedBuffer{}, ended: make(chan struct{})} // #nosec G204 -- our own
	p.Cmd.Env = append(os.Environ(), env...)
	p.Cmd.Stderr = p.stderr
	var err error
	if p.stdin, err = p.Cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.Lines <- s.Text()
		}
		close(p.Lines)
		_ = p.Cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			log := p.stderr.String()
			t.Logf("%v said:\n%s", args[:1], log[max(0, len(log)-6000):])
		}
	})
	return p
}

// Kill ends the process as kill -9 does, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill()
	<-p.ended
}

// Stop asks it to end, as an update does, and reports whether it went by itself.
func (p *Process) Stop(patience time.Duration) bool {
	_ = p.Cmd.Process.Signal(syscall.SIGTERM)
	return p.Wait(patience)
}

// Say writes text to its standard input and closes it.
func (p *Process) Say(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(p.stdin, text); err != nil {
		t.Fatal(err)
	}
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
}

// Wait reports whether it ends well by itself in time.
func (p *Process) Wait(patience time.Duration) bool {
	select {
	case <-p.ended:
		return p.Cmd.ProcessState.Success()
	case <-time.After(patience):
		return false
	}
}

// Log is what it wrote to standard error so far.
func (p *Process) Log() string { return p.stderr.String() }

// WaitLine returns the first line of output that has the prefix.
func (p *Process) WaitLine(t testing.TB, prefix string, patience time.Duration) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.Lines:
			if !ok {
				t.Fatalf("ended before %q:\n%s", prefix, p.Log())
			}
			if strings.HasPrefix(line, prefix) {
				return line
			}
		case <-timeout:
			t.Fatalf("no %q within %s:\n%s", prefix, patience, p.Log())
		}
	}
}

// LabVCenter is a simulated vCenter in a process of its own, which outlives
// the portal.
type LabVCenter struct {
	lab.Info
	Process *Process
	client  *http.Client
}

// RunLabVCenter starts one with the given flags.
func RunLabVCenter(t testing.TB, flags ...string) *LabVCenter {
	t.Helper()
	args := append([]string{"lab-vcenter", "--dir", t.TempDir(), "--end-with-stdin"}, flags...)
	v := &LabVCenter{Process: Run(t, nil, args...)}
	if err := json.Unmarshal([]byte(v.Process.WaitLine(t, "{", 30*time.Second)), &v.Info); err != nil {
		t.Fatal(err)
	}
	v.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // #nosec G402 -- our own process on loopback
	}}
	return v
}

// Machines lists what the vCenter holds, templates excepted.
func (v *LabVCenter) Machines(t testing.TB) []lab.Machine {
	t.Helper()
	var list []lab.Machine
	text := v.call(t, http.MethodGet, "/lab/machines", nil)
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// Faults makes the vCenter misbehave.
func (v *LabVCenter) Faults(t testing.TB, f lab.FaultRequest) {
	t.Helper()
	body, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	v.call(t, http.MethodPost, "/lab/faults", body)
}

func (v *LabVCenter) call(t testing.TB, method, path string, body []byte) []byte {
	t.Helper()
	u, err := url.Parse(v.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path, u.User = path, nil
	req, err := http.NewRequestWithContext(context.Background(), method, u.String(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(v.Username, v.Password)
	res, err := v.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s %v", method, path, res.Status, text, err)
	}
	return text
}

// Visitor is a browser without a screen: it keeps cookies and follows no
// redirect.
type Visitor struct {
	URL    string
	client *http.Client
}

// NewVisitor visits the portal at url.
func NewVisitor(t testing.TB, portal string) *Visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Visitor{URL: portal, client: &http.Client{Jar: jar, Timeout: 60 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Rebase keeps the cookies and goes on with a portal that was started again.
func (v *Visitor) Rebase(to *Visitor) { v.URL = to.URL; v.client.CloseIdleConnections() }

// Answer is what came back.
type Answer struct {
	Status   int
	Location string
	Body     string
	Header   http.Header
}

// Get fetches a page.
func (v *Visitor) Get(path string) (Answer, error) { return v.do(http.MethodGet, path, nil) }

// Post sends a form.
func (v *Visitor) Post(path string, form url.Values) (Answer, error) {
	return v.do(http.MethodPost, path, form)
}

func (v *Visitor) do(method, path string, form url.Values) (Answer, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, v.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		return Answer{}, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", v.URL)
	}
	res, err := v.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return Answer{Status: res.StatusCode, Location: res.Header.Get("Location"), Body: string(body), Header: res.Header}, err
}

// SignIn signs in by the form.
func (v *Visitor) SignIn(t testing.TB, email, password string) {
	t.Helper()
	a, err := v.Post("/sign-in", url.Values{"email": {email}, "password": {password}})
	if err != nil || a.Status != http.StatusSeeOther {
		t.Fatalf("sign in as %s: %d %v", email, a.Status, err)
	}
}

// Cookies is what the visitor would send along, as one header.
func (v *Visitor) Cookies(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(v.URL)
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, c := range v.client.Jar.Cookies(u) {
		parts = append(parts, c.Name+"="+c.Value)
	}
	return strings.Join(parts, "; ")
}
