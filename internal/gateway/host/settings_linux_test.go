package host

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/millwright/millwright/internal/edge"
)

// A service's idle timeout ends what is silent for that long, and nothing else.
func TestIdleTimeoutEndsWhatIsSilent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	a.echo(53)
	tcp := service("tcp", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)
	udp := service("udp", 2, edge.ProtocolUDP, "203.0.113.11", 53, a)
	udp.Nodes[0].Port = 53
	tcp.IdleTimeoutSeconds, udp.IdleTimeoutSeconds = 3, 3
	r.orgs[0].Services = []edge.Service{tcp, udp}
	r.start()
	r.want()
	silent, err := dial(r.inet, clientOne, "tcp", "203.0.113.11:80")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	busy, err := dial(r.inet, clientTwo, "tcp", "203.0.113.11:80")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if text, err := ask(r.inet, clientOne, "203.0.113.11:53"); err != nil || text == "" {
		t.Fatalf("the echo says %q, %v", text, err)
	}
	began := time.Now()
	ended := make(chan time.Duration, 1)
	go func() {
		_ = silent.SetDeadline(time.Now().Add(15 * time.Second))
		_, err := silent.Read(make([]byte, 1))
		if os.IsTimeout(err) {
			ended <- 0
			return
		}
		ended <- time.Since(began)
	}()
	for time.Since(began) < 6*time.Second {
		if name := askOn(t, busy); name != a.name {
			t.Fatalf("after %s the busy connection says %q", time.Since(began), name)
		}
		time.Sleep(300 * time.Millisecond)
	}
	if took := <-ended; took < 2500*time.Millisecond || took > 10*time.Second {
		t.Errorf("a silent connection of a service with 3 s ended after %s", took)
	}
	r.status(func(s edge.Status) bool { // and the kernel has forgotten the conversation
		return serviceOf(s, r.orgs[0].ID, "udp").Total == 1 && serviceOf(s, r.orgs[0].ID, "udp").Open == 0
	})
}

// A health check by HTTP asks for its path and wants its status: of TCP, HTTP
// and UDP services alike.
func TestHTTPCheckWantsItsStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
	var status atomic.Int64
	status.Store(http.StatusNoContent)
	for _, m := range []*machine{a, b} {
		l := r.listen(m.ns, "tcp", ":8080")
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			switch {
			case q.URL.Path != "/healthz":
				fmt.Fprint(w, m.name)
			case m == a:
				w.WriteHeader(int(status.Load()))
			default:
				w.WriteHeader(http.StatusNoContent)
			}
		})}
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { _ = server.Close() })
		m.echo(8080)
	}
	for i, protocol := range []string{edge.ProtocolTCP, edge.ProtocolHTTP, edge.ProtocolUDP} {
		s := service(protocol, 1+i, protocol, "203.0.113.11", 8000+i, a, b)
		s.Monitor = &edge.Monitor{Kind: "http", Path: "/healthz", Status: http.StatusNoContent}
		for n := range s.Nodes {
			s.Nodes[n].Port = 8080
		}
		r.orgs[0].Services = append(r.orgs[0].Services, s)
	}
	r.start()
	r.want()
	all := func(state, reason string) {
		r.status(func(s edge.Status) bool {
			for _, w := range r.orgs[0].Services {
				first := nodeOf(s, r.orgs[0].ID, w.ID, w.Nodes[0].ID)
				if first.State != state || !strings.Contains(first.Reason, reason) || nodeOf(s, r.orgs[0].ID, w.ID, w.Nodes[1].ID).State != edge.NodeUp {
					return false
				}
			}
			return true
		})
	}
	reaches := func(names ...string) {
		t.Helper()
		seen := map[string]int{}
		for range 4 {
			for _, port := range []string{"8000", "8001"} {
				text, err := get(r.inet, clientOne, "http://203.0.113.11:"+port+"/")
				if err != nil {
					t.Fatal(err)
				}
				seen[text]++
			}
			text, err := ask(r.inet, clientOne, "203.0.113.11:8002")
			if err != nil {
				t.Fatal(err)
			}
			name, _, _ := strings.Cut(text, " ")
			seen[name]++
		}
		if len(seen) != len(names) || seen[names[0]] == 0 {
			t.Errorf("%v were reached, not %v", seen, names)
		}
	}
	all(edge.NodeUp, "")
	reaches(a.name, b.name)
	status.Store(http.StatusOK) // well, but not what is wanted
	all(edge.NodeDown, "200")
	reaches(b.name)
	status.Store(http.StatusNoContent)
	all(edge.NodeUp, "")
	reaches(a.name, b.name)
}

// Datagrams obey sources and rules as connections do; an echo request is
// answered where a rule lets it; and a source that may come no more loses what
// it has open.
func TestSourcesAndRulesHoldForAllProtocols(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	a.echo(53)
	udp, tcp := service("dns", 1, edge.ProtocolUDP, "203.0.113.11", 53, a), service("web", 2, edge.ProtocolTCP, "203.0.113.11", 80, a)
	udp.Nodes[0].Port = 53
	r.orgs[0].Services = []edge.Service{udp, tcp}
	r.start()
	r.want()
	answers := func(from string, want bool) {
		t.Helper()
		text, err := ask(r.inet, from, "203.0.113.11:53")
		if (err == nil && text != "") != want {
			t.Errorf("%s is answered %q, %v", from, text, err)
		}
	}
	answers(clientOne, true)
	answers(clientTwo, true)
	if ping(r.inet, clientOne, "203.0.113.11") {
		t.Error("an echo request is answered without a rule")
	}
	talk, err := dial(r.inet, clientTwo, "udp", "203.0.113.11:53")
	if err != nil {
		t.Fatal(err)
	}
	defer talk.Close()
	if say(talk) == "" {
		t.Fatal("no conversation")
	}
	stream, err := dial(r.inet, clientTwo, "tcp", "203.0.113.11:80")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if askOn(t, stream) != a.name {
		t.Fatal("no connection")
	}
	for i := range r.orgs[0].Services {
		r.orgs[0].Services[i].Sources = []string{clientOne + "/32"}
	}
	r.want()
	answers(clientOne, true)
	answers(clientTwo, false)
	if text := say(talk); text != "" {
		t.Errorf("a source that is listed no more hears %q", text)
	}
	_ = stream.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if n, err := stream.Read(make([]byte, 100)); err == nil {
		t.Errorf("a source that is listed no more gets %d bytes", n)
	}
	r.orgs[0].Firewall = []edge.Rule{{ID: "udp", Direction: "in", Protocol: "udp", FirstPort: 53, LastPort: 53},
		{ID: "echo", Direction: "in", Protocol: "icmp", Source: clientOne + "/32", Allow: true}}
	r.want()
	answers(clientOne, false)
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
	if !ping(r.inet, clientOne, "203.0.113.11") {
		t.Error("an echo request that a rule allows is not answered")
	}
	if ping(r.inet, clientTwo, "203.0.113.11") {
		t.Error("an echo request of another source is answered")
	}
}

// ping sends one echo request and says whether it is answered.
func ping(ns namespace, from, to string) bool {
	var c *icmp.PacketConn
	if err := ns.do(func() (err error) { c, err = icmp.ListenPacket("ip4:icmp", from); return err }); err != nil {
		return false
	}
	defer c.Close()
	request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 7, Seq: 1, Data: []byte("millwright")}}
	text, err := request.Marshal(nil)
	if err != nil {
		return false
	}
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.WriteTo(text, &net.IPAddr{IP: net.ParseIP(to)}); err != nil {
		return false
	}
	b := make([]byte, 200)
	for {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			return false
		}
		if m, err := icmp.ParseMessage(1, b[:n]); err == nil && m.Type == ipv4.ICMPTypeEchoReply {
			return true
		}
	}
}
