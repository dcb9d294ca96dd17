package e2e_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// Whoever's doing ends a console, its page says so, keeps the last frame in its
// place, and offers what helps.
func TestConsoleIsEndedByPeople(t *testing.T) {
	t.Parallel()
	address, _, _ := demo(t, "--clone-delay", "100ms", "--guest-boot-delay", "300ms")
	visit := func(email string) *testkit.Visitor {
		v := testkit.NewVisitor(t, address)
		v.SignIn(t, email, "millwright")
		return v
	}
	post := func(v *testkit.Visitor, path string, form url.Values) {
		t.Helper()
		if a, err := v.Post(path, form); err != nil || a.Status != http.StatusSeeOther {
			t.Fatalf("%s: %d %v %s", path, a.Status, err, a.Body)
		}
	}
	admin, operator := visit("admin@acme.example"), visit("operator@provider.example")
	b := newBrowser(t, address, "user@acme.example")
	consoleOf(b, "web-1")
	b.Until("a picture", operates)
	machine := strings.TrimSuffix(b.Path(), "/console")

	// Closed by an admin, by name.
	list, err := admin.Get("/orgs/acme/consoles")
	found := regexp.MustCompile(`data-console-id="([^"]+)"`).FindStringSubmatch(list.Body)
	if err != nil || found == nil {
		t.Fatalf("no open console is listed: %d %v", list.Status, err)
	}
	other := newBrowser(t, address, "admin@acme.example")
	other.Open("/orgs/acme/consoles")
	shots(t, other, "consoles")
	every := newBrowser(t, address, "operator@provider.example")
	every.Open("/provider/consoles")
	every.UntilText("web-1")
	shots(t, every, "consoles-provider")
	every.Click("tr[data-console-id] a[href$='/vmrc']")
	every.UntilText("own login")
	shots(t, every, "vmrc-ask")
	every.Click("main form button")
	every.Until("the link", "document.querySelector('main a[href^=\"vmrc:\"]')")
	shots(t, every, "vmrc")
	other.Open("/orgs/acme/consoles/" + found[1] + "/close")
	shots(t, other, "close-ask")
	post(admin, "/orgs/acme/consoles/"+found[1]+"/close", url.Values{"confirm": {"yes"}})
	b.UntilText("Ada Adams closed this console")
	b.Shot("closed-by")
	axeClean(t, b, "closed by an admin")
	b.Click("[data-console-offer=reconnect]")
	b.Until("opened again", operates+" && "+sameLoad)

	// The last frame covers the same place when the window changes meanwhile.
	testkit.Eval[bool](b, "WebSocket = class { constructor() { throw new Error('away') } }, true")
	list, _ = operator.Get("/provider/consoles")
	found = regexp.MustCompile(`data-console-id="([^"]+)"`).FindStringSubmatch(list.Body)
	if found == nil {
		t.Fatal("operators don't see it listed")
	}
	post(operator, "/provider/consoles/"+found[1]+"/close", url.Values{"confirm": {"yes"}})
	b.UntilText("Olive Operator closed this console")
	b.Look(700, 600, false)
	b.Until("the last frame is within the view", `(() => { const l = document.querySelector('[data-console-last]'), v = document.querySelector('[data-console-view]').getBoundingClientRect(), r = l.getBoundingClientRect()
		return !l.hidden && r.width > 100 && r.left >= v.left - 1 && r.right <= v.right + 1 && r.top >= v.top - 1 && r.bottom <= v.bottom + 1 && Math.abs((r.left + r.right) - (v.left + v.right)) < 4 })()`)
	b.Shot("resized-while-away")
	b.Look(1440, 900, false)

	// The right goes: role, org, session; each says so and what helps.
	consoleOf(b, "web-1")
	b.Until("a picture again", operates)
	person := testkit.Eval[string](other, `fetch('/orgs/acme/people').then(r => r.text()).then(t => [...new DOMParser().parseFromString(t, 'text/html').querySelectorAll('tr')].find(r => r.textContent.includes('user@acme.example')).querySelector('a[href*="/people/"]').getAttribute('href'))`)
	post(admin, person+"/role", url.Values{"role": {"auditor"}})
	b.UntilText("You may not use this console any more")
	b.Shot("role-lost")
	axeClean(t, b, "the role lost")
	post(admin, person+"/role", url.Values{"role": {"user"}})
	consoleOf(b, "web-1")
	b.Until("with the right, the picture", operates)
	post(operator, "/provider/orgs/acme/suspend", url.Values{"confirm": {"acme"}})
	b.UntilText("This org is suspended")
	shots(t, b, "org-suspended")
	offered := testkit.Eval[string](b, "[...document.querySelectorAll('[data-console-offer]')].filter(e => e.checkVisibility()).map(e => e.dataset.consoleOffer).join()")
	if offered != "reconnect,orgs" || !testkit.Eval[bool](b, "document.querySelector('[data-console-last]').hidden") {
		t.Errorf("a suspended org's page offers %q, its last frame hidden: %v", offered, testkit.Eval[bool](b, "document.querySelector('[data-console-last]').hidden"))
	}
	post(operator, "/provider/orgs/acme/resume", url.Values{"confirm": {"acme"}})
	b.Click("[data-console-offer=reconnect]")
	b.Until("the org is back", operates)

	// An operator's VMRC link; both histories know of it.
	vmrc := "/provider/machines/" + machine[strings.LastIndexByte(machine, '/')+1:] + "/vmrc"
	a, err := operator.Post(vmrc, url.Values{"confirm": {"yes"}})
	if err != nil || a.Status != http.StatusOK || !strings.Contains(a.Body, "vmrc://clone:") {
		t.Errorf("VMRC: %d %v", a.Status, err)
	}
	if a, err = admin.Post(vmrc, url.Values{"confirm": {"yes"}}); err != nil || a.Status != http.StatusNotFound && a.Status != http.StatusForbidden {
		t.Errorf("VMRC for an org's admin: %d %v", a.Status, err)
	}
	for v, path := range map[*testkit.Visitor]string{admin: "/orgs/acme/history?action=console.vmrc", operator: "/provider/history?action=console.vmrc"} {
		if a, err := v.Get(path); err != nil || a.Status != http.StatusOK || !strings.Contains(a.Body, "web-1") || strings.Contains(a.Body, "vmrc://") {
			t.Errorf("%s: %d %v", path, a.Status, err)
		}
	}

	// Signed out in another tab.
	testkit.Eval[bool](b, "fetch('/sign-out', {method: 'POST', redirect: 'manual'}).then(() => true)")
	b.UntilText("You are signed out")
	b.Until("sign in is offered", "document.querySelector('[data-console-offer=sign-in]').checkVisibility()")
	shots(t, b, "signed-out")
}
