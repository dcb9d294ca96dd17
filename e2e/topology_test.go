package e2e_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// The picture of the network: it shows what there is, follows what changes,
// folds what is many, and leads to each thing by keyboard.
func TestTopologyShowsAndFollowsTheNetwork(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t, "--clone-delay", "200ms", "--guest-boot-delay", "100ms")
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "topology"))
	signIn(b, "admin@acme.example")
	b.Open("/orgs/acme/network/topology")
	b.Until("networks and machines", "document.querySelector('[data-topology^=network-]') && document.querySelector('[data-topology^=machine]')")
	b.Shot("01-bare")

	post := func(what, path, fields string) {
		t.Helper()
		if !testkit.Eval[bool](b, fmt.Sprintf(`fetch('/orgs/acme/%s', {method: 'POST', body: new URLSearchParams(%s)}).then(r => r.ok)`, path, fields)) {
			t.Fatalf("%s was refused", what)
		}
	}
	public := strconv.Itoa(port(t))
	post("the service", "network/services", `{name: 'shop', protocol: 'http', port: '`+public+`', public_ip: '', balancing: 'least_connections', monitor: 'http', path: '/', idle: '60',
		sources: '0.0.0.0/0', accept: 'yes', price: '1000000'}`)
	b.Until("the service comes by itself, down: nobody is behind it", "document.querySelector('[data-topology^=service-]')?.dataset.state === 'Down'")
	service := testkit.Eval[string](b, "document.querySelector('[data-topology^=service-]').getAttribute('href').split('/').pop()")
	machine := testkit.Eval[string](b, `fetch('/orgs/acme/machines?q=web-1').then(r => r.text()).then(t => new DOMParser().parseFromString(t, 'text/html').querySelector('[data-machine-id]').dataset.machineId)`)
	post("the node", "network/services/"+service+"/nodes", `{machine: '`+machine+`', port: '80', enabled: 'yes'}`)
	b.Until("its node comes, and both go up", "document.querySelector('[data-topology^=node-]')?.dataset.state === 'Up' && document.querySelector('[data-topology^=service-]').dataset.state === 'Up'")
	b.Shot("02-up")
	post("the power", "machines/"+machine+"/power", `{op: 'stop'}`)
	b.Until("the machine dies: the picture says so", "document.querySelector('[data-topology^=node-]').dataset.state === 'Down' && document.querySelector('[data-topology^=service-]').classList.contains('tone-bad')")
	b.Shot("03-down")
	b.Until("and so does the list", "document.querySelector('.topo-list').innerText.includes('shop, HTTP "+public+", Down')")

	// Every box is a link that the keyboard reaches.
	testkit.Eval[bool](b, "document.querySelector('.topo-frame').focus(), true")
	b.Press("\t")
	b.Until("the first box has the focus", "document.activeElement.dataset.topology === 'internet'")
	testkit.Eval[bool](b, "document.querySelector('[data-topology^=service-]').focus(), true")
	b.Press("\r")
	b.Until("Enter leads there", "location.pathname.endsWith('/services/"+service+"')")

	// Many machines fold into one box; a link with the state in it opens them.
	b.Open("/orgs/acme/machines/new")
	first := func(field string) string {
		return testkit.Eval[string](b, "document.querySelector('input[name="+field+"]').value")
	}
	post("the order", "machines", `{name: 'batch', template: '`+first("template")+`', instance_type: '`+first("instance_type")+`', count: '7'}`)
	b.Open("/orgs/acme/network/topology")
	b.Until("they fold", "/^[0-9]+ machines$/.test(document.querySelector('[data-topology^=machines-] .topo-title')?.textContent)")
	b.Shot("04-folded")
	testkit.Eval[bool](b, "document.querySelector('[data-topology^=machines-]').focus(), true")
	b.Press("\r")
	b.Until("opened, by its address", "location.search.includes('open=machines-') && document.querySelectorAll('[data-topology^=machine-]').length > 6")
	b.Shot("05-opened")
	for _, fault := range b.Axe() {
		t.Error(fault)
	}
	b.Look(390, 844, true)
	if over := testkit.Eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		t.Errorf("%d pixels wider than a phone", over)
	}
	b.Shot("06-phone")
	for _, m := range b.Messages() {
		t.Errorf("the browser says: %s", m)
	}
}
