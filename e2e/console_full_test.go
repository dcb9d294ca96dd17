package e2e_test

import (
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// Full screen takes a person's key press, and the keyboard with it: Esc goes to
// the machine, the bar waits above the edge, and the same button leads back.
func TestConsoleFillsTheScreen(t *testing.T) {
	t.Parallel()
	address, _, _ := demo(t, "--clone-delay", "100ms", "--guest-boot-delay", "300ms")
	b := newBrowser(t, address, "user@acme.example")
	b.Look(1440, 900, true) // a screen that nobody sees is a small one
	consoleOf(b, "web-1")
	b.Until("a picture", operates)
	if !testkit.Eval[bool](b, `(() => { const k = navigator.keyboard; if (!k?.lock || !document.fullscreenEnabled) return false
		const lock = k.lock, unlock = k.unlock; window.grab = []
		k.lock = function (...keys) { const p = lock.apply(this, keys); p.then(() => window.grab.push('locked'), (e) => window.grab.push(String(e))); return p }
		k.unlock = function () { window.grab.push('unlocked'); return unlock.apply(this) }
		return true })()`) {
		t.Fatal("this browser has no full screen, or can't lock the keyboard")
	}
	full := "document.fullscreenElement === document.documentElement"
	pressed := "document.querySelector('[data-console-full]').getAttribute('aria-pressed')"
	button := func() {
		t.Helper()
		testkit.Eval[bool](b, "document.querySelector('[data-console-full]').focus(), true")
		b.Press("\r")
	}
	button()
	b.Until("full screen", full+" && "+pressed+" === 'true'")
	b.Until("the keyboard is the machine's", "window.grab.join() === 'locked'")

	// The whole of it is the screen's, but for the tab by which the bar is found.
	b.Click("[data-console-screen] canvas")
	b.Until("the bar is out of the way", "document.querySelector('[data-console-bar]').getBoundingClientRect().bottom <= 6")
	if !testkit.Eval[bool](b, "(v => v.top <= 1 && v.bottom >= innerHeight - 1 && v.left <= 1 && v.right >= innerWidth - 1)(document.querySelector('[data-console-view]').getBoundingClientRect())") {
		t.Errorf("the view is %s", testkit.Eval[string](b, "JSON.stringify(document.querySelector('[data-console-view]').getBoundingClientRect())"))
	}
	b.Shot("full-screen")
	testkit.Eval[bool](b, "window.keys = [], true")
	b.Press("\x1b")
	b.Until("Esc went to the machine", "window.keys.includes('1/ff1b')")
	before := testkit.Eval[string](b, canvas)
	b.Press("root\r")
	b.Until("typing is seen", canvas+" !== '"+before+"'")
	if !testkit.Eval[bool](b, full) {
		t.Error("a key led out of full screen")
	}

	// The chord brings the bar down, and its button leads out.
	b.CtrlAltShift()
	b.Until("the bar is there", "document.activeElement.closest('[data-console-bar]') && document.querySelector('[data-console-bar]').getBoundingClientRect().top >= -1")
	b.Shot("full-screen-bar")
	axeClean(t, b, "full screen")
	button()
	b.Until("as before", "!document.fullscreenElement && "+pressed+" === 'false'")
	b.Until("the keyboard is the browser's again", "window.grab.join() === 'locked,unlocked'")
	b.Until("still connected", operates+" && "+sameLoad)
	for _, m := range b.Messages() {
		if strings.Contains(m, "Permissions") || strings.Contains(m, "ullscreen") {
			t.Errorf("the browser says: %s", m)
		}
	}
}
