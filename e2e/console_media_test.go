package e2e_test

import (
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// A CD in the machine, from the bar of its console, from its page and from a
// phone; the whole screen; and the keyboard of a phone.
func TestConsoleTakesCDsAndPhones(t *testing.T) {
	t.Parallel()
	address, _, _ := demo(t, "--clone-delay", "100ms", "--guest-boot-delay", "300ms")
	b := newBrowser(t, address, "user@acme.example")
	consoleOf(b, "web-1")
	b.Until("a picture", operates)
	machine := strings.TrimSuffix(b.Path(), "/console")

	const (
		empty  = "document.querySelector('#console-media:popover-open [data-media-inserted=\"\"] select')"
		holds  = "document.querySelector('#console-media:popover-open [data-media-inserted=\"acme/acme-appliance-4.2.iso\"]')"
		marked = "document.querySelector('[data-console-part=cd]').textContent.includes('acme-appliance-4.2.iso is in the drive')"
		pick   = "(s => { s.value = 'acme/acme-appliance-4.2.iso'; return s.value !== '' })(document.querySelector('[data-media] select'))"
	)
	menu := func(want string) {
		t.Helper()
		if !testkit.Eval[bool](b, "document.querySelector('#console-media').matches(':popover-open')") {
			b.Click("[popovertarget=console-media]")
		}
		b.Until("the drive", want)
	}
	insert := func() {
		t.Helper()
		if !testkit.Eval[bool](b, pick) {
			t.Fatal("the library does not have the file")
		}
		b.Click("[data-media] form:has(select) button")
	}
	menu(empty)
	shots(t, b, "cd-menu")
	menu(empty)
	b.UntilText("upload")
	insert()
	b.UntilText("Change CD of web-1: done.")
	b.Until("the bar tells of it", marked)
	menu(holds)
	shots(t, b, "cd-in")

	// The machine's page shows it too; ejected there, without the console.
	b.Open(machine)
	b.UntilText("acme/acme-appliance-4.2.iso")
	shots(t, b, "cd-machine")
	b.Click("a[href$='/media']")
	b.Until("its own page", "document.querySelector('main [data-media-inserted=\"acme/acme-appliance-4.2.iso\"]')")
	shots(t, b, "cd-page")
	b.Click("main form:has([name=eject]) button")
	b.Until("ejected", "location.pathname.endsWith('"+machine+"') && /Virtual CD\\s+Empty/.test(document.body.innerText)")

	// From a phone: the tools are one menu there.
	b.Open(machine + "/console")
	b.Until("a picture again", operates)
	testkit.Eval[bool](b, record)
	b.Phone()
	tool := func(selector string) {
		t.Helper()
		if !testkit.Eval[bool](b, "document.querySelector('#console-tools').matches(':popover-open')") {
			b.Click("[popovertarget=console-tools]")
		}
		b.Until("the tool "+selector, "document.querySelector('"+selector+"').checkVisibility()")
		b.Click(selector)
	}
	tool("[popovertarget=console-media]")
	b.Until("the drive", empty)
	b.Shot("cd-menu-phone")
	insert()
	b.Until("the bar tells of it", marked)
	b.Shot("cd-told-phone")

	// Full screen is asked of the browser for the whole page, and the keys that
	// the browser keeps for itself are asked for with it.
	testkit.Eval[bool](b, `(() => { Element.prototype.requestFullscreen = function (o) { window.full = this.tagName + ' ' + o.navigationUI; return Promise.resolve() }
		Object.defineProperty(navigator, 'keyboard', {value: {lock: () => { window.full += ' grab'; return Promise.resolve() }, unlock() {}}}); return true })()`)
	tool("[data-console-full]")
	b.Until("full screen and the keys were asked for", "window.full === 'HTML hide grab'")

	// A phone's keyboard: no key codes, only what becomes of a text.
	tool("[data-console-touch]")
	b.Until("its field has the focus", "document.activeElement.matches('[data-touch-field]')")
	const typed = "window.keys.map(k => String.fromCharCode(parseInt(k.split('/')[1], 16))).join('')"
	testkit.Eval[bool](b, "window.keys = [], document.execCommand('insertText', false, 'hello')")
	b.Until("hello is typed", typed+" === 'hello'")
	testkit.Eval[bool](b, "window.keys = [], document.execCommand('delete')")
	b.Until("and its last letter taken back", "window.keys.join() === 'e/ff08'")
	testkit.Eval[bool](b, "window.keys = [], true")
	b.Click("[data-touch-key=ctrl]")
	testkit.Eval[bool](b, "document.execCommand('insertText', false, 'c')")
	b.Until("Ctrl goes along with the next letter", "window.keys.join() === '1d/ffe3,/63' && document.querySelector('[data-touch-key=ctrl]').ariaPressed === 'false'")
	b.Shot("touch-phone")
	tool("[data-console-touch]")
	b.Until("put away", "document.querySelector('[data-touch-row]').hidden")
	b.Look(1440, 900, false)
}
