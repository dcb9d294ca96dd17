package e2e_test

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// A service with a policy: its only machine is powered off, another is
// ordered, joins, and carries the traffic; the dead one is out.
func TestPolicyReplacesADeadMachine(t *testing.T) {
	t.Parallel()
	url, _, p := demo(t, "--clone-delay", "500ms", "--guest-boot-delay", "200ms")
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "policy"))
	signIn(b, "admin@acme.example")
	b.Open("/orgs/acme/network/services/new?step=4&name=shop&protocol=http&port=" + strconv.Itoa(port(t)) + "&balancing=round_robin&monitor=http&path=/&idle=60&sources=0.0.0.0/0")
	b.Click("#accept")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("at the service", "/services\\/[0-9a-f-]{36}$/.test(location.pathname)")
	service := b.Path()
	b.Open(service + "/nodes/new?q=web-1")
	b.Click("tr[data-machine-id] a.btn")
	b.Until("its port is asked for", "document.querySelector('input[name=machine]') && document.querySelector('#port')")
	machine := testkit.Eval[string](b, "document.querySelector('input[name=machine]').value")
	b.Fill("#port", "80")
	b.Click("form.stack button[type=submit].btn-primary")
	b.Until("the node is up", "document.querySelector('tr[data-node-state=up]')")

	b.Open(service + "/policy")
	b.Until("it proposes the port of the node", "document.querySelector('#port').value === '80'")
	testkit.Eval[bool](b, "document.querySelector('#max').value = '2', document.querySelector('#max').dispatchEvent(new Event('change', {bubbles: true})), true")
	b.Fill("#dead_after", "5")
	b.Fill("#cooldown", "5")
	b.Shot("01-form")
	b.Until("the price follows", "!document.querySelector('#policy-price.htmx-request') && Number(document.querySelector('input[name=price]').value) > 0")
	b.Click("#accept")
	b.Click("#policy-form button[type=submit].btn-primary")
	b.Until("it watches", "document.querySelector('[data-policy-state=watching]')")
	address := testkit.Eval[string](b, "document.body.innerText.match(/127\\.0\\.\\d+\\.\\d+:\\d+/)[0]")
	answer := func() string {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		return string(body)
	}
	if got := answer(); !strings.Contains(got, "web-1") {
		t.Fatalf("before: %q", got)
	}

	testkit.Eval[bool](b, "fetch('/orgs/acme/machines/"+machine+"/power', {method: 'POST', body: new URLSearchParams({op: 'stop'})}).then(r => r.ok)")
	b.Until("a machine is ordered", "document.querySelector('[data-policy-state=acting]') && document.querySelector('[data-act=\"service.replace\"] a')")
	b.Shot("02-acting")
	b.Until("its successor is the only node, and up", "document.querySelectorAll('tr[data-node-id]').length === 1 && document.querySelector('tr[data-node-state=up]')?.textContent.includes('shop-p1')")
	if got := answer(); !strings.Contains(got, "shop-p1") {
		t.Fatalf("after: %q\n%s", got, p.Log())
	}
	b.Until("it watches again", "document.querySelector('[data-policy-state=watching]')")
	b.Shot("03-replaced")
	b.Look(390, 844, true)
	testkit.Eval[bool](b, "document.querySelector('#policy').scrollIntoView(), true")
	b.Shot("04-narrow-dark")
	for _, v := range b.Axe() {
		t.Error(v)
	}
	b.Open(service + "/policy")
	b.Shot("05-form-narrow-dark")
	for _, v := range b.Axe() {
		t.Error(v)
	}
	b.Open("/orgs/acme/history?object=" + service[strings.LastIndex(service, "/")+1:])
	b.UntilText("policy of shop")
	for _, m := range b.Messages() {
		t.Errorf("the browser says: %s", m)
	}
}
