package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// postRule adds a firewall rule behind the page's back, as a colleague would.
const postRule = `fetch('/orgs/acme/network/firewall', {method: 'POST', redirect: 'manual',
	body: new URLSearchParams({direction: 'in', protocol: 'any', allow: 'no', enabled: 'yes', comment: 'by a colleague'})}).then(() => true)`

// What somebody types or has opened stays while the page around it follows what
// others do.
func TestLivePagesLeaveWhatIsTyped(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t, "--clone-delay", "500ms", "--guest-boot-delay", "200ms")
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "network-live"))
	signIn(b, "admin@acme.example")

	b.Open("/orgs/acme/network/firewall")
	b.Fill("#outside", "203.0.113.0/24")
	b.Fill("#ask-source", "203.0.113.")
	testkit.Eval[bool](b, postRule)
	b.Until("the colleague's rule comes by itself", "document.querySelectorAll('tr[data-rule-id]').length === 1")
	b.Until("what was typed is there", `document.activeElement.id === 'ask-source' && document.activeElement.value === '203.0.113.' &&
		document.querySelector('#outside').value === '203.0.113.0/24'`)
	b.Press("9")
	b.Until("and one can go on", "document.querySelector('#ask-source').value === '203.0.113.9'")

	// The same for a form that stands within a live part, whatever the answer
	// brings: none of today's pages has one with fields, and the next will.
	testkit.Eval[bool](b, "document.querySelector('#firewall').prepend(document.querySelector('#rule-form')), true")
	testkit.Eval[bool](b, postRule)
	b.Until("the second rule", "document.querySelectorAll('tr[data-rule-id]').length === 2")
	b.Until("the form stayed as it was", "document.querySelector('#firewall #outside')?.value === '203.0.113.0/24'")

	// A question that is open stays open.
	b.Open("/orgs/acme/network")
	b.Click("a[data-dialog-open^='ask-release-']")
	b.Until("the question", "document.querySelector('dialog[open]')")
	testkit.Eval[bool](b, "document.querySelector('#network').dataset.old = '1', document.body.dispatchEvent(new CustomEvent('mw:all')), true")
	b.Until("a refresh came", "!document.querySelector('#network').dataset.old")
	if !testkit.Eval[bool](b, "document.querySelector('dialog[open]:modal') !== null") {
		t.Error("the refresh closed the question")
	}
	for _, m := range b.Messages() {
		t.Errorf("the browser says: %s", m)
	}
}
