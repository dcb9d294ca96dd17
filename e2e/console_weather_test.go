package e2e_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
)

// reached is a machine's console in a browser that has a line between itself
// and the portal.
type reached struct {
	*testkit.Browser
	site    *testkit.Site
	node    *testkit.Process
	line    *line
	vcenter *testkit.LabVCenter
	visitor *testkit.Visitor
	page    string // of the machine
}

func reach(t *testing.T, database string, idle time.Duration) reached {
	t.Helper()
	v := testkit.RunLabVCenter(t, "--name", "east", "--clone-delay", "100ms", "--guest-boot-delay", "100ms")
	s := testkit.NewSite(t, database, map[string]*testkit.LabVCenter{"east": v})
	behind := testkit.FreeAddr(t)
	l := newLine(t, s.Addr(), behind, idle)
	node := s.StartNode("first", behind)
	s.SetPassword("user@acme.example")
	visitor := testkit.NewVisitor(t, "http://"+s.Addr())
	visitor.SignIn(t, "user@acme.example", testkit.SitePassword)
	page := order(t, visitor, "web-1")
	watch(t, visitor, page, "running", is("running"))
	b := testkit.NewBrowser(t, visitor.URL, filepath.Join(testkit.Root(), "e2e", "artifacts", "console"))
	b.Open("/sign-in")
	b.Fill("#email", "user@acme.example")
	b.Fill("#password", testkit.SitePassword)
	b.Click("main form button[type=submit]")
	b.Until("signed in", "location.pathname !== '/sign-in'")
	b.Open(page + "/console")
	b.Until("connected", operates)
	testkit.Eval[bool](b, record)
	b.Until("it is told its latency", "document.querySelector('[data-console-latency]').textContent")
	return reached{Browser: b, site: s, node: node, line: l, vcenter: v, visitor: visitor, page: page}
}

func onFile(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "portal.db") }

// types says that keys typed now show on the screen.
func (r reached) types(t *testing.T, what string) {
	t.Helper()
	r.Click("[data-console-screen] canvas")
	before := testkit.Eval[string](r.Browser, canvas)
	r.Press("x\r")
	r.Until(what, canvas+" !== '"+before+"'")
}

// A line that carries nothing any more and tells nobody: the page finds out by
// itself, greys the last frame, and comes back over a new one.
func TestConsoleLeavesAFrozenLine(t *testing.T) {
	t.Parallel()
	r := reach(t, onFile(t), 0)
	r.types(t, "typed before")
	tickets := `performance.getEntriesByType('resource').filter(e => e.name.endsWith('/console/ticket')).length`
	before := testkit.Eval[int](r.Browser, tickets)
	testkit.Eval[bool](r.Browser, `(() => { const r = document.querySelector('[data-console]'), l = document.querySelector('[data-console-last]'); window.grey = []
		new MutationObserver(() => { if (r.dataset.connection !== 'good') window.grey.push([!l.hidden, getComputedStyle(l).filter, document.querySelector('[data-console-status]').textContent]) }).observe(r, {attributes: true, attributeFilter: ['data-connection']})
		return true })()`)
	begun := time.Now()
	r.line.freeze()
	r.Until("noticed", lost+" || window.grey.length")
	noticed := time.Since(begun)
	r.Until("back over a new line", operates+" && "+sameLoad)
	back := time.Since(begun)
	t.Logf("noticed after %s, back after %s", noticed.Round(100*time.Millisecond), back.Round(100*time.Millisecond))
	if noticed > 12*time.Second || back > 20*time.Second {
		t.Errorf("noticed after %s, back after %s", noticed, back)
	}
	if fresh := testkit.Eval[int](r.Browser, tickets); fresh <= before {
		t.Error("it came back without a fresh ticket")
	}
	if grey := testkit.Eval[string](r.Browser, "JSON.stringify(window.grey[0])"); !strings.HasPrefix(grey, `[true,"grayscale(1)`) || !strings.Contains(grey, "Connection lost") {
		t.Errorf("meanwhile it showed %s", grey)
	}
	r.types(t, "typed after")
	// Live again as a whole: what happens to the machine is told to the page.
	choose(r.Browser, "console-power", "[data-console-op=reset]")
	r.Click("#ask-reset [type=submit]")
	r.UntilText("Reset web-1: done.")
}

// A balancer that cuts idle connections cuts no console: whoever says nothing
// is pinged. One that cuts all the same is come back from.
func TestConsoleOutlivesABalancersIdleCut(t *testing.T) {
	t.Parallel()
	const idle = 20 * time.Second
	r := reach(t, onFile(t), idle)
	// Beside the page a client that says hello, and then nothing, ever.
	a, err := r.visitor.Post(r.page+"/console/ticket", map[string][]string{"mode": {"view"}})
	var ticket struct {
		Ticket string `json:"ticket"`
		URL    string `json:"url"`
	}
	if err != nil || a.Status != http.StatusOK || json.Unmarshal([]byte(a.Body), &ticket) != nil {
		t.Fatalf("ticket: %d %v %s", a.Status, err, a.Body)
	}
	dialer := websocket.Dialer{Subprotocols: []string{"binary", "ticket." + ticket.Ticket}}
	conn, _, err := dialer.Dial(ticket.URL, http.Header{"Origin": {r.visitor.URL}, "Cookie": {r.visitor.Cookies(t)}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, hello := range []string{"RFB 003.008\n", "\x01", "\x01"} { // version, no password, shared
		if err := conn.WriteMessage(websocket.BinaryMessage, []byte(hello)); err != nil {
			t.Fatal(err)
		}
	}
	pings := make(chan time.Time, 10)
	answer := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { pings <- time.Now(); return answer(data) })
	gone := make(chan error, 1)
	go func() {
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				gone <- err
				return
			}
		}
	}()
	var last time.Time
	for n := range 3 {
		select {
		case at := <-pings:
			if !last.IsZero() && at.Sub(last) > 17*time.Second {
				t.Errorf("ping %d came after %s", n, at.Sub(last))
			}
			last = at
		case err := <-gone:
			t.Fatalf("cut after %d pings: %v", n, err)
		case <-time.After(idle):
			t.Fatalf("no ping %d", n)
		}
	}
	if !testkit.Eval[bool](r.Browser, operates+" && "+sameLoad+" && !document.querySelector('[data-console]').dataset.resumedMs") {
		t.Error("the page lost its console")
	}
	r.types(t, "still typing")
	// The line does cut: what nobody uses, such as the visitor's own connection.
	if r.line.idleCuts() == 0 {
		t.Error("the balancer cut nothing in all that time: this test proves nothing")
	}
	r.line.cut()
	r.Until("back by itself", operates+" && "+sameLoad+" && document.querySelector('[data-console]').dataset.resumedMs")
	r.types(t, "typed after")
}

// A machine that moves to another host, or a host whose agents restart: its
// screen goes without a word, and there is none for a while.
func TestConsoleFollowsAMachineThatMoves(t *testing.T) {
	t.Parallel()
	r := reach(t, onFile(t), 0)
	for _, fault := range []string{"", "HostNotConnected", "InvalidHostState"} {
		r.types(t, "typed before")
		testkit.Eval[bool](r.Browser, "delete document.querySelector('[data-console]').dataset.resumedMs")
		if fault != "" {
			r.vcenter.Faults(t, lab.FaultRequest{Fail: []lab.Fault{{Method: "AcquireTicket", Times: 2, Type: fault}}})
		}
		r.vcenter.Faults(t, lab.FaultRequest{DropScreens: true})
		r.Until("back by itself, "+fault, operates+" && "+sameLoad+" && document.querySelector('[data-console]').dataset.resumedMs")
	}
	r.types(t, "typed after")
}

// A node that is told to go (SIGTERM) sends its pages to another one first.
func TestConsoleMovesOffANodeThatGoes(t *testing.T) {
	t.Parallel()
	r := reach(t, testkit.PostgresURL(t), 0)
	other := testkit.FreeAddr(t)
	r.site.StartNode("second", other)
	// From the next socket on, the page tells how each one ended.
	testkit.Eval[bool](r.Browser, `(() => { window.codes = []
		WebSocket = new Proxy(WebSocket, {construct(W, a) { const s = new W(...a); s.addEventListener('close', e => window.codes.push(e.code)); return s }})
		return true })()`)
	r.line.cut()
	const back = operates + " && " + sameLoad + " && document.querySelector('[data-console]').dataset.resumedMs"
	r.Until("back on the first node", back)
	testkit.Eval[bool](r.Browser, "window.codes = [], delete document.querySelector('[data-console]').dataset.resumedMs")
	r.line.lead(other)
	if !r.node.Stop(20 * time.Second) {
		t.Error("the node did not end by itself")
	}
	r.Until("back on the second node", back)
	if codes := testkit.Eval[string](r.Browser, "window.codes.join()"); codes != "1012" {
		t.Errorf("the sockets ended with %q, want one 1012", codes)
	}
	r.types(t, "typed there")
	away := testkit.Eval[float64](r.Browser, "Number(document.querySelector('[data-console]').dataset.resumedMs)")
	t.Logf("%.0f ms without a picture", away)
}
