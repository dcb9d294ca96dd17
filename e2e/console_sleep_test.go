package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// A laptop sleeps: nothing of the browser runs, and what lies between forgets
// its connections without a word. Awake again the page asks at once, doesn't
// wait as long as it does on a line that just is slow, and comes back by itself
// with a fresh ticket.
func TestConsoleComesBackWhenTheLaptopWakes(t *testing.T) {
	t.Parallel()
	const (
		asleep = 9 * time.Second // longer than the page takes for a slow tick
		soon   = 5 * time.Second // less than its patience with a line that falls silent
	)
	r := reach(t, onFile(t), 0)
	r.types(t, "typed before")
	tickets := `performance.getEntriesByType('resource').filter(e => e.name.endsWith('/console/ticket')).length`
	before := testkit.Eval[int](r.Browser, tickets)
	testkit.Eval[bool](r.Browser, `(() => { const r = document.querySelector('[data-console]'), l = document.querySelector('[data-console-last]')
		window.grey = []; window.stood = 0; let last = performance.now()
		setInterval(() => { const at = performance.now(); window.stood = Math.max(window.stood, at - last); last = at }, 200)
		new MutationObserver(() => { if (r.dataset.connection !== 'good') window.grey.push([!l.hidden, document.querySelector('[data-console-status]').textContent]) }).observe(r, {attributes: true, attributeFilter: ['data-connection']})
		return true })()`)
	r.Sleep(asleep, r.line.freeze)
	awake := time.Now()
	r.Until("noticed", lost+" || window.grey.length")
	noticed := time.Since(awake)
	r.Until("back by itself", operates+" && "+sameLoad+" && document.querySelector('[data-console]').dataset.resumedMs")
	t.Logf("noticed %s after waking, back after %s", noticed.Round(100*time.Millisecond), time.Since(awake).Round(100*time.Millisecond))
	if stood := testkit.Eval[float64](r.Browser, "window.stood"); stood < float64((asleep-time.Second)/time.Millisecond) {
		t.Errorf("the page stood still for %.0f ms only: it did not sleep", stood)
	}
	if noticed > soon {
		t.Errorf("noticed %s after waking", noticed)
	}
	if fresh := testkit.Eval[int](r.Browser, tickets); fresh <= before {
		t.Error("it came back without a fresh ticket")
	}
	if grey := testkit.Eval[string](r.Browser, "JSON.stringify(window.grey[0])"); !strings.HasPrefix(grey, `[true,`) || !strings.Contains(grey, "Connection lost") {
		t.Errorf("meanwhile it showed %s", grey)
	}
	r.types(t, "typed after")
}
