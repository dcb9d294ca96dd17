package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// comments are the firewall's rules in their order, by their comments.
const comments = `[...document.querySelectorAll('tr[data-rule-id] td[data-label=Comment]')].map(e => e.textContent.trim()).join(' ')`

// A firewall rule follows the mouse: let go in another place it is stored
// there, and Escape or a place that is none gives it back.
func TestRuleIsDraggedToItsPlace(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t, "--seed-machines", "3")
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "network-drag"))
	signIn(b, "admin@acme.example")
	b.Open("/orgs/acme/network/firewall")
	for _, name := range []string{"one", "two", "three"} {
		testkit.Eval[bool](b, `fetch('/orgs/acme/network/firewall', {method: 'POST', body: new URLSearchParams({direction: 'in', protocol: 'any', allow: 'no', enabled: 'yes', comment: '`+name+`'})}).then(r => r.ok)`)
	}
	b.Open("/orgs/acme/network/firewall")
	b.Until("three rules", comments+" === 'one two three'")
	row := func(n string) string { return "#rule-rows tr[data-position='" + n + "']" }

	// Down, over the last.
	b.Grab(row("1") + " td")
	b.DragTo(row("2"), 0.8)
	b.Until("it goes with the mouse", comments+" === 'two one three'")
	b.DragTo(row("3"), 0.8)
	b.Until("to the end", comments+" === 'two three one'")
	b.Shot("01-held")
	b.LetGo(row("1"), 0.5)
	b.Until("it is stored", comments+" === 'two three one' && document.querySelector('tr[data-rule-id]').dataset.position === '1'")
	b.Open("/orgs/acme/network/firewall")
	b.Until("and is there after a reload", comments+" === 'two three one'")

	// Up again, and Escape: nothing is changed, nothing is sent.
	b.Grab(row("3") + " td")
	b.DragTo(row("1"), 0.2)
	b.Until("it goes with the mouse", comments+" === 'one two three'")
	b.CancelDrag()
	b.Until("Escape gives it back", comments+" === 'two three one'")
	b.LetGo(row("1"), 0.2)

	// Let go where no rule is.
	b.Grab(row("3") + " td")
	b.DragTo(row("1"), 0.2)
	b.Until("it goes with the mouse once more", comments+" === 'one two three'")
	b.DragTo("h1", 0.5)
	b.LetGo("h1", 0.5)
	b.Until("let go elsewhere, it goes back", comments+" === 'two three one'")
	b.Open("/orgs/acme/network/firewall")
	b.Until("the order is as it was", comments+" === 'two three one'")

	// The buttons do the same.
	b.Click(row("3") + " button[name=by][value=up]")
	b.Until("up by the button", comments+" === 'two one three'")
	for _, m := range b.Messages() {
		t.Errorf("the browser says: %s", m)
	}
}
