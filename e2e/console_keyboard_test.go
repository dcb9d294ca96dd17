package e2e_test

import (
	"slices"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// Whoever has no mouse gets everywhere: from the bar through every tool to the
// screen, which takes all keys, and by one chord out of it again.
func TestConsoleIsWorkedWithoutAMouse(t *testing.T) {
	t.Parallel()
	address, _, _ := demo(t, "--clone-delay", "100ms", "--guest-boot-delay", "300ms")
	b := newBrowser(t, address, "user@acme.example")
	consoleOf(b, "web-1")
	b.Until("a picture", operates)
	b.Until("the keyboard is at the screen", "document.querySelector('[data-console-screen]').contains(document.activeElement)")

	const at = `(e => e.closest('[data-console-screen]') ? 'screen' : e.getAttribute('popovertarget') || (e.dataset.dialogOpen ?? '') || Object.keys(e.dataset).find(n => n.startsWith('console')) || e.getAttribute('aria-label') || e.tagName)(document.activeElement)`
	// Tab is the machine's while the screen has the keyboard.
	testkit.Eval[bool](b, "window.keys = [], true")
	b.Press("\t")
	b.Until("Tab went to the machine", "window.keys.includes('f/ff09')")
	if on := testkit.Eval[string](b, at); on != "screen" {
		t.Errorf("Tab led from the screen to %s", on)
	}
	// The chord that the page names leads back to the bar, and no key stays
	// down in the machine.
	if !testkit.Eval[bool](b, "document.querySelector('[data-console-screen]').ariaLabel.includes('Ctrl-Alt-Shift') && document.querySelector('#console-keys').textContent.includes('Ctrl-Alt-Shift')") {
		t.Error("the page doesn't name the chord")
	}
	b.CtrlAltShift()
	b.Until("out of the screen", "document.activeElement.closest('[data-console-bar]')")

	// Through the bar by Tab alone: everything that can be seen and used there.
	all := testkit.Eval[[]string](b, `[...document.querySelectorAll('[data-console-bar] :is(a, button)')].filter(e => e.checkVisibility() && !e.disabled).map(e => e.setAttribute('data-nth', Math.random().toString(36).slice(2)) || e.dataset.nth)`)
	var reached []string
	for range len(all) + 5 {
		reached = append(reached, testkit.Eval[string](b, "document.activeElement.dataset.nth ?? ''"))
		if testkit.Eval[string](b, at) == "screen" {
			break
		}
		visible := testkit.Eval[bool](b, "document.activeElement.matches(':focus-visible') && parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2")
		if !visible {
			t.Errorf("it can't be seen that %s has the keyboard", testkit.Eval[string](b, at))
		}
		b.Press("\t")
	}
	for _, nth := range all {
		if !slices.Contains(reached, nth) {
			t.Errorf("Tab does not lead to %s", testkit.Eval[string](b, `document.querySelector('[data-nth="`+nth+`"]').outerHTML.slice(0, 200)`))
		}
	}
	if len(all) < 9 {
		t.Errorf("the bar has %d controls", len(all))
	}
	b.Until("and on to the screen", at+" === 'screen'")

	// Each menu opens, is walked and closes; each state of it is clean.
	for _, menu := range []string{"console-power", "console-keys", "console-look"} {
		b.CtrlAltShift()
		testkit.Eval[bool](b, "document.querySelector('[popovertarget="+menu+"]').focus(), true")
		b.Press("\r")
		b.Until(menu+" is open, its first item has the keyboard", "document.querySelector('#"+menu+"').matches(':popover-open') && document.activeElement.closest('#"+menu+"')?.id && document.activeElement.role.startsWith('menuitem')")
		axeClean(t, b, menu)
		items := testkit.Eval[int](b, "[...document.querySelectorAll('#"+menu+" [role^=menuitem]')].filter(e => e.checkVisibility() && !e.disabled).length")
		seen := map[string]bool{}
		for range items {
			seen[testkit.Eval[string](b, "document.activeElement.textContent.trim()")] = true
			b.Press("\u0301") // arrow down
		}
		if len(seen) != items {
			t.Errorf("%s: %d of %d items are reached", menu, len(seen), items)
		}
		b.Press("\x1b")
		b.Until("Esc leads back", "document.activeElement.getAttribute('popovertarget') === '"+menu+"'")
	}

	// A question is answered by keyboard: Esc says no.
	testkit.Eval[bool](b, "document.querySelector('[popovertarget=console-power]').focus(), true")
	b.Press("\r")
	b.Until("the menu", "document.querySelector('#console-power').matches(':popover-open')")
	testkit.Eval[bool](b, "document.querySelector('[data-console-op=reset]').focus(), true")
	b.Press("\r")
	b.Until("asked first", "document.querySelector('#ask-reset').open && document.activeElement.closest('#ask-reset')")
	axeClean(t, b, "the question")
	b.Shot("ask-reset")
	b.Press("\x1b")
	b.Until("not asked any more", "!document.querySelector('#ask-reset').open")
	b.Until("still connected", operates+" && "+sameLoad)
}
