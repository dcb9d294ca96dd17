package e2e_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// demo starts the real demo in an empty folder.
func demo(t *testing.T, flags ...string) (url, dir string, p *testkit.Process) {
	t.Helper()
	dir, addr := t.TempDir(), testkit.FreeAddr(t)
	p = testkit.Run(t, nil, append([]string{"demo", "--addr", addr, "--data", dir}, flags...)...)
	p.WaitLine(t, "ready http://"+addr, 30*time.Second)
	return "http://" + addr, dir, p
}

func signIn(b *testkit.Browser, email string) {
	b.Open("/sign-in")
	b.Fill("#email", email)
	b.Fill("#password", "millwright")
	b.Click("main form button[type=submit]")
	b.Until("signed in", "location.pathname !== '/sign-in'")
}

// The main job, as a newcomer does it in a browser: sign in, choose, order,
// watch, see the screen, type, read the history, delete.
func TestNewcomerOrdersAMachineAndSeesItsScreen(t *testing.T) {
	t.Parallel()
	url, dir, portal := demo(t, "--clone-delay", "1s", "--guest-boot-delay", "500ms")
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "journey"))

	// Sign in: refused first, then to the org's dashboard.
	b.Open("/orgs/acme/machines")
	b.Until("sent to sign in", "location.pathname === '/sign-in'")
	b.Fill("#email", "user@acme.example")
	b.Fill("#password", "not it")
	b.Click("main form button[type=submit]")
	b.Until("refused, the address kept", "document.querySelector('[role=alert]') && document.querySelector('#email').value === 'user@acme.example'")
	b.Shot("01-refused")
	b.Fill("#password", "millwright")
	b.Click("main form button[type=submit]")
	b.Until("at the page that was asked for", "location.pathname === '/orgs/acme/machines'")
	b.Open("/orgs/acme/")
	b.UntilText("Machines")
	b.Shot("02-dashboard")

	// Catalog: search, then create from a card.
	b.Open("/orgs/acme/catalog")
	b.UntilText("Ubuntu 24.04")
	b.Shot("03-catalog")
	b.Fill("input[type=search]", "debian 13")
	b.Press("\r")
	b.Until("search narrows", "location.search.includes('debian') && document.readyState === 'complete' && document.querySelectorAll(\"a[href*='machines/new?template=']\").length === 1")
	b.Click("a[href*='machines/new?template=debian-13']")
	b.Until("the order form, template chosen", "document.querySelector('input[name=template][value=debian-13]')?.checked")

	// Order: a wrong name comes back beside its field, all else kept.
	b.Click("label:has(input[name=instance_type][value=medium])")
	b.Fill("#name", "My Machine!")
	b.Click("#order button[type=submit]")
	b.Until("the field says what is wrong", "document.querySelector('#name[aria-invalid=true]') && document.querySelector('input[name=instance_type][value=medium]').checked")
	b.Shot("04-order-refused")
	b.Fill("#name", "journey-1")
	b.UntilText("Northwind") // the live plan says where
	b.Shot("05-order-plan")
	b.Click("#order button[type=submit]")

	// The machine at once, its task live, then running without a reload.
	b.Until("at the machine", "/machines\\/[0-9a-f-]{36}$/.test(location.pathname)")
	machine := b.Path()
	b.Until("the task is shown", "document.querySelector('[data-task-id]')")
	b.Shot("06-task")
	b.Until("running, by itself", "document.querySelector('[data-state]').dataset.state === 'running'")
	b.Shot("07-machine")

	// The console: a picture, and typing changes it.
	b.Open(machine + "/console")
	b.Until("a picture", "document.querySelector('[data-console-screen] canvas')?.width > 300")
	const pixels = `(() => { const c = document.querySelector('[data-console-screen] canvas'); if (!c) return ''
		const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let h = 0, lit = 0
		for (let i = 0; i < d.length; i += 4) { if (d[i] + d[i+1] + d[i+2] > 90) { lit++; h = (h * 31 + i) | 0 } }
		return lit > 500 ? String(h) : '' })()`
	b.Until("text on the screen", pixels)
	time.Sleep(time.Second) // the boot log runs out; what follows compares pictures
	before := testkit.Eval[string](b, pixels)
	b.Click("[data-console-screen] canvas")
	b.Press("root\r")
	b.Until("typing is seen", pixels+" !== '' && "+pixels+" !== '"+before+"'")
	b.Press("x\rhelp\r")
	time.Sleep(500 * time.Millisecond)
	b.Shot("08-console")
	before = testkit.Eval[string](b, pixels)
	b.Click("[popovertarget=console-keys]")
	b.Click("[data-console-keys=ctrl-alt-del]")
	b.Until("Ctrl-Alt-Del reboots", pixels+" !== '"+before+"'")

	// Power off by the page; the console offers to start.
	b.Open(machine)
	b.Click("[data-dialog-open=ask-stop]")
	b.Click("#ask-stop button[type=submit]")
	b.Until("stopped", "document.querySelector('[data-state]').dataset.state === 'stopped'")
	b.Open(machine + "/console")
	b.UntilText("is stopped")
	b.Shot("09-console-off")
	b.Click("[data-console-power] button")
	b.Until("started from the console, and connected by itself", pixels)

	// Tasks and history tell all of it.
	b.Open("/orgs/acme/tasks")
	b.UntilText("journey-1")
	b.Shot("10-tasks")
	b.Open("/orgs/acme/history?object=journey-1")
	b.UntilText("journey-1")
	b.Shot("11-history")
	b.Open("/orgs/acme/history")
	b.UntilText("Uma Underwood")

	// A list that keeps its filter in the URL, and powers many at once.
	b.Open("/orgs/acme/machines?q=journey&state=running&sort=name")
	b.Until("one row", "document.querySelectorAll('tr[data-machine-id]').length === 1")
	b.Click("tr[data-machine-id] input[type=checkbox]")
	b.Shot("12-list")

	// Delete: the name has to be typed.
	b.Open(machine)
	b.Click("[data-dialog-open=ask-delete]")
	b.Fill("#ask-delete-confirm", "journey-1")
	b.Shot("13-delete")
	b.Click("#ask-delete button[type=submit]")
	v := testkit.NewVisitor(t, url)
	v.SignIn(t, "user@acme.example", "millwright")
	deadline := time.Now().Add(30 * time.Second)
	for {
		a, err := v.Get(machine)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status == http.StatusNotFound {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the machine is still there")
		}
		time.Sleep(100 * time.Millisecond)
	}
	historyTells(t, v, machine)
	for _, m := range b.Messages() {
		if strings.Contains(m, "Content Security Policy") || strings.Contains(m, "Uncaught") {
			t.Errorf("the browser says: %s", m)
		}
	}

	// Ctrl-C ends it cleanly; started again, all is as it was.
	count := func(v *testkit.Visitor) int {
		a, err := v.Get("/orgs/acme/machines")
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("list: %d %v", a.Status, err)
		}
		return strings.Count(a.Body, "tr id=\"machine-")
	}
	rows := count(v)
	if !portal.Stop(20 * time.Second) {
		t.Fatal("Ctrl-C did not end the demo cleanly")
	}
	addr := strings.TrimPrefix(url, "http://")
	testkit.Run(t, nil, "demo", "--addr", addr, "--data", dir).WaitLine(t, "ready ", 30*time.Second)
	again := testkit.NewVisitor(t, url)
	again.SignIn(t, "user@acme.example", "millwright")
	if got := count(again); got != rows || rows == 0 {
		t.Errorf("%d machines before, %d after", rows, got)
	}
}

// historyTells asks the history for each thing that was done above.
func historyTells(t *testing.T, v *testkit.Visitor, machine string) {
	t.Helper()
	id := machine[strings.LastIndex(machine, "/")+1:]
	for _, action := range []string{"machine.create", "machine.power", "machine.delete", "console.open", "console.close"} {
		a, err := v.Get(fmt.Sprintf("/orgs/acme/history?object=%s&action=%s", id, action))
		if err != nil || !strings.Contains(a.Body, "data-event-id") || !strings.Contains(a.Body, "Uma Underwood") || !strings.Contains(a.Body, "journey-1") {
			t.Errorf("no event %s of the machine: %d %v", action, a.Status, err)
		}
	}
	for _, action := range []string{"session.sign_in", "session.sign_in_refused"} {
		a, err := v.Get("/orgs/acme/history?action=" + action)
		if err != nil || !strings.Contains(a.Body, "data-event-id") {
			t.Errorf("no event %s: %d %v", action, a.Status, err)
		}
	}
}

// Every page, light and dark, wide and narrow: a screenshot of each, and axe
// finds nothing.
func TestEveryPageIsAccessible(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t, "--clone-delay", "200ms", "--guest-boot-delay", "100ms")
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "pages"))
	check := func(name, path string) {
		b.Open(path)
		for _, look := range []struct {
			name  string
			width int64
			dark  bool
		}{{"light-wide", 1440, false}, {"dark-wide", 1440, true}, {"light-narrow", 390, false}, {"dark-narrow", 390, true}} {
			b.Look(look.width, 900, look.dark)
			b.Shot(name + "-" + look.name)
			for _, finding := range b.Axe() {
				t.Errorf("%s %s: %s", name, look.name, finding)
			}
			if overflow := testkit.Eval[bool](b, "document.documentElement.scrollWidth > innerWidth + 1"); overflow {
				t.Errorf("%s %s: the page scrolls sideways", name, look.name)
			}
		}
	}
	check("sign-in", "/sign-in")
	signIn(b, "user@acme.example")
	machine := testkit.Eval[string](b, `fetch("/orgs/acme/machines").then(r => r.text()).then(t => t.match(/\/orgs\/acme\/machines\/[0-9a-f-]{36}/)[0])`)
	stopped := testkit.Eval[string](b, `fetch("/orgs/acme/machines?state=stopped").then(r => r.text()).then(t => t.match(/\/orgs\/acme\/machines\/[0-9a-f-]{36}/)[0])`)
	check("dashboard", "/orgs/acme/")
	check("catalog", "/orgs/acme/catalog")
	check("catalog-empty", "/orgs/acme/catalog?q=nothing-like-it")
	check("order", "/orgs/acme/machines/new?template=debian-13")
	check("machines", "/orgs/acme/machines")
	check("machines-empty", "/orgs/acme/machines?q=nothing-like-it")
	check("machine", machine)
	check("machine-stopped", stopped)
	check("console-off", stopped+"/console")
	check("tasks", "/orgs/acme/tasks")
	check("history", "/orgs/acme/history")
	check("absent", "/orgs/acme/machines/0196d000-0000-7000-8000-000000000000")
	b.Open(machine)
	b.Click("[data-dialog-open=ask-stop]")
	b.Click("#ask-stop button[type=submit]")
	b.Until("a task", "document.querySelector('[data-task-id]')")
	task := testkit.Eval[string](b, `fetch("/orgs/acme/tasks").then(r => r.text()).then(t => t.match(/\/orgs\/acme\/tasks\/[0-9a-f-]{36}/)[0])`)
	check("task", task)
	b.Open("/sign-in")
	operator := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "pages"))
	signIn(operator, "operator@provider.example")
	b = operator
	check("provider", "/provider/")
	auditor := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "pages"))
	signIn(auditor, "auditor@acme.example")
	b = auditor
	check("orgs", "/")
	check("auditor-machine", machine)
}
