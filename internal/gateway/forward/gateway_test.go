package forward

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
)

// guests are machines of a test: listeners on loopback.
type guests struct {
	t  *testing.T
	mu sync.Mutex
	at map[string]string // org, network, address and port → where

	forgotten []string
}

func (g *guests) Locate(_ context.Context, org, network string, at netip.AddrPort) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if where := g.at[org+" "+network+" "+at.String()]; where != "" {
		return where, nil
	}
	return "", errors.New("off")
}

func (g *guests) Forget(org string, address netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forgotten = append(g.forgotten, org+" "+address.String())
}

// A machine that was located and does not answer is forgotten, so that it is
// looked for anew; one that was not even located is not.
func TestWhoDoesNotAnswerIsForgotten(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	at := &guests{t: t, at: map[string]string{"acme tcp 10.0.0.5:80": nobody}}
	g := New(at, Options{})
	defer func() { _ = g.Close() }()
	for _, address := range []string{"10.0.0.5", "10.0.0.6"} {
		if c, err := g.dial(t.Context(), "acme", "tcp", address, 80); err == nil {
			_ = c.Close()
			t.Errorf("%s answers", address)
		}
	}
	if len(at.forgotten) != 1 || at.forgotten[0] != "acme 10.0.0.5" {
		t.Errorf("forgotten: %q", at.forgotten)
	}
}

// machine answers HTTP with its name; off cuts its power.
func (g *guests) machine(org, address, name string) (off func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/stay" {
			_ = http.NewResponseController(w).Flush()
			<-q.Context().Done()
		}
		_, _ = io.WriteString(w, name)
	})}
	go func() { _ = server.Serve(l) }()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo([]byte(name+" "+string(b[:n])), from)
		}
	}()
	g.mu.Lock()
	g.at[org+" tcp "+address+":80"] = l.Addr().String()
	g.at[org+" udp "+address+":7"] = c.LocalAddr().String()
	g.mu.Unlock()
	off = func() {
		g.mu.Lock()
		delete(g.at, org+" udp "+address+":7")
		g.mu.Unlock()
		_ = server.Close()
		_ = c.Close()
	}
	g.t.Cleanup(off)
	return off
}

type source struct {
	mu      sync.Mutex
	tag     int
	desired edge.Desired
	news    chan struct{}
	status  edge.Status
	reports chan struct{}
}

func (s *source) Desired(ctx context.Context, etag string, wait time.Duration) (edge.Desired, string, error) {
	for {
		s.mu.Lock()
		tag, d, news := strconv.Itoa(s.tag), s.desired, s.news
		s.mu.Unlock()
		if tag != etag {
			return d, tag, nil
		}
		select {
		case <-news:
		case <-time.After(wait):
			return edge.Desired{}, etag, nil
		case <-ctx.Done():
			return edge.Desired{}, "", ctx.Err()
		}
	}
}

func (s *source) Report(_ context.Context, status edge.Status) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
	close(s.reports)
	s.reports = make(chan struct{})
	return nil
}

// rig is the loop with the lab's gateway, and two orgs on the same addresses.
type rig struct {
	t      *testing.T
	guests *guests
	source *source
	orgs   [2]edge.Org
	base   netip.Addr // a /24 of loopback to itself
}

func newRig(t *testing.T) *rig {
	t.Helper()
	b := make([]byte, 2)
	_, _ = rand.Read(b)
	r := &rig{t: t, guests: &guests{t: t, at: map[string]string{}}, base: netip.AddrFrom4([4]byte{127, 100 + b[0]%100, b[1], 0}),
		source: &source{news: make(chan struct{}), reports: make(chan struct{})}}
	for i := range r.orgs {
		r.orgs[i] = edge.Org{ID: fmt.Sprintf("org-%d", i), Key: fmt.Sprintf("k%d", i), Generation: 1,
			Networks: []edge.Network{{ID: fmt.Sprintf("net-%d", i), Number: 1, Cloud: "public", CIDR: "10.0.0.0/24", Gateway: "10.0.0.1"}}}
	}
	applier := New(r.guests, Options{})
	loop, err := gateway.NewLoop(r.source, applier, gateway.Options{Dir: t.TempDir(), Version: "test", Tick: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, applier.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) public(last byte) string {
	b := r.base.As4()
	b[3] = last
	return netip.AddrFrom4(b).String()
}

func (r *rig) want() {
	r.t.Helper()
	r.source.mu.Lock()
	r.source.desired = edge.Desired{Version: edge.Version}
	for i := range r.orgs {
		r.orgs[i].Generation++
		o := r.orgs[i]
		o.Services = append([]edge.Service(nil), o.Services...)
		for j := range o.Services {
			o.Services[j].Nodes = append([]edge.Node(nil), o.Services[j].Nodes...)
		}
		r.source.desired.Orgs = append(r.source.desired.Orgs, o)
	}
	r.source.tag++
	close(r.source.news)
	r.source.news = make(chan struct{})
	r.source.mu.Unlock()
	r.status(func(s edge.Status) bool {
		for i, o := range s.Orgs {
			if o.Applied != r.orgs[i].Generation {
				return false
			}
		}
		return len(s.Orgs) == 2
	})
}

func (r *rig) status(holds func(edge.Status) bool) edge.Status {
	r.t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		r.source.mu.Lock()
		s, next := r.source.status, r.source.reports
		r.source.mu.Unlock()
		if holds(s) {
			return s
		}
		select {
		case <-next:
		case <-timeout:
			r.t.Fatalf("no such report; the last was %+v", s)
		}
	}
}

func (r *rig) service(id string, mark int, protocol, ip string, port, nodePort int, nodes ...string) edge.Service {
	s := edge.Service{ID: id, Mark: mark, Protocol: protocol, PublicIP: ip, Port: port, Enabled: true, Balancing: edge.BalanceRound,
		IdleTimeoutSeconds: 60, Sources: []string{"127.0.0.0/8"}, Monitor: &edge.Monitor{Kind: "tcp"}}
	for i, a := range nodes {
		s.Nodes = append(s.Nodes, edge.Node{ID: fmt.Sprintf("%s-%d", id, i), Address: a, Port: nodePort, Enabled: true})
	}
	return s
}

func get(at string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + at + "/")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

func (r *rig) passes(at, want string) {
	r.t.Helper()
	if text, err := get(at); err != nil || text != want {
		r.t.Errorf("%s answers %q, %v; want %q", at, text, err, want)
	}
}

func (r *rig) refused(at string) {
	r.t.Helper()
	if text, err := get(at); err == nil {
		r.t.Errorf("%s answers %q", at, text)
	}
}

func TestLabServicesReachTheirOwnOrgsMachines(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.guests.machine("org-0", "10.0.0.5", "a5")
	r.guests.machine("org-1", "10.0.0.5", "b5")
	for i := range r.orgs {
		r.orgs[i].Services = []edge.Service{
			r.service(fmt.Sprintf("web-%d", i), 1, edge.ProtocolTCP, r.public(byte(1+i)), 8080, 80, "10.0.0.5"),
			r.service(fmt.Sprintf("low-%d", i), 2, edge.ProtocolHTTP, r.public(byte(1+i)), 80, 80, "10.0.0.5"),
			r.service(fmt.Sprintf("echo-%d", i), 3, edge.ProtocolUDP, r.public(byte(1+i)), 7007, 7, "10.0.0.5"),
		}
	}
	r.want()
	for i, name := range []string{"a5", "b5"} {
		ip := r.public(byte(1 + i))
		r.passes(ip+":8080", name)
		c, err := net.Dial("udp", ip+":7007")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		_, _ = io.WriteString(c, "hello")
		b := make([]byte, 100)
		n, err := c.Read(b)
		if err != nil || string(b[:n]) != name+" hello" {
			t.Errorf("the echo says %q, %v", b[:n], err)
		}
		c.Close()
	}
	s := r.status(func(s edge.Status) bool {
		return s.Orgs[0].Services[0].Total == 1 && s.Orgs[0].Services[2].Total == 1 && s.Orgs[0].Services[2].BytesOut == 8
	})
	low := s.Orgs[0].Services[1].Mapped
	if low == "" {
		low = r.public(1) + ":80" // this process may bind it
	} else if low != r.public(1)+":20080" {
		t.Errorf("port 80 is mapped to %s", low)
	}
	r.passes(low, "a5")
	if s.Orgs[0].Services[0].BytesOut == 0 || s.Orgs[0].Services[0].Nodes[0].Total != 1 {
		t.Errorf("counted %+v", s.Orgs[0].Services[0])
	}
}

// Powering a machine off fails nothing new: it is noticed by the connection
// that fails, which goes to another node. With none left it is refused.
func TestLabPowerOffFailsNoNewConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	offs := []func(){r.guests.machine("org-0", "10.0.0.5", "a"), r.guests.machine("org-0", "10.0.0.6", "a")}
	r.orgs[0].Services = []edge.Service{r.service("web", 1, edge.ProtocolTCP, r.public(1), 8080, 80, "10.0.0.5", "10.0.0.6")}
	r.want()
	for i := range 600 {
		if i == 100 {
			offs[0]()
		}
		if text, err := get(r.public(1) + ":8080"); err != nil || text != "a" {
			t.Fatalf("request %d: %q %v", i, text, err)
		}
	}
	r.status(func(s edge.Status) bool {
		n := s.Orgs[0].Services[0].Nodes
		return n[0].State == edge.NodeDown && n[0].Reason != "" && n[1].State == edge.NodeUp
	})
	offs[1]()
	r.refused(r.public(1) + ":8080")
	r.guests.machine("org-0", "10.0.0.5", "back")
	r.status(func(s edge.Status) bool { return s.Orgs[0].Services[0].Nodes[0].State == edge.NodeUp })
	r.passes(r.public(1)+":8080", "back")
}

func TestLabRefusesByFirewallAndSource(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.guests.machine("org-0", "10.0.0.5", "a")
	s := r.service("web", 1, edge.ProtocolTCP, r.public(1), 8080, 80, "10.0.0.5")
	r.orgs[0].Services = []edge.Service{s}
	r.want()
	at := r.public(1) + ":8080"
	r.passes(at, "a")
	r.orgs[0].Services[0].Sources = []string{"203.0.113.0/24"}
	r.want()
	r.refused(at)
	r.orgs[0].Services[0].Sources = []string{"127.0.0.0/8"}
	r.orgs[0].Firewall = []edge.Rule{{ID: "deny", Direction: "in", Protocol: "tcp", FirstPort: 8080, LastPort: 8080}}
	r.want()
	r.refused(at)
	r.orgs[0].Firewall = append([]edge.Rule{{ID: "allow", Direction: "in", Protocol: "any", Source: "127.0.0.1/32", Allow: true}}, r.orgs[0].Firewall...)
	r.want()
	r.passes(at, "a")
}

// A draining node keeps what is open; one that is disabled loses it.
func TestLabDrainsAndDisables(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.guests.machine("org-0", "10.0.0.5", "five")
	r.guests.machine("org-0", "10.0.0.6", "six")
	r.orgs[0].Services = []edge.Service{r.service("web", 1, edge.ProtocolTCP, r.public(1), 8080, 80, "10.0.0.5")}
	r.want()
	stay, err := http.Get("http://" + r.public(1) + ":8080/stay")
	if err != nil {
		t.Fatal(err)
	}
	defer stay.Body.Close()
	r.orgs[0].Services[0].Nodes[0].Draining = true
	r.orgs[0].Services[0].Nodes = append(r.orgs[0].Services[0].Nodes, edge.Node{ID: "six", Address: "10.0.0.6", Port: 80, Enabled: true})
	r.want()
	for range 4 {
		r.passes(r.public(1)+":8080", "six")
	}
	s := r.status(func(s edge.Status) bool { return s.Orgs[0].Services[0].Nodes[0].State == edge.NodeDraining })
	if s.Orgs[0].Services[0].Nodes[0].Open != 1 {
		t.Errorf("the draining node has %d connections", s.Orgs[0].Services[0].Nodes[0].Open)
	}
	r.orgs[0].Services[0].Nodes[0].Enabled = false
	r.want()
	if _, err := stay.Body.Read(make([]byte, 1)); err == nil {
		t.Error("the connection to a disabled node lives on")
	}
}

// Another address or port, even two services that change places: who comes
// finds them there, and what was open stays.
func TestLabMovesAndKeepsWhatIsOpen(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{edge.ProtocolTCP, edge.ProtocolHTTP} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.guests.machine("org-0", "10.0.0.5", "five")
			r.guests.machine("org-0", "10.0.0.6", "six")
			r.orgs[0].Services = []edge.Service{r.service("a", 1, protocol, r.public(1), 8080, 80, "10.0.0.5"), r.service("b", 2, protocol, r.public(1), 8081, 80, "10.0.0.6")}
			r.want()
			stay, err := http.Get("http://" + r.public(1) + ":8080/stay")
			if err != nil {
				t.Fatal(err)
			}
			defer stay.Body.Close()
			ended := make(chan error, 1)
			go func() {
				_, err := stay.Body.Read(make([]byte, 1))
				ended <- err
			}()
			services := r.orgs[0].Services
			services[0].Port, services[1].Port = 8081, 8080
			r.want()
			r.passes(r.public(1)+":8081", "five")
			r.passes(r.public(1)+":8080", "six")
			services[0].PublicIP, services[0].Port = r.public(2), 8090
			r.want()
			r.passes(r.public(2)+":8090", "five")
			r.refused(r.public(1) + ":8081")
			s := r.status(func(s edge.Status) bool { return s.Orgs[0].Services[0].Total == 3 })
			if v := s.Orgs[0].Services[0]; v.Open != 1 {
				t.Errorf("%d are open", v.Open)
			}
			select {
			case err := <-ended:
				t.Fatalf("what was open has ended: %v", err)
			default:
			}
			// It is the service's still: without its node it ends.
			services[0].Nodes = nil
			r.want()
			if err := <-ended; err == nil {
				t.Error("the connection to a removed node lives on")
			}
		})
	}
}

func TestLabBindsLoopbackOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.guests.machine("org-0", "10.0.0.5", "a")
	r.orgs[0].Services = []edge.Service{r.service("everywhere", 1, edge.ProtocolTCP, "0.0.0.0", 8080, 80, "10.0.0.5"),
		r.service("outside", 2, edge.ProtocolTCP, "192.0.2.1", 8080, 80, "10.0.0.5"),
		r.service("good", 3, edge.ProtocolTCP, r.public(1), 8080, 80, "10.0.0.5")}
	r.want()
	s := r.status(func(s edge.Status) bool { return len(s.Orgs[0].Failed) == 2 })
	for _, b := range s.Orgs[0].Failed {
		if !strings.Contains(b.Text, "loopback") {
			t.Errorf("%s failed because %s", b.ID, b.Text)
		}
	}
	r.passes(r.public(1)+":8080", "a")
}
