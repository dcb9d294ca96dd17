package host

import (
	"fmt"
	"io"
	"path/filepath"
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
	spared        time.Time // what began before it may fail
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
				if err != nil && began.After(l.spared) {
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

// spare excuses what is on its way just now.
func (l *load) spare() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spared = time.Now()
}

// until waits for n more to be asked.
func (l *load) until(n int64) {
	for goal := l.asked.Load() + n; l.asked.Load() < goal; {
		time.Sleep(5 * time.Millisecond)
	}
}

// Whoever edits the very service that is under load fails nothing of it.
func TestEditUnderLoadFailsNothing(t *testing.T) {
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
	for i, protocol := range []string{edge.ProtocolTCP, edge.ProtocolHTTP} {
		r.orgs[0].Services = append(r.orgs[0].Services, service(protocol, i+1, protocol, "203.0.113.11", 80+i, a, b))
	}
	r.start()
	r.want()
	p := haproxy{ns: namespaceOf(r.orgs[0].Key), key: r.orgs[0].Key, socket: filepath.Join(r.sockets, r.orgs[0].Key+".sock")}
	before, _ := p.running(t.Context())
	loads := []*load{r.pour("203.0.113.11:80", 50), r.pour("203.0.113.11:81", 50)}
	edits := []func(*edge.Service){
		func(s *edge.Service) { s.Balancing = edge.BalanceLeast },
		func(s *edge.Service) { s.IdleTimeoutSeconds = 90 },
		func(s *edge.Service) { s.Monitor = &edge.Monitor{Kind: "http", Path: "/"} },
		func(s *edge.Service) { s.Sources = []string{clientOne + "/32"} },
		func(s *edge.Service) { s.Nodes = s.Nodes[1:] },
		func(s *edge.Service) { s.Monitor = nil },
	}
	for _, edit := range edits {
		for i := range r.orgs[0].Services {
			loads[i].until(15)
			edit(&r.orgs[0].Services[i])
		}
		r.want()
	}
	for i, l := range loads {
		l.until(30)
		l.end(t, fmt.Sprintf("%d edits of the %s service itself", len(edits), r.orgs[0].Services[i].ID))
	}
	r.passes(r.inet, clientOne, "http://203.0.113.11/", b.name)
	r.refused(r.inet, clientTwo, "tcp", "203.0.113.11:80")
	if after, is := p.running(t.Context()); !is || after.structure == before.structure {
		t.Error("no edit has reached HAProxy")
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
			if name == "cable" {
				l.spare() // a request that lies in the cut cable is lost: its connection was no new one
			}
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
