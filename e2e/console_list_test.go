package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/testkit"
)

// screenOf opens a console as a program does, and reads its greeting.
func screenOf(t *testing.T, v *testkit.Visitor, machine string) *websocket.Conn {
	t.Helper()
	a, err := v.Post(machine+"/console/ticket", map[string][]string{"mode": {"view"}})
	var ticket struct {
		Ticket string `json:"ticket"`
		URL    string `json:"url"`
	}
	if err != nil || a.Status != http.StatusOK || json.Unmarshal([]byte(a.Body), &ticket) != nil {
		t.Fatalf("ticket: %d %v %s", a.Status, err, a.Body)
	}
	dialer := websocket.Dialer{Subprotocols: []string{"binary", "ticket." + ticket.Ticket}}
	conn, _, err := dialer.Dial(ticket.URL, http.Header{"Origin": {v.URL}, "Cookie": {v.Cookies(t)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, greeting, err := conn.ReadMessage(); err != nil || string(greeting) != "RFB 003.008\n" {
		t.Fatalf("the screen says %q: %v", greeting, err)
	}
	return conn
}

// Whose screens are open comes and goes before an admin's eyes, without a
// reload, and so does what a search narrows it to.
func TestOpenConsolesComeAndGoBeforeOnesEyes(t *testing.T) {
	t.Parallel()
	address, _, _ := demo(t, "--clone-delay", "100ms", "--guest-boot-delay", "100ms")
	v := testkit.NewVisitor(t, address)
	v.SignIn(t, "user@acme.example", "millwright")
	b := newBrowser(t, address, "admin@acme.example")
	b.Open("/orgs/acme/machines?q=web-")
	machine := func(name string) string {
		t.Helper()
		return testkit.Eval[string](b, `[...document.querySelectorAll('tr[data-machine-id] a')].find(a => a.textContent.trim() === '`+name+`').getAttribute('href')`)
	}
	first, second := machine("web-1"), machine("web-2")

	const here = " && window.here"
	rows := func(names ...string) string {
		return `[...document.querySelectorAll('tr[data-console-id] td.first')].map(e => e.textContent.trim()).sort().join() === '` + strings.Join(names, ",") + "'" + here
	}
	b.Open("/orgs/acme/consoles")
	b.UntilText("No console is open")
	shots(t, b, "consoles-none")
	testkit.Eval[bool](b, "window.here = true")
	one := screenOf(t, v, first)
	b.Until("the first comes", rows("web-1"))
	two := screenOf(t, v, second)
	b.Until("the second comes", rows("web-1", "web-2"))
	_ = one.Close()
	b.Until("the first goes", rows("web-2"))

	b.Fill("[name=q]", "web-1")
	b.Press("\r")
	b.Until("searched", "new URLSearchParams(location.search).get('q') === 'web-1' && document.body.innerText.includes('No open console matches')")
	shots(t, b, "consoles-no-match")
	testkit.Eval[bool](b, "window.here = true")
	third, fourth := screenOf(t, v, second), screenOf(t, v, first)
	b.Until("what matches comes, and nothing else", rows("web-1"))
	shots(t, b, "consoles-search")
	_, _ = third.Close(), fourth.Close()
	b.Until("it goes", "document.body.innerText.includes('No open console matches')"+here)
	b.Click("main form[role=search] a")
	b.Until("all of them", "location.search === '' && document.querySelectorAll('tr[data-console-id]').length === 1")
	_ = two.Close()
}
