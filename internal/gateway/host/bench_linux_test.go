package host

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/testkit"
)

// program runs one inside a namespace and returns what it printed.
func (r *rig) program(ns namespace, name string, args ...string) string {
	r.t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	r.must(ns.do(cmd.Start))
	if err := cmd.Wait(); err != nil {
		r.t.Fatalf("%s %v: %v\n%s", name, args, err, out.String())
	}
	return out.String()
}

func (r *rig) iperfServer(ns namespace, at string) {
	r.t.Helper()
	cmd := exec.Command("iperf3", "-s", "-B", at)
	r.must(ns.do(cmd.Start))
	r.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c, err := dial(ns, "", "tcp", at+":5201"); err == nil {
			c.Close()
			return
		}
	}
	r.t.Fatal("iperf3 does not listen")
}

func gbits(tb testing.TB, text string) float64 {
	tb.Helper()
	var out struct {
		End struct {
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		tb.Fatal(err)
	}
	return out.End.Received.Bits / 1e9
}

var rateForm = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)

func rate(tb testing.TB, text string) float64 {
	tb.Helper()
	m := rateForm.FindStringSubmatch(text)
	if m == nil {
		tb.Fatalf("wrk says %s", text)
	}
	f, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// A machine's bytes on their way to the internet: through HAProxy, beside the
// same bytes forwarded by the kernel under the same rules. Then requests over
// connections that stay open, likewise. Rounds alternate.
func BenchmarkGatewayPath(b *testing.B) {
	r := newRig(b)
	m := r.machine(0, "10.0.0.5")
	outside := &machine{rig: r, ns: r.inet, name: "outside"}
	outside.serve()
	bulk := service("bulk", 1, edge.ProtocolTCP, "203.0.113.11", 5201, m)
	bulk.Nodes[0].Port = 5201
	bulk.Monitor = nil
	r.orgs[0].Services = []edge.Service{bulk, service("web", 2, edge.ProtocolTCP, "203.0.113.11", 80, m)}
	r.iperfServer(m.ns, "10.0.0.5")
	r.iperfServer(r.inet, clientOne)
	r.start()
	r.want()
	for b.Loop() {
		var plain, proxied, plainRate, proxiedRate []float64
		for range 3 {
			plain = append(plain, gbits(b, r.program(m.ns, "iperf3", "-J", "-t", "3", "-c", clientOne)))
			proxied = append(proxied, gbits(b, r.program(r.inet, "iperf3", "-J", "-t", "3", "-R", "-c", "203.0.113.11", "-B", clientTwo)))
			plainRate = append(plainRate, rate(b, r.program(m.ns, "wrk", "-t1", "-c64", "-d3s", "http://"+clientOne+"/")))
			proxiedRate = append(proxiedRate, rate(b, r.program(r.inet, "wrk", "-t1", "-c64", "-d3s", "http://203.0.113.11/")))
		}
		b.ReportMetric(median(plain), "forwarded-Gbit/s")
		b.ReportMetric(median(proxied), "proxied-Gbit/s")
		b.ReportMetric(median(proxied)/median(plain), "Gbit-ratio")
		b.ReportMetric(median(plainRate), "forwarded-req/s")
		b.ReportMetric(median(proxiedRate), "proxied-req/s")
		b.ReportMetric(median(proxiedRate)/median(plainRate), "req-ratio")
		b.ReportMetric(0, "ns/op")
	}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// How soon traffic follows a change, and how soon a large org is applied.
func BenchmarkGatewayChange(b *testing.B) {
	b.Run("follows", benchmarkFollows)
	b.Run("form", benchmarkForm)
	b.Run("many", func(b *testing.B) { benchmarkMany(b, nil) })
	b.Run("many-checked", func(b *testing.B) { benchmarkMany(b, &edge.Monitor{Kind: "tcp"}) })
}

// times tells the median and the 95th of a hundred.
func times(b *testing.B, took []float64) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "change-p50-s")
	b.ReportMetric(took[len(took)*95/100], "change-p95-s")
	b.ReportMetric(took[len(took)-1], "change-worst-s")
	b.ReportMetric(0, "ns/op")
}

// answers waits for the first connection to where nothing led before, and says
// how long after began it came.
func (r *rig) answers(b *testing.B, at string, began time.Time) float64 {
	b.Helper()
	for {
		c, err := quick(r, at)
		if err == nil {
			c.Close()
			return time.Since(began).Seconds()
		}
		if time.Since(began) > 10*time.Second {
			b.Fatal("traffic does not follow")
		}
	}
}

// From a pretended portal's having a change: the agent's share.
func benchmarkFollows(b *testing.B) {
	r := newRig(b)
	m := r.machine(0, "10.0.0.5")
	r.start()
	r.want()
	for b.Loop() {
		var took []float64
		for i := range 40 {
			r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 8000+i, m)}
			r.orgs[0].Generation++
			began := time.Now()
			r.portal.set(r.orgs[:]...)
			took = append(took, r.answers(b, fmt.Sprintf("203.0.113.11:%d", 8000+i), began))
		}
		times(b, took)
	}
}

// From the user's form, over TLS, to the first answer: the form's handler, its
// transaction, the long poll's answer and all of the agent's work. Half of the
// changes come while the one before has only just been answered, half when it
// has been reported too.
func benchmarkForm(b *testing.B) {
	r := newRig(b)
	s := r.site()
	r.start("--ca", s.CAFile())
	public := s.acme.Outbound()
	id, _ := s.order(s.acme, 0, "web-1", "10.0.0.5")
	form := testkit.ServiceForm("shop", "tcp", 80)
	service := s.acme.MakeService(form)
	form.Set("public_ip", s.acme.PublicIP(public))
	s.acme.UntilNode(service, s.acme.AddNode(service, id, 80), "up")
	port := 8000
	for b.Loop() {
		var took []float64
		for i := range 40 {
			if i%2 == 0 {
				s.acme.UntilRollout(service, "active")
			}
			port++
			form.Set("port", strconv.Itoa(port))
			began := time.Now()
			s.acme.ChangeService(service, form)
			took = append(took, r.answers(b, fmt.Sprintf("%s:%d", public, port), began))
		}
		times(b, took)
	}
}

// A thousand services with four nodes each, of two hundred machines that all
// answer, from the portal's having them to the report that they are applied
// and verified.
func benchmarkMany(b *testing.B, monitor *edge.Monitor) {
	r := newRig(b)
	m := r.machine(0, "10.0.0.5")
	for i := range 200 {
		r.address(m.ns, "eth0", fmt.Sprintf("10.0.0.%d/24", 10+i))
	}
	r.start()
	r.want()
	for b.Loop() {
		var took []float64
		for range 3 {
			r.orgs[0].Services = nil
			r.want()
			for i := range 1000 {
				s := service(fmt.Sprint("s", i), 1+i, edge.ProtocolTCP, fmt.Sprintf("203.0.113.%d", 100+i/100), 1000+i%100)
				for n := range 4 {
					s.Nodes = append(s.Nodes, edge.Node{ID: fmt.Sprintf("s%d-%d", i, n), Address: fmt.Sprintf("10.0.0.%d", 10+(i+n)%200), Port: 80, Enabled: true})
				}
				s.Monitor = monitor
				r.orgs[0].Services = append(r.orgs[0].Services, s)
			}
			began := time.Now()
			r.want()
			took = append(took, time.Since(began).Seconds())
			r.passes(r.inet, clientOne, "http://203.0.113.109:1099/", m.name)
		}
		b.ReportMetric(median(took), "1000-services-s")
		b.ReportMetric(0, "ns/op")
	}
}

// quick tries a connection, and a request over it: a port that leads nowhere
// yet must not be waited for.
func quick(r *rig, at string) (c net.Conn, err error) {
	err = r.inet.do(func() error {
		c, err = net.DialTimeout("tcp", at, 50*time.Millisecond)
		return err
	})
	return c, err
}

// Under load: what fails while a node dies, HAProxy reloads, or the agent is
// killed with the portal away; and how soon drift is repaired.
func BenchmarkGatewayFailures(b *testing.B) {
	for b.Loop() {
		r := newRig(b)
		one, two := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
		r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, one, two)}
		r.start()
		r.want()
		l := r.pour("203.0.113.11:80", 200)
		for i := range 8 {
			l.until(40)
			r.orgs[0].Services = append(r.orgs[0].Services[:1:1], service("more", 2, edge.ProtocolTCP, "203.0.113.11", 8000+i, one))
			r.want()
		}
		l.end(b, "reload")
		b.ReportMetric(float64(l.failed.Load()), "reload-failed")

		l = r.pour("203.0.113.11:80", 200)
		l.until(200)
		one.cut()
		l.until(600)
		l.end(b, "node")
		b.ReportMetric(float64(l.failed.Load()), "node-failed")
		b.ReportMetric(float64(l.asked.Load()), "node-asked")

		// Drift, while there is still an agent.
		p := haproxy{ns: namespaceOf(r.orgs[0].Key), key: r.orgs[0].Key, socket: filepath.Join(r.sockets, r.orgs[0].Key+".sock")}
		worst := time.Duration(0)
		for _, harm := range []func(){
			func() { r.program(p.ns, "nft", "delete", "table", "ip", "mw") },
			func() { now, _ := p.running(b.Context()); r.program(p.ns, "kill", "-9", strconv.Itoa(now.pid)) },
		} {
			harm()
			began := time.Now()
			for {
				if _, err := get(r.inet, clientOne, "http://203.0.113.11/"); err == nil {
					break
				}
				if time.Since(began) > 20*time.Second {
					b.Fatal("never repaired")
				}
			}
			worst = max(worst, time.Since(began))
			r.status(func(s edge.Status) bool { return nodeOf(s, r.orgs[0].ID, "web", "web-1").State == edge.NodeUp })
		}
		b.ReportMetric(worst.Seconds(), "drift-s")

		l = r.pour("203.0.113.11:80", 200)
		l.until(100)
		r.kill()
		r.portal.stop()
		l.until(600)
		l.end(b, "agent and portal")
		b.ReportMetric(float64(l.failed.Load()), "agent-failed")
		b.ReportMetric(0, "ns/op")
	}
}
