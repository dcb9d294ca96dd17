package forward

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// web is a machine whose HTTP server tells what it was asked.
func (g *guests) web(org, address, name string) (off func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/never":
			_ = http.NewResponseController(w).Flush()
			<-q.Context().Done()
		case "/upgrade":
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_ = rw.Flush()
			line, _ := rw.ReadString('\n')
			_, _ = c.Write([]byte(name + " " + line))
		case "/die":
			panic(http.ErrAbortHandler)
		default:
			if host, asked := strings.CutPrefix(q.URL.Path, "/called/"); asked && q.Host != host {
				w.WriteHeader(http.StatusMisdirectedRequest)
			}
			body, _ := io.ReadAll(q.Body)
			fmt.Fprintf(w, "%s %s %v %s %s", name, q.Host, q.Header["X-Forwarded-For"], q.Header.Get("X-Own"), body)
		}
	})}
	go func() { _ = server.Serve(l) }()
	g.mu.Lock()
	g.at[org+" tcp "+address+":80"] = l.Addr().String()
	g.mu.Unlock()
	off = func() { _ = server.Close() }
	g.t.Cleanup(off)
	return off
}

// An HTTP service is carried as a gateway host carries it: each request of a
// connection finds its own node, and is told who came, whatever the client
// claims.
func TestLabHTTPGoesByRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	off := r.guests.web("org-0", "10.0.0.5", "a")
	r.guests.web("org-0", "10.0.0.6", "b")
	s := r.service("web", 1, edge.ProtocolHTTP, r.public(1), 8080, 80, "10.0.0.5", "10.0.0.6")
	r.orgs[0].Services = []edge.Service{s}
	r.want()
	at := r.public(1) + ":8080"
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 1}}
	ask := func(method, path string) (string, error) {
		q, err := http.NewRequest(method, "http://"+at+path, strings.NewReader("said"))
		if err != nil {
			return "", err
		}
		q.Host = "shop.example"
		q.Header.Set("X-Forwarded-For", "192.0.2.66")
		q.Header.Set("X-Own", "kept")
		res, err := client.Do(q)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return string(text), err
	}
	for i := range 4 {
		text, err := ask(http.MethodPost, "/")
		want := []string{"a", "b"}
		if err != nil || text[1:] != " shop.example [127.0.0.1] kept said" || (text[:1] != want[0] && text[:1] != want[1]) {
			t.Errorf("request %d: %q, %v", i, text, err)
		}
	}
	st := r.status(func(s edge.Status) bool {
		v := s.Orgs[0].Services[0]
		return v.Total == 1 && v.Open == 1 && v.Nodes[0].Total == 2 && v.Nodes[1].Total == 2 && v.Nodes[0].Open == 0
	})
	if v := st.Orgs[0].Services[0]; v.BytesIn == 0 || v.BytesOut == 0 || v.Nodes[0].BytesIn == 0 || v.Nodes[1].BytesOut == 0 {
		t.Errorf("counted %+v", v)
	}

	// What was upgraded flows both ways.
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(c, "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	br := bufio.NewReader(c)
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v, %v", res, err)
	}
	_, _ = io.WriteString(c, "hello\n")
	if line, err := br.ReadString('\n'); err != nil || !strings.HasSuffix(line, " hello\n") {
		t.Errorf("after the upgrade: %q, %v", line, err)
	}

	// A machine goes: no request that may be asked twice fails.
	off()
	for i := range 50 {
		if text, err := ask(http.MethodGet, "/"); err != nil || text[:1] != "b" {
			t.Fatalf("request %d after a machine went: %q, %v", i, text, err)
		}
	}
	r.status(func(s edge.Status) bool { return s.Orgs[0].Services[0].Nodes[0].State == edge.NodeDown })
	if text, err := ask(http.MethodPost, "/die"); err == nil {
		t.Errorf("a request that can't be asked twice is answered %q", text)
	}

	// Disabled: what is on its way ends; with none left there is a reset.
	res, err := http.Get("http://" + at + "/never")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r.status(func(s edge.Status) bool { return s.Orgs[0].Services[0].Nodes[1].Open == 1 })
	r.orgs[0].Services[0].Nodes[1].Enabled = false
	r.want()
	if _, err := res.Body.Read(make([]byte, 1)); err == nil {
		t.Error("an answer of a disabled node goes on")
	}
	if _, err := get(at); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("with no node left: %v", err)
	}
}

// The idle timeout ends an answer that doesn't go on, and a connection that
// asks nothing more; a source that is listed no more loses its connection.
func TestLabHTTPEndsWhatIsSilentOrMayNotCome(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.guests.web("org-0", "10.0.0.5", "a")
	s := r.service("web", 1, edge.ProtocolHTTP, r.public(1), 8080, 80, "10.0.0.5")
	s.IdleTimeoutSeconds = 1
	r.orgs[0].Services = []edge.Service{s}
	r.want()
	at := r.public(1) + ":8080"
	open := func(path string) (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(8 * time.Second))
		_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		br := bufio.NewReader(c)
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if path == "/" {
			_, _ = io.Copy(io.Discard, res.Body)
		}
		return c, br
	}
	for _, path := range []string{"/never", "/"} {
		_, br := open(path)
		began := time.Now()
		_, err := br.ReadByte()
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: after %s it is still open: %v", path, time.Since(began), err)
		}
	}
	r.orgs[0].Services[0].IdleTimeoutSeconds = 60
	r.want()
	_, br := open("/")
	r.orgs[0].Services[0].Sources = []string{"203.0.113.0/24"}
	r.want()
	if _, err := br.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a source that is listed no more keeps its connection: %v", err)
	}
}

// The check calls the node by the service's public address, as on a gateway
// host; so does a probe.
func TestLabHealthCheckCallsTheServiceByItsAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.guests.web("org-0", "10.0.0.5", "a5")
	s := r.service("web", 1, edge.ProtocolHTTP, r.public(1), 8080, 80, "10.0.0.5")
	path := "/called/" + s.PublicIP
	for want, monitor := range map[string]*edge.Monitor{edge.NodeUp: {Kind: "http", Path: path}, edge.NodeDown: {Kind: "http", Path: path + "0"}} {
		s.Monitor = monitor
		r.orgs[0].Services = []edge.Service{s}
		r.orgs[0].Probes = []edge.Probe{{ID: "p-" + want, Address: "10.0.0.5", Port: 80, Protocol: edge.ProtocolHTTP, Monitor: monitor, Host: s.PublicIP}}
		r.want()
		r.status(func(status edge.Status) bool {
			o := status.Orgs[0]
			return len(o.Services) == 1 && len(o.Services[0].Nodes) == 1 && o.Services[0].Nodes[0].State == want &&
				len(o.Probes) == 1 && o.Probes[0].ID == "p-"+want && o.Probes[0].OK == (want == edge.NodeUp)
		})
	}
}
