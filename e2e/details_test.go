package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// What the main journey passes by: that forms promise no more than is taken,
// that nothing needs a mouse, that a phone can do it too.
func TestDetailsOfTheOrderForm(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t)
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "details"))
	signIn(b, "user@acme.example")

	// What the form's own limits let pass is no reason to refuse: the name
	// is (it is taken), and so the limits are seen to be the factory's.
	b.Open("/orgs/acme/machines/new?template=debian-13&instance_type=small")
	most := testkit.Eval[string](b, "document.querySelector('#count').max")
	longest := testkit.Eval[int](b, "document.querySelector('#name').maxLength")
	refused := func(count, name string) []string {
		b.Open("/orgs/acme/machines/new?template=debian-13&instance_type=small")
		testkit.Eval[bool](b, `(() => { document.querySelector('#count').value = "`+count+`"
			document.querySelector('#name').value = "`+name+`"; document.querySelector('#name').removeAttribute('maxlength')
			document.querySelector('#order').requestSubmit(); return true })()`)
		b.Until("refused", "document.querySelector('.order-refused')")
		return testkit.Eval[[]string](b, "[...document.querySelectorAll('.notice-list a')].map(a => a.hash)")
	}
	name := func(n int) string {
		text := make([]byte, n)
		for i := range text {
			text[i] = 'a'
		}
		return string(text)
	}
	if got := refused(most, "Capital"); len(got) != 1 || got[0] != "#name" {
		t.Errorf("%s machines: refused for %v", most, got)
	}
	if got := refused(most+"0", "several"); len(got) != 1 || got[0] != "#count" {
		t.Errorf("ten times as many: refused for %v", got)
	}
	if got := refused("no number", "Capital"); len(got) != 1 || got[0] != "#name" { // a browser sends "" for it
		t.Errorf("no number: refused for %v", got)
	}
	if got := refused(most+"0", name(longest)); len(got) == 0 || got[len(got)-1] != "#count" {
		t.Errorf("a name of %d: refused for %v", longest, got)
	}
	if got := refused("1", name(longest+1)); len(got) != 1 || got[0] != "#name" {
		t.Errorf("a name of %d: refused for %v", longest+1, got)
	}
	if kept := testkit.Eval[int](b, "document.querySelector('#name').value.length"); kept != longest+1 {
		t.Errorf("%d letters kept of %d", kept, longest+1)
	}
	b.Until("the reader is led to the faults", "document.activeElement.matches('.order-refused')")

	// On a phone, every amount of a size stands under its name.
	b.Look(390, 844, false)
	if bad := testkit.Eval[[]string](b, `[...document.querySelectorAll('.menu-amount')].filter(e =>
		e.getBoundingClientRect().left < e.parentElement.querySelector('.menu-name').getBoundingClientRect().left - 1 ||
		e.getBoundingClientRect().height > 30).map(e => e.innerText)`); len(bad) > 0 {
		t.Errorf("on a phone these stand beside their column: %v", bad)
	}
}

func TestDangerIsNotTheFirstKey(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t)
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "details"))
	signIn(b, "user@acme.example")
	b.Open("/orgs/acme/machines?q=web-1")
	b.Click("tr[data-machine-id] a")
	b.Until("at the machine", "document.querySelector('[data-dialog-open=ask-reset]')")

	testkit.Eval[bool](b, "document.querySelector('[data-dialog-open=ask-reset]').focus(), true")
	b.Press(" ")
	b.Until("Space opens, Cancel has the focus", "document.querySelector('#ask-reset').open && document.activeElement.matches('#ask-reset [data-dialog-close]')")
	b.Press("\r")
	b.Until("Enter leaves it, and leads back", "!document.querySelector('#ask-reset').open && document.activeElement.matches('[data-dialog-open=ask-reset]')")
	b.Press("\r")
	b.Until("open again", "document.querySelector('#ask-reset').open")
	b.Press("\t")
	b.Press("\r")
	b.UntilText("is being reset")

	// The history names the operation, and the sidebar's number ends with it.
	b.UntilText("asked to reset web-1")
	b.UntilText("Uma Underwood reset web-1")
	b.Until("nothing runs, says the sidebar", "!document.querySelector('.side-count')")
}

func TestListsCanBeWorkedOnAPhone(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t)
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "details"))
	signIn(b, "user@acme.example")
	for _, path := range []string{"/orgs/acme/machines", "/orgs/acme/tasks", "/orgs/acme/history"} {
		b.Look(1440, 900, false)
		b.Open(path)
		if lost := testkit.Eval[int](b, "[...document.querySelectorAll('.table-scroll')].filter(e => e.scrollHeight > e.clientHeight).length"); lost > 0 {
			t.Errorf("%s: the table scrolls within the page", path)
		}
		b.Look(390, 844, true)
		if wide := testkit.Eval[int](b, "document.body.scrollWidth"); wide > 390 {
			t.Errorf("%s is %d wide on a phone", path, wide)
		}
	}
	b.Open("/orgs/acme/machines")
	b.Click("tr[data-machine-id] [data-bulk-row]")
	b.Until("what can be done is offered", "document.querySelector('[data-bulk-bar]').checkVisibility()")
	b.Shot("bulk-phone")
}
