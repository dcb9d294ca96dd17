package e2e_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// The network as an admin goes about it: the public address first, both
// wizards, a port that is taken, a drain, the firewall's dry run, a device.
func TestAdminPublishesAMachine(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t, "--clone-delay", "500ms", "--guest-boot-delay", "200ms")
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "network"))
	signIn(b, "admin@acme.example")

	b.Open("/orgs/acme/network")
	b.Until("the outbound address stands first", "document.querySelector('[data-outbound]').dataset.outbound.startsWith('127.0.10.')")
	b.Shot("01-overview")

	// The service wizard: back keeps what was typed.
	b.Open("/orgs/acme/network/services/new")
	b.Fill("#name", "shop")
	public := strconv.Itoa(port(t))
	b.Fill("#port", public)
	b.Shot("02-what")
	b.Click("#wizard button[name=step][value='2']")
	b.Until("second step", "location.search.includes('step=2')")
	b.Click("label:has(input[name=monitor][value=http])")
	b.Fill("#path", "/")
	b.Shot("03-health")
	b.Click("#wizard button[name=step][value='1']")
	b.Until("back at the first, filled in", "document.querySelector('#name')?.value === 'shop' && document.querySelector('#port').value === '"+public+"'")
	b.Click("#wizard button[name=step][value='2']")
	b.Until("the check was kept", "document.querySelector('input[name=monitor][value=http]')?.checked")
	b.Click("#wizard button[name=step][value='3']")
	b.Until("third step", "document.querySelector('#sources')")
	b.Click("#wizard button[name=step][value='4']")
	b.Until("nobody may come: it asks", "document.querySelector('#sources[aria-invalid=true]')")
	testkit.Eval[bool](b, "document.querySelector('#sources').value = '0.0.0.0/0', true")
	b.Click("#wizard button[name=step][value='4']")
	b.Until("the review", "document.querySelector('#accept')")
	b.Shot("04-review")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("the price has to be accepted", "document.querySelector('#accept[aria-invalid=true]')")
	b.Click("#accept")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("at the service", "/services\\/[0-9a-f-]{36}$/.test(location.pathname)")
	service := b.Path()
	b.Shot("05-service")

	// The same port again: before any price is shown, the conflict names who has it.
	b.Open("/orgs/acme/network/services/new?step=4&name=other&protocol=http&port=" + public + "&balancing=round_robin&monitor=none&idle=60&sources=0.0.0.0/0")
	b.Until("the conflict", "document.querySelector('#port-error')?.textContent.includes('shop')")
	b.Shot("06-conflict")

	// The node wizard: search, choose, port; then drain and remove.
	b.Open(service + "/nodes/new")
	b.Fill("input[type=search]", "web-1")
	b.Press("\r")
	b.Until("one machine is left", "location.search.includes('q=web-1') && document.querySelectorAll('tr[data-machine-id]').length === 1")
	b.Click("tr[data-machine-id] a.btn")
	b.Until("its port is asked for", "document.querySelector('input[name=machine]') && document.querySelector('#port')")
	b.Fill("#port", "80")
	b.Shot("07-node")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("the node is there", "document.querySelector('tr[data-node-id]')")
	b.Shot("08-nodes")
	b.Click("button[name=op][value=drain]")
	b.Until("draining", "document.querySelector('tr[data-node-id]')?.dataset.draining === 'yes'")
	b.Shot("09-draining")
	b.Click("button[name=op][value=remove]")
	b.Until("gone", "!document.querySelector('tr[data-node-id]')")

	// The firewall: a rule, and what it would do.
	b.Open("/orgs/acme/network/firewall")
	b.Fill("#outside", "203.0.113.0/24")
	testkit.Eval[bool](b, "document.querySelector('#allow').value = 'no', document.querySelector('#protocol').value = 'any', true")
	b.Click("#rule-form button[type=submit]")
	b.Until("the rule is listed", "document.querySelector('tr[data-rule-id]')")
	b.Fill("#ask-source", "203.0.113.9")
	b.Fill("#ask-port", public)
	b.Click("#ask button[type=submit]")
	b.Until("refused by rule 1", "document.querySelector('[data-verdict]')?.dataset.verdict === 'no' && document.body.textContent.includes('by rule 1')")
	b.Shot("10-firewall")

	// A device: its key is made here, and only here.
	b.Open("/orgs/acme/network/vpn")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("the VPN is on", "document.querySelector('[data-vpn-form]')")
	b.Until("the key is ready", "document.querySelector('[data-vpn-key-note]').textContent.includes('in this browser')")
	b.Fill("#device", "laptop")
	b.Click("[data-vpn-form] button[type=submit]")
	b.Until("the configuration has its key", "document.querySelector('[data-vpn-config]') && !document.querySelector('[data-vpn-config]').textContent.includes('PRIVATE_KEY_OF') && document.querySelector('[data-vpn-qr] svg path')")
	b.Shot("11-device")
	b.Open("/orgs/acme/network")
	b.Shot("12-overview")
	b.Open("/orgs/acme/network/private/new")
	b.Fill("#name", "backend")
	b.Fill("#cidr", "10.99.0.0/24")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("the network is drawn", "document.querySelector('svg.address-map')")
	b.Shot("13-private")
	for _, m := range b.Messages() {
		if strings.Contains(m, "status of 422") { // the refusals above
			continue
		}
		t.Errorf("the browser says: %s", m)
	}
}
