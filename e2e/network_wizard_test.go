package e2e_test

import (
	"bufio"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// Somebody else takes the port while the wizard is being filled in: it comes
// back with all that was typed, the field says who has the port and where, and
// another port is all that it takes to go on.
func TestPortTakenMeanwhileCostsNothingThatWasTyped(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t, "--seed-machines", "3")
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "network-conflict"))
	signIn(b, "admin@acme.example")
	taken, spare := strconv.Itoa(port(t)), strconv.Itoa(port(t))

	b.Open("/orgs/acme/network/services/new")
	b.Fill("#name", "mine")
	b.Click("label:has(input[name=protocol][value=http])")
	b.Fill("#port", taken)
	b.Click("#wizard button[name=step][value='2']")
	b.Until("second step", "location.search.includes('step=2')")
	b.Click("label:has(input[name=monitor][value=http])")
	b.Fill("#path", "/healthz")
	b.Fill("#idle", "75")
	b.Click("#wizard button[name=step][value='3']")
	b.Until("third step", "document.querySelector('#sources')")
	b.Fill("#sources", "198.51.100.0/24")
	b.Click("#wizard button[name=step][value='4']")
	b.Until("the review", "document.querySelector('#accept')")

	// The colleague, by the same forms.
	v := testkit.NewVisitor(t, url)
	v.SignIn(t, "admin@acme.example", "millwright")
	n, _ := strconv.Atoi(taken)
	v.Network(t, "acme").MakeService(testkit.ServiceForm("colleague's", "tcp", n))

	b.Click("#accept")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("the field says who has it", `document.querySelector('#port[aria-invalid=true]') && /colleague's/.test(document.querySelector('#port-error').textContent) &&
		document.querySelector('#port').getAttribute('aria-describedby').includes('port-error')`)
	b.Until("all is there", `document.querySelector('#name').value === 'mine' && document.querySelector('#port').value === '`+taken+`' && document.querySelector('input[name=protocol][value=http]').checked`)
	b.Shot("01-taken")
	for _, fault := range b.Axe() {
		t.Error(fault)
	}
	b.Look(390, 844, true)
	b.Shot("02-taken-narrow-dark")
	b.Look(1440, 900, false)

	b.Fill("#port", spare)
	b.Click("#wizard button[name=step][value='2']")
	b.Until("the check is as it was typed", `document.querySelector('input[name=monitor][value=http]')?.checked && document.querySelector('#path').value === '/healthz' && document.querySelector('#idle').value === '75'`)
	b.Click("#wizard button[name=step][value='3']")
	b.Until("the sources are", "document.querySelector('#sources')?.value.trim() === '198.51.100.0/24'")
	b.Click("#wizard button[name=step][value='4']")
	b.Until("the review again", "document.querySelector('#accept')")
	b.Click("#accept")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("at the service", "/services\\/[0-9a-f-]{36}$/.test(location.pathname) && document.body.innerText.includes(':"+spare+"')")

	// The same port of the other layer-four protocol is another one.
	b.Open("/orgs/acme/network/services/new?step=4&name=beside&protocol=udp&port=" + taken + "&balancing=round_robin&monitor=none&idle=60&sources=198.51.100.0/24")
	b.Click("#accept")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("UDP beside TCP", "/services\\/[0-9a-f-]{36}$/.test(location.pathname) && document.body.innerText.includes('beside')")
}

// A drain, as one watches it: the node says draining, what is open stays and
// is counted, new connections go to the other one, and when the last has ended
// the row says so by itself.
func TestDrainIsWatchedInTheBrowser(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t, "--clone-delay", "200ms", "--guest-boot-delay", "100ms")
	v := testkit.NewVisitor(t, url)
	v.SignIn(t, "admin@acme.example", "millwright")
	n := v.Network(t, "acme")
	n.Outbound()
	order := func(name string) string {
		id, _ := n.OrderMachine(map[string][]string{"name": {name}, "template": {"debian-13"}, "instance_type": {"small"}})
		return id
	}
	one, two := order("drain-one"), order("drain-two")
	service := n.MakeService(testkit.ServiceForm("shell", "tcp", port(t)))
	first := n.AddNode(service, one, 22)
	n.UntilNode(service, first, "up")
	at := n.Endpoint(service)
	banner := func() (net.Conn, string) {
		t.Helper()
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return c, line
	}
	held, on := banner()
	defer held.Close()
	second := n.AddNode(service, two, 22)
	n.UntilNode(service, second, "up")

	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "network-drain"))
	signIn(b, "admin@acme.example")
	b.Open(service)
	row := func(id string) string { return "tr[data-node-id='" + id + "']" }
	state := func(id, state string) string {
		return "document.querySelector(\"" + row(id) + "\")?.dataset.nodeState === '" + state + "'"
	}
	b.Until("both are up, one connection is open", state(first, "up")+" && "+state(second, "up")+" && document.querySelector(\""+row(first)+" td[data-label=Open]\").textContent.trim() === '1'")
	b.Click(row(first) + " button[name=op][value=drain]")
	b.Until("draining, says the gateway", state(first, "draining")+" && /Draining/.test(document.querySelector(\""+row(first)+" .cell-state\").textContent)")
	b.Until("what is open is still open", "document.querySelector(\""+row(first)+" td[data-label=Open]\").textContent.trim() === '1'")
	b.Shot("01-draining")
	for range 4 {
		c, line := banner()
		c.Close()
		if line == on {
			t.Errorf("a new connection came to the draining node: %q", line)
		}
	}
	held.Close()
	b.Until("the last has ended, and the page says so by itself", "document.querySelector(\""+row(first)+" td[data-label=Open]\").textContent.trim() === '0'")
	for _, fault := range b.Axe() {
		t.Error(fault)
	}
	b.Look(390, 844, true)
	b.Shot("02-drained-narrow-dark")
	b.Look(1440, 900, false)
	b.Click(row(first) + " button[name=op][value=enable]")
	b.Until("back again", state(first, "up"))
	b.Click(row(first) + " button[name=op][value=drain]")
	b.Until("drained again", state(first, "draining"))
	b.Click(row(first) + " button[name=op][value=remove]")
	b.Until("gone", "document.querySelectorAll('tr[data-node-id]').length === 1 && "+state(second, "up"))
	for _, m := range b.Messages() {
		t.Errorf("the browser says: %s", m)
	}
}
