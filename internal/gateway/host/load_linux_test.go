package host

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// load asks over and over, each time with a connection of its own, until it is
// told to stop.
type load struct {
	asked, failed atomic.Int64
	mu            sync.Mutex
	first         error
	slowest       time.Duration
	stop          chan struct{}
	ended         sync.WaitGroup
}

// pour makes perSecond new connections each second. A rate that the machine
// can't hold shows as fewer asked, not as failures.
func (r *rig) pour(at string, perSecond int) *load {
	l := &load{stop: make(chan struct{})}
	l.ended.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		slots := make(chan struct{}, 200)
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
			slots <- struct{}{}
			l.ended.Go(func() {
				defer func() { <-slots }()
				began := time.Now()
				_, err := get(r.inet, clientOne, "http://"+at+"/")
				took := time.Since(began)
				l.asked.Add(1)
				l.mu.Lock()
				defer l.mu.Unlock()
				l.slowest = max(l.slowest, took)
				if err != nil {
					l.failed.Add(1)
					if l.first == nil {
						l.first = err
					}
				}
			})
		}
	})
	return l
}

// end stops and insists that nothing failed.
func (l *load) end(tb testing.TB, what string) {
	tb.Helper()
	close(l.stop)
	l.ended.Wait()
	tb.Logf("%s: %d of %d failed, the slowest took %s", what, l.failed.Load(), l.asked.Load(), l.slowest.Round(time.Millisecond))
	if l.failed.Load() != 0 || l.asked.Load() == 0 {
		tb.Errorf("%s: %d of %d failed; first: %v", what, l.failed.Load(), l.asked.Load(), l.first)
	}
}

// until waits for n more to be asked.
func (l *load) until(n int64) {
	for goal := l.asked.Load() + n; l.asked.Load() < goal; {
		time.Sleep(5 * time.Millisecond)
	}
}

func TestDeadNodeFailsNoNewConnection(t *testing.T) {
	for name, kill := range map[string]func(*machine){"process": func(m *machine) { m.cut() }, "cable": func(m *machine) { m.unplug() }} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
			r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolHTTP, "203.0.113.11", 80, a, b)}
			r.start()
			r.want()
			l := r.pour("203.0.113.11:80", 200)
			l.until(200)
			kill(a)
			s := r.status(func(s edge.Status) bool { return nodeOf(s, r.orgs[0].ID, "web", "web-0").State == edge.NodeDown })
			l.until(300)
			l.end(t, "a node dies by its "+name)
			if n := nodeOf(s, r.orgs[0].ID, "web", "web-0"); n.Reason == "" || time.Since(n.Since) > time.Minute {
				t.Errorf("the dead node is told as %+v", n)
			}
			if n := nodeOf(s, r.orgs[0].ID, "web", "web-1"); n.State != edge.NodeUp || n.Total == 0 {
				t.Errorf("the live node is told as %+v", n)
			}
		})
	}
}

// Reloads, a killed agent and a portal that is away fail nothing; a stream that
// runs meanwhile is completed; nothing is counted twice or lost.
func TestChangesAndCrashesFailNothing(t *testing.T) {
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
	r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, a, b)}
	r.start()
	r.want()
	l := r.pour("203.0.113.11:80", 100)
	stream := make(chan string, 1)
	go func() {
		c, err := dial(r.inet, clientTwo, "tcp", "203.0.113.11:80")
		if err != nil {
			stream <- err.Error()
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET /slow HTTP/1.0\r\n\r\n")
		text, err := io.ReadAll(c)
		_, body, _ := strings.Cut(string(text), "\r\n\r\n")
		stream <- fmt.Sprint(len(body), " ", err)
	}()
	for i := range 8 {
		l.until(15)
		r.orgs[0].Services = append(r.orgs[0].Services[:1:1], service("more", 2, edge.ProtocolTCP, "203.0.113.11", 8000+i, a))
		r.want()
	}
	if got := <-stream; got != "40000 <nil>" {
		t.Errorf("a stream over eight reloads ends with %s", got)
	}
	r.kill()
	r.portal.stop()
	l.until(150)
	r.start() // asserts the last good state, with nobody to ask
	l.until(200)
	l.end(t, "eight reloads, kill -9, the portal away, a restart")

	// The portal is back, and hears of every connection once.
	r.portal.mu.Lock()
	r.portal.away, r.portal.gone = false, make(chan struct{})
	r.portal.mu.Unlock()
	want := l.asked.Load() + 1 // and the stream
	s := r.status(func(s edge.Status) bool {
		return serviceOf(s, r.orgs[0].ID, "web").Total >= want && serviceOf(s, r.orgs[0].ID, "web").Open == 0
	})
	if v := serviceOf(s, r.orgs[0].ID, "web"); v.Total != want || v.BytesOut < 40_000+want*100 {
		t.Errorf("counted %d connections and %d bytes, there were %d", v.Total, v.BytesOut, want)
	}
	// Restart with another table: what was counted stays.
	epoch, bytes := s.Epoch, serviceOf(s, r.orgs[0].ID, "web").BytesOut
	ns := namespaceOf(r.orgs[0].Key)
	if _, err := ns.run(t.Context(), "", "nft", "flush", "ruleset"); err != nil {
		t.Fatal(err)
	}
	r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Drift) > 0 })
	r.passes(r.inet, clientOne, "http://203.0.113.11/", "a-")
	s = r.status(func(s edge.Status) bool { return serviceOf(s, r.orgs[0].ID, "web").Total > want })
	if v := serviceOf(s, r.orgs[0].ID, "web"); v.Total != want+1 || v.BytesOut <= bytes || s.Epoch != epoch {
		t.Errorf("after the table was lost: %d connections, %d bytes, epoch %s; before: %d, %d, %s", v.Total, v.BytesOut, s.Epoch, want, bytes, epoch)
	}
}

// What other hands change is put right within five seconds, and told.
func TestDriftIsRepairedAndTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
	key, _ := wireguardKeys(t)
	r.orgs[0].VPN = &edge.VPN{ID: "vpn", PublicIP: "203.0.113.12", Port: 51820, PrivateKey: key, CIDR: "10.9.0.0/24", Address: "10.9.0.1"}
	r.start()
	r.want()
	ns := namespaceOf(r.orgs[0].Key)
	harm := func(what string, program string, args ...string) {
		t.Helper()
		if _, err := ns.run(t.Context(), "", program, args...); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s := r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Drift) > 0 })
		took := time.Since(began)
		t.Logf("%s: repaired in %s, told as %q", what, took.Round(time.Millisecond), orgOf(s, r.orgs[0].ID).Drift[0].Text)
		if took > 5*time.Second {
			t.Errorf("%s: repaired after %s", what, took)
		}
		r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Drift) == 0 }) // told once
		r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
	}
	harm("a flushed chain", "nft", "flush", "chain", "ip", "mw", "mw_input")
	harm("a foreign rule", "nft", "insert", "rule", "ip", "mw", "mw_forward", "accept")
	harm("a deleted table", "nft", "delete", "table", "ip", "mw")
	harm("a removed address", "ip", "addr", "del", "203.0.113.11/32", "dev", "up0")
	harm("a deleted interface", "ip", "link", "del", "net1")
	harm("a deleted tunnel", "ip", "link", "del", "wg0")
	harm("a sysctl", "sysctl", "-w", "net.ipv4.ip_nonlocal_bind=0")
	harm("a deleted rule", "ip", "rule", "del", "priority", "100")
	now, is := haproxy{ns: ns, key: r.orgs[0].Key, socket: filepath.Join(r.sockets, r.orgs[0].Key+".sock")}.running(t.Context())
	if !is {
		t.Fatal("HAProxy does not run")
	}
	harm("a killed HAProxy", "kill", "-9", strconv.Itoa(now.pid))
	harm("a lost namespace", "ip", "netns", "del", filepath.Base(ns.path))
}

// One bad object is left out with its reason; all others apply.
func TestBadObjectsAreLeftOutAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	good := service("good", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)
	twice := service("twice", 2, edge.ProtocolHTTP, "203.0.113.11", 80, a)
	path := service("path", 3, edge.ProtocolHTTP, "203.0.113.11", 82, a)
	path.Monitor = &edge.Monitor{Kind: "http", Path: "/\n\tbind :99\n"}
	stranger := service("stranger", 4, edge.ProtocolTCP, "203.0.113.11", 83, a)
	stranger.Nodes = append(stranger.Nodes, edge.Node{ID: "gateway", Address: "10.0.0.1", Port: 80, Enabled: true}, edge.Node{ID: "elsewhere", Address: "192.0.2.1", Port: 80, Enabled: true})
	sound := service("sound", 5, edge.ProtocolTCP, "203.0.113.20", 80, a) // its own outbound address
	r.orgs[0].Services = []edge.Service{good, twice, path, stranger}
	r.orgs[1].Services = []edge.Service{sound}
	r.orgs[1].Networks = append(r.orgs[1].Networks, edge.Network{ID: "no-trunk", Number: 2, Cloud: "west", VLAN: 5, CIDR: "10.1.0.0/24", Gateway: "10.1.0.1"},
		edge.Network{ID: "same-link", Number: 3, Cloud: "cloud0", CIDR: "10.2.0.0/24", Gateway: "10.2.0.1"})
	r.orgs[1].Services[0].Nodes[0].Address = "10.0.0.7"
	r.orgs[1].Services = append(r.orgs[1].Services, service("other", 6, edge.ProtocolTCP, "203.0.113.11", 85))
	r.start()
	r.want()
	s := r.status(func(s edge.Status) bool {
		return len(orgOf(s, r.orgs[0].ID).Failed) > 0 && len(orgOf(s, r.orgs[1].ID).Failed) > 0
	})
	failed := map[string]string{}
	for _, o := range s.Orgs {
		for _, b := range o.Failed {
			failed[b.ID] = b.Text
		}
	}
	for id, word := range map[string]string{"twice": "taken", "path": "path", "gateway": "no machine", "elsewhere": "no machine", "no-trunk": "trunk", "same-link": "taken", "other": "another org"} {
		if !strings.Contains(failed[id], word) {
			t.Errorf("%s failed with %q, want a word of %q", id, failed[id], word)
		}
		delete(failed, id)
	}
	if len(failed) > 0 {
		t.Errorf("failed beyond what is wrong: %v", failed)
	}
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
	r.passes(r.inet, clientOne, "http://203.0.113.11:83/", a.name)
}

// HAProxy and the kernel change together or not at all.
func TestBothOrNeither(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	r.orgs[0].Services = []edge.Service{service("old", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
	// An nft that says yes to the check and no to the rest, once told so.
	broken := filepath.Join(filepath.Dir(r.state), "broken")
	wrapper := filepath.Join(filepath.Dir(r.state), "nft")
	text := fmt.Sprintf("#!/bin/sh\nif [ -e %s ] && [ \"$1\" = -f ]; then echo refused by test >&2; exit 1; fi\nexec nft \"$@\"\n", broken)
	if err := os.WriteFile(wrapper, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	r.start("--nft", wrapper)
	r.want()
	p := haproxy{ns: namespaceOf(r.orgs[0].Key), key: r.orgs[0].Key, socket: filepath.Join(r.sockets, r.orgs[0].Key+".sock")}
	before, _ := p.running(t.Context())
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := r.orgs[0].Generation
	r.orgs[0].Generation++
	r.orgs[0].Services = append(r.orgs[0].Services, service("new", 2, edge.ProtocolTCP, "203.0.113.11", 81, a))
	r.portal.set(r.orgs[:]...)
	s := r.status(func(s edge.Status) bool {
		o := orgOf(s, r.orgs[0].ID)
		return o.Observed == r.orgs[0].Generation && o.Error != ""
	})
	if o := orgOf(s, r.orgs[0].ID); o.Applied != good || !strings.Contains(o.Error, "refused by test") {
		t.Errorf("applied %d of %d, error %q", o.Applied, o.Observed, o.Error)
	}
	if after, is := p.running(t.Context()); !is || after.structure != before.structure {
		t.Errorf("HAProxy runs %q, ran %q before the failure", after.structure, before.structure)
	}
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
	r.refused(r.inet, clientOne, "tcp", "203.0.113.11:81")
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	r.applied() // tried again by itself
	r.passes(r.inet, clientOne, "http://203.0.113.11:81/", a.name)
}

// Drain keeps what is open and gives nothing new; disable ends it; neither
// needs a reload. Balancing by source keeps to one node.
func TestDrainDisableAndBalance(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
	r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, a, b), service("source", 2, edge.ProtocolTCP, "203.0.113.11", 81, a, b),
		service("least", 3, edge.ProtocolTCP, "203.0.113.11", 82, a, b)}
	r.orgs[0].Services[1].Balancing = edge.BalanceSource
	r.orgs[0].Services[2].Balancing = edge.BalanceLeast
	r.start()
	r.want()
	seen := map[string]int{}
	for range 10 {
		text, err := get(r.inet, clientOne, "http://203.0.113.11/")
		if err != nil {
			t.Fatal(err)
		}
		seen[text[:3]]++
	}
	if seen[a.name] != 5 || seen[b.name] != 5 {
		t.Errorf("round robin gave %v", seen)
	}
	first := r.passes(r.inet, clientOne, "http://203.0.113.11:81/", "a-")
	for range 5 {
		r.passes(r.inet, clientOne, "http://203.0.113.11:81/", first[:3])
	}
	hold := func(port string) (net.Conn, string) {
		c, err := dial(r.inet, clientOne, "tcp", "203.0.113.11:"+port)
		if err != nil {
			t.Fatal(err)
		}
		return c, askOn(t, c)
	}
	// Least connections: with one open each, the third goes where one closed.
	one, nameOne := hold("82")
	two, nameTwo := hold("82")
	defer two.Close()
	if nameOne == nameTwo {
		t.Errorf("least connections gave both to %s", nameOne)
	}
	one.Close()
	r.status(func(s edge.Status) bool { return serviceOf(s, r.orgs[0].ID, "least").Open == 1 })
	three, nameThree := hold("82")
	defer three.Close()
	if nameThree != nameOne {
		t.Errorf("least connections gave the third to %s, which has one", nameThree)
	}

	p := haproxy{ns: namespaceOf(r.orgs[0].Key), key: r.orgs[0].Key, socket: filepath.Join(r.sockets, r.orgs[0].Key+".sock")}
	before, _ := p.running(t.Context())
	kept, name := hold("80")
	defer kept.Close()
	i := 0
	if name == b.name {
		i = 1
	}
	other := []string{b.name, a.name}[i]
	r.orgs[0].Services[0].Nodes[i].Draining = true
	r.want()
	for range 4 {
		r.passes(r.inet, clientOne, "http://203.0.113.11/", other)
	}
	if again := askOn(t, kept); again != name {
		t.Errorf("what was open on the draining node answers %q", again)
	}
	r.status(func(s edge.Status) bool {
		return nodeOf(s, r.orgs[0].ID, "web", fmt.Sprint("web-", i)).State == edge.NodeDraining
	})
	r.orgs[0].Services[0].Nodes[i].Enabled = false
	r.want()
	_ = kept.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := kept.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection to a disabled node lives on: %v", err)
	}
	r.status(func(s edge.Status) bool {
		return nodeOf(s, r.orgs[0].ID, "web", fmt.Sprint("web-", i)).State == edge.NodeOff
	})
	r.orgs[0].Services[0].Nodes[i].Enabled, r.orgs[0].Services[0].Nodes[i].Draining = true, false
	r.want()
	r.status(func(s edge.Status) bool {
		return nodeOf(s, r.orgs[0].ID, "web", fmt.Sprint("web-", i)).State == edge.NodeUp
	})
	r.passes(r.inet, clientOne, "http://203.0.113.11/", "")
	if after, _ := p.running(t.Context()); after.pid != before.pid {
		t.Errorf("HAProxy was reloaded to switch a node")
	}
	// A service that is taken away ends what is open on it, and its address is
	// told as released.
	held, _ := hold("81")
	defer held.Close()
	r.orgs[0].Services = nil
	r.want()
	s := r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Released) > 0 })
	if got := orgOf(s, r.orgs[0].ID).Released; got[0] != "203.0.113.11" {
		t.Errorf("released %v", got)
	}
	r.refused(r.inet, clientOne, "tcp", "203.0.113.11:80")
}

// askOn asks over a connection that stays open, and returns the machine's name.
func askOn(t *testing.T, c net.Conn) string {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Error(err)
	}
	b := make([]byte, 1000)
	n, err := c.Read(b)
	if err != nil {
		t.Error(err)
	}
	_, body, _ := strings.Cut(string(b[:n]), "\r\n\r\n")
	name, _, _ := strings.Cut(body, " ")
	return name
}
