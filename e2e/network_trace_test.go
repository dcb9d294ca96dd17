package e2e_test

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// "Why can't I reach it?": from nothing behind the service to a connection that
// the gateway itself makes, and what a stopped machine does to it.
func TestTraceLeadsToWhatIsWrong(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t, "--clone-delay", "500ms", "--guest-boot-delay", "200ms")
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "trace"))
	signIn(b, "admin@acme.example")
	b.Open("/orgs/acme/network/services/new?step=4&name=shop&protocol=http&port=" + strconv.Itoa(port(t)) + "&balancing=round_robin&monitor=http&path=/&idle=60&sources=0.0.0.0/0")
	b.Click("#accept")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("at the service", "/services\\/[0-9a-f-]{36}$/.test(location.pathname)")
	service := b.Path()

	b.Open(service + "/trace")
	b.Until("no node is what fails", "document.querySelector('#trace')?.dataset.first === 'node'")
	b.Shot("01-no-node")
	b.Click(".notice a[data-mend=node]")
	b.Until("where a node is added", "location.pathname.endsWith('/nodes/new')")
	b.Fill("input[type=search]", "web-1")
	b.Press("\r")
	b.Until("one machine is left", "location.search.includes('q=web-1') && document.querySelectorAll('tr[data-machine-id]').length === 1")
	b.Click("tr[data-machine-id] a.btn")
	b.Until("its port is asked for", "document.querySelector('input[name=machine]') && document.querySelector('#port')")
	machine := testkit.Eval[string](b, "document.querySelector('input[name=machine]').value")
	b.Fill("#port", "80")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("the node is there", "document.querySelector('tr[data-node-id]')")

	b.Open(service + "/trace")
	b.Until("all is well but for what nobody tried", "document.querySelector('#trace').dataset.first === '' && document.querySelector('[data-trace=health]').dataset.traceState === 'ok'")
	b.Click("#probe button[type=submit]")
	b.Until("the gateway's own try shows", "document.querySelector('[data-trace=listener]')?.dataset.traceState === 'ok'")
	b.Shot("02-all-well")

	// A source that a rule refuses.
	b.Open("/orgs/acme/network/firewall")
	b.Fill("#outside", "203.0.113.0/24")
	testkit.Eval[bool](b, "document.querySelector('#allow').value = 'no', document.querySelector('#protocol').value = 'any', true")
	b.Click("#rule-form button[type=submit]")
	b.Until("the rule is listed", "document.querySelector('tr[data-rule-id]')")
	b.Open(service + "/trace")
	b.Fill("#source", "203.0.113.9")
	b.Click("#trace-source button[type=submit]")
	b.Until("the rule is named", "document.querySelector('#trace')?.dataset.first === 'firewall' && document.body.textContent.includes('by rule 1')")
	b.Shot("03-firewall")

	// The machine goes: the page says so by itself, and a try fails.
	b.Open(service + "/trace?source=198.51.100.9")
	b.Until("well for others", "document.querySelector('#trace').dataset.first === ''")
	testkit.Eval[bool](b, "fetch('/orgs/acme/machines/"+machine+"/power', {method: 'POST', body: new URLSearchParams({op: 'stop'})}).then(r => r.ok)")
	b.Until("the machine is what fails", "document.querySelector('#trace').dataset.first === 'machine' && document.querySelector('[data-trace=health]').dataset.traceState === 'failed'")
	b.Click("#probe button[type=submit]")
	b.Until("the gateway can't connect", "document.querySelector('[data-trace=listener]')?.dataset.traceState === 'failed'")
	b.Shot("04-machine-off")
	b.Look(390, 844, true)
	b.Shot("05-narrow-dark")
	for _, v := range b.Axe() {
		t.Error(v)
	}
	for _, m := range b.Messages() {
		t.Errorf("the browser says: %s", m)
	}
}
