package bench

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// The page's way back: two nodes on one PostgreSQL behind a balancer, a real
// browser with a console open, and the node that serves it killed, again and
// again. The page itself says how long it had no picture: from the loss of its
// socket to the first frame of the next.
func BenchmarkConsoleResume(b *testing.B) {
	v := testkit.RunLabVCenter(b, "--name", "east", "--clone-delay", "100ms", "--guest-boot-delay", "100ms")
	site := testkit.NewSite(b, testkit.PostgresURL(b), map[string]*testkit.LabVCenter{"east": v})
	nodes := []*node{{name: "node-a", address: testkit.FreeAddr(b)}, {name: "node-b", address: testkit.FreeAddr(b)}}
	for _, n := range nodes {
		n.process = site.StartNode(n.name, n.address)
	}
	balance(b, site.Addr(), nodes)
	site.SetPassword("user@acme.example")
	visitor := testkit.NewVisitor(b, "http://"+site.Addr())
	visitor.SignIn(b, "user@acme.example", testkit.SitePassword)
	ordered, err := visitor.Post("/orgs/acme/machines", url.Values{"name": {"screen-1"}, "template": {"debian-13"}, "instance_type": {"small"}})
	if err != nil || ordered.Status != http.StatusSeeOther {
		b.Fatalf("order: %d %v", ordered.Status, err)
	}
	eventually(b, "the machine runs", func() bool {
		page, err := visitor.Get(ordered.Location)
		return err == nil && strings.Contains(page.Body, `data-state="running"`)
	})
	tab := testkit.NewBrowser(b, "http://"+site.Addr(), b.TempDir())
	tab.Open("/sign-in")
	tab.Fill("#email", "user@acme.example")
	tab.Fill("#password", testkit.SitePassword)
	tab.Click("main form button[type=submit]")
	tab.Until("signed in", "location.pathname !== '/sign-in'")
	tab.Open(ordered.Location + "/console")
	tab.Until("a picture", "document.querySelector('[data-console-screen] canvas')?.width > 300")

	for b.Loop() {
		var away []float64
		for range losses() {
			serving := slices.IndexFunc(nodes, (*node).carries)
			if serving < 0 {
				b.Fatal("no node carries the console")
			}
			testkit.Eval[bool](tab, "delete document.querySelector('[data-console]').dataset.resumedMs")
			nodes[serving].process.Kill()
			tab.Until("the picture is back", "document.querySelector('[data-console]').dataset.resumedMs")
			away = append(away, testkit.Eval[float64](tab, "Number(document.querySelector('[data-console]').dataset.resumedMs)"))
			back := time.Now()
			nodes[serving].process = site.StartNode(nodes[serving].name, nodes[serving].address)
			time.Sleep(held - time.Since(back)) // nodes die one by one, not all the time
		}
		slices.Sort(away)
		b.ReportMetric(float64(len(away)), "resumed")
		b.ReportMetric(away[len(away)/2], "p50-ms")
		b.ReportMetric(away[len(away)*95/100], "p95-ms")
		b.ReportMetric(away[len(away)-1], "worst-ms")
		b.ReportMetric(0, "ns/op")
	}
}

// held is for how long a console has its picture before the next loss.
const held = 1200 * time.Millisecond

// losses is how often a node is killed: CONSOLE_LOSSES, or 100 times.
func losses() int {
	if n, err := strconv.Atoi(os.Getenv("CONSOLE_LOSSES")); err == nil {
		return n
	}
	return 100
}

// node is one portal behind the balancer.
type node struct {
	name, address string
	process       *testkit.Process

	mu       sync.Mutex
	consoles int
}

// carries says whether a console goes through the node now.
func (n *node) carries() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.consoles > 0
}

func (n *node) count(by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.consoles += by
}

// balance passes each connection to the first node that answers, beginning
// with another one every time, as a plain TCP balancer does.
func balance(b *testing.B, address string, nodes []*node) {
	b.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for turn := 0; ; turn++ {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				for i := range nodes {
					n := nodes[(turn+i)%len(nodes)]
					if upstream, err := net.DialTimeout("tcp", n.address, time.Second); err == nil {
						n.pass(client, upstream)
						return
					}
				}
			}()
		}
	}()
}

func (n *node) pass(client, upstream net.Conn) {
	defer upstream.Close()
	first := make([]byte, 4096)
	got, err := client.Read(first)
	if err != nil {
		return
	}
	if bytes.HasPrefix(first[:got], []byte("GET /console ")) {
		n.count(1)
		defer n.count(-1)
	}
	if _, err := upstream.Write(first[:got]); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(upstream, client)
		_ = upstream.Close()
	}()
	_, _ = io.Copy(client, upstream)
}
