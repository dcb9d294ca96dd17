package e2e_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// canvas is the picture's fingerprint, "" while there is none to speak of.
const canvas = `(() => { const c = document.querySelector('[data-console-screen] canvas'); if (!c?.width) return ''
	const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let h = 0, lit = 0
	for (let i = 0; i < d.length; i += 4) { if (d[i] + d[i+1] + d[i+2] > 90) { lit++; h = (h * 31 + i) | 0 } }
	return lit > 300 ? String(h) : '' })()`

const (
	connected = `document.querySelector('[data-console]')?.dataset.connection === 'good' && document.querySelector('[data-console-last]').hidden && ` + canvas
	lost      = `document.querySelector('[data-console]').dataset.connection !== 'good' && !document.querySelector('[data-console-last]').hidden`
	operates  = connected + ` && document.querySelector('[data-console]').dataset.mode === 'operate'`
	watches   = connected + ` && document.querySelector('[data-console]').dataset.mode === 'view'`
	// sameLoad is only true of a page that was not loaded again.
	sameLoad = `window.here === true`
)

// record keeps the keys that are pressed and leave the page, "scancode/keysym";
// those that go by their name alone have no scancode.
const record = `(() => { window.here = true; window.keys = []
	const send = WebSocket.prototype.send
	WebSocket.prototype.send = function (data) {
		if (typeof data !== 'string' && data[0] === 255) {
			const v = new DataView(data.buffer, data.byteOffset)
			if (v.getUint16(2)) window.keys.push(v.getUint32(8).toString(16) + '/' + v.getUint32(4).toString(16))
		} else if (typeof data !== 'string' && data[0] === 4 && data[1]) {
			window.keys.push('/' + new DataView(data.buffer, data.byteOffset).getUint32(4).toString(16))
		}
		return send.call(this, data)
	}
	return true })()`

func newBrowser(t *testing.T, url, email string) *testkit.Browser {
	t.Helper()
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "console"))
	signIn(b, email)
	return b
}

// consoleOf opens the console of a machine of acme's by its name.
func consoleOf(b *testkit.Browser, name string) {
	b.Open("/orgs/acme/machines?q=" + name)
	b.Click("tr[data-machine-id] a")
	b.Until("at the machine", "/machines\\/[0-9a-f-]{36}$/.test(location.pathname)")
	b.Open(b.Path() + "/console")
	b.Until("its page", "document.querySelector('[data-console]')")
	testkit.Eval[bool](b, record)
}

// shots keeps the page as it stands, on a desk and on a phone, light and dark,
// with what axe finds.
func shots(t *testing.T, b *testkit.Browser, name string) {
	t.Helper()
	for _, look := range []struct {
		name          string
		width, height int64
		dark          bool
	}{{"light", 1440, 900, false}, {"dark", 1440, 900, true}, {"phone-light", 390, 844, false}, {"phone-dark", 390, 844, true}} {
		b.Look(look.width, look.height, look.dark)
		b.Shot(name + "-" + look.name)
		for _, fault := range b.Axe() {
			t.Errorf("%s %s: %s", name, look.name, fault)
		}
		if wide := testkit.Eval[int](b, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
			t.Errorf("%s %s is %d pixels too wide", name, look.name, wide)
		}
	}
	b.Look(1440, 900, false)
}

// axeClean says what axe finds on the page as it stands.
func axeClean(t *testing.T, b *testkit.Browser, state string) {
	t.Helper()
	for _, fault := range b.Axe() {
		t.Errorf("%s: %s", state, fault)
	}
}

func choose(b *testkit.Browser, menu, item string) {
	if !testkit.Eval[bool](b, "document.querySelector('#"+menu+"').matches(':popover-open')") {
		b.Click("[popovertarget=" + menu + "]")
	}
	b.Until("the menu "+menu, "document.querySelector('#"+menu+"').matches(':popover-open')")
	b.Click("#" + menu + " " + item)
}

func pasteText(b *testkit.Browser, layout, text string) {
	if !testkit.Eval[bool](b, "document.querySelector('#console-paste').open") {
		b.Click("[data-dialog-open=console-paste]")
	}
	b.Until("the dialog, its field ready", "document.querySelector('#console-paste').open && document.activeElement.closest('#console-paste')")
	testkit.Eval[bool](b, `(() => { const d = document.querySelector('#console-paste')
		d.querySelector('[name=layout]').value = '`+layout+`'; d.querySelector('[data-paste-text]').value = `+"`"+text+"`"+`
		d.querySelector('[data-paste-text]').dispatchEvent(new Event('input', {bubbles: true})); return true })()`)
}

// Connect, type, paste, keys, screenshot, sizes: what the bar offers.
func TestConsoleIsATool(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t, "--clone-delay", "100ms", "--guest-boot-delay", "300ms")
	b := newBrowser(t, url, "user@acme.example")
	consoleOf(b, "web-1")
	b.Until("a picture", operates)
	b.Until("latency in milliseconds", `/^\d+ ms$/.test(document.querySelector('[data-console-latency]').textContent)`)
	shots(t, b, "connected")

	// Typed keys are echoed.
	b.Click("[data-console-screen] canvas")
	before := testkit.Eval[string](b, canvas)
	b.Press("root\r")
	b.Until("typing is seen", canvas+" !== '"+before+"'")
	b.Press("x\r")

	// The menus by keyboard alone: in, down, out, and back where it was.
	testkit.Eval[bool](b, "document.querySelector('[popovertarget=console-keys]').focus(), true")
	b.Press("\u0301") // arrow down
	b.Until("the first key has the focus", "document.activeElement.dataset.consoleKeys === 'ctrl-alt-del'")
	b.Press("\u0301")
	b.Until("the second", "document.activeElement.dataset.consoleKeys === 'alt-tab'")
	axeClean(t, b, "the key menu")
	b.Shot("keys")
	b.Press("\x1b")
	b.Until("Esc leads back", "document.activeElement.getAttribute('popovertarget') === 'console-keys'")

	// Chords go as they are named.
	testkit.Eval[bool](b, "window.keys = [], true")
	choose(b, "console-keys", "[data-console-keys=ctrl-alt-f2]")
	b.Until("Ctrl-Alt-F2", "window.keys.join(' ') === '1d/ffe3 38/ffe9 3c/ffbf'")
	testkit.Eval[bool](b, "window.keys = [], true")
	choose(b, "console-keys", "[data-dialog-open=console-sysrq]")
	testkit.Eval[bool](b, "document.querySelector('#console-sysrq-key').value = 's', true")
	b.Click("#console-sysrq [type=submit]")
	b.Until("SysRq and its letter", "window.keys.join(' ') === '38/ffe9 54/ff61 1f/73'")

	// Paste: what the layout lacks is named before; the rest arrives on the
	// keys that a German guest has it on.
	pasteText(b, "us", "grüße あ")
	b.UntilText("It has no “ü”, “ß”, “あ”")
	shots(t, b, "paste")
	testkit.Eval[bool](b, "window.keys = [], true")
	pasteText(b, "de", "zY@é")
	b.Click("[data-paste-send]")
	b.UntilText("4 characters typed.")
	// z is where US has y; Shift and y; AltGr and q; the dead accent, then e.
	want := "15/7a 2a/ffe1 2c/59 b8/fe03 10/40 d/fe51 12/65"
	if got := testkit.Eval[string](b, "window.keys.join(' ')"); got != want {
		t.Errorf("zY@é was sent as %s, want %s", got, want)
	}

	// A long one is slow enough to be stopped.
	pasteText(b, "us", strings.Repeat("echo hello\n", 60))
	b.Click("[data-paste-send]")
	b.Until("it shows how far it is", "/^[1-9]\\d* of 660$/.test(document.querySelector('[data-typing-text]').textContent)")
	shots(t, b, "typing")
	b.Click("[data-typing-stop]")
	b.UntilText("Stopped after ")

	// 1:1 and drag; remembered for the next time.
	choose(b, "console-look", "[data-value=drag]")
	if kept := testkit.Eval[string](b, "JSON.parse(localStorage['mw.console']).scaling"); kept != "drag" {
		t.Errorf("remembered %q", kept)
	}
	choose(b, "console-look", "[data-value=one]")
	b.Until("at its own size", "(c => c.width === Math.round(c.getBoundingClientRect().width))(document.querySelector('[data-console-screen] canvas'))")
	shots(t, b, "one-to-one")

	// A screenshot of the machine's own size.
	testkit.Eval[bool](b, `(() => { const make = URL.createObjectURL
		URL.createObjectURL = (blob) => { createImageBitmap(blob).then(i => { window.shot = blob.type + ' ' + i.width }); return make(blob) }
		return true })()`)
	b.Click("[data-console-shot]")
	b.Until("a PNG", "window.shot === 'image/png ' + document.querySelector('[data-console-screen] canvas').width")

	// Pasted, read and obeyed: the machine goes off, and the page says so.
	testkit.Eval[bool](b, "document.querySelector('[data-console-screen] canvas').focus(), true")
	pasteText(b, "us", "\npoweroff\n")
	b.Click("[data-paste-send]")
	b.UntilText("web-1 is stopped")
	shots(t, b, "off")
	b.Click("[data-console-power] button")
	b.UntilText("is starting")
	b.Until("started here, and connected by itself", operates+" && "+sameLoad)
	if policy := slices.DeleteFunc(b.Messages(), func(m string) bool { return !strings.Contains(m, "Content Security Policy") }); len(policy) > 0 {
		t.Errorf("the browser says: %v", policy)
	}
}

// Whoever comes second chooses; whoever was first is told by whom.
func TestConsoleOfTwo(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t, "--clone-delay", "100ms", "--guest-boot-delay", "300ms")
	first := newBrowser(t, url, "user@acme.example")
	consoleOf(first, "web-1")
	first.Until("the first operates", operates)

	second := newBrowser(t, url, "admin@acme.example")
	consoleOf(second, "web-1")
	second.Until("asked to share", "document.querySelector('#console-occupied').open")
	second.UntilText("Uma Underwood is at this console")
	shots(t, second, "occupied")
	second.Click("[data-occupied=watch]")
	second.Until("the second watches", watches)
	first.Until("the first sees who watches", "document.querySelector('[data-console-viewers]').title.includes('Ada Adams watches')")
	choosePeople(t, first)

	// What a viewer types goes nowhere.
	second.Click("[data-console-screen] canvas")
	second.Press("root\rx\rpoweroff\r")
	if sent := testkit.Eval[int](second, "window.keys.length"); sent != 0 {
		t.Errorf("%d keys of a viewer were sent", sent)
	}
	shots(t, second, "watching")

	// Operate: asked again, then taken over.
	second.Click("[data-console-operate]")
	second.Until("asked again", "document.querySelector('#console-occupied').open")
	second.Click("[data-occupied=take-over]")
	second.Until("the second operates", operates)
	first.UntilText("Ada Adams took over this console")
	shots(t, first, "taken-over")
	first.Click("[data-console-offer=watch]")
	first.Until("the first watches", watches)
	first.Click("[data-console-operate]")
	first.Click("[data-occupied=take-over]")
	first.Until("and takes it back", operates+" && "+sameLoad)
	second.UntilText("Uma Underwood took over this console")

	// Of one's own accord: view only, and back.
	choose(first, "console-look", "[data-console-viewonly]")
	first.Until("view only", watches)
	first.Click("[data-console-operate]")
	first.Until("operates", operates+" && "+sameLoad)
}

func choosePeople(t *testing.T, b *testkit.Browser) {
	t.Helper()
	b.Click("[data-console-viewers]")
	b.Until("who is here", "document.querySelector('#console-viewers').matches(':popover-open') && document.querySelectorAll('[data-console-viewers-list] li').length === 2")
	b.Shot("viewers")
	axeClean(t, b, "who is here")
	b.Press("\x1b")
}

// Nothing that passes needs a click or a reload.
func TestConsoleComesBack(t *testing.T) {
	t.Parallel()
	v := testkit.RunLabVCenter(t, "--name", "east", "--clone-delay", "100ms", "--guest-boot-delay", "300ms")
	s := testkit.NewSite(t, "sqlite://"+filepath.Join(t.TempDir(), "portal.db"), map[string]*testkit.LabVCenter{"east": v})
	visitor := s.Start()
	s.SetPassword("user@acme.example")
	visitor.SignIn(t, "user@acme.example", testkit.SitePassword)
	page := order(t, visitor, "web-1")
	watch(t, visitor, page, "running", is("running"))

	b := testkit.NewBrowser(t, visitor.URL, filepath.Join(testkit.Root(), "e2e", "artifacts", "console"))
	b.Open("/sign-in")
	b.Fill("#email", "user@acme.example")
	b.Fill("#password", testkit.SitePassword)
	b.Click("main form button[type=submit]")
	b.Until("signed in", "location.pathname !== '/sign-in'")
	b.Open(page + "/console")
	b.Until("connected", operates)
	testkit.Eval[bool](b, record)
	choose(b, "console-look", "[data-value=one]")

	// Killed, and started again: the last frame stays, grey, then goes on.
	s.Portal.Kill()
	b.Until("the last frame stays", lost)
	b.UntilText("Connection lost")
	shots(t, b, "lost")
	s.Start()
	b.Until("back by itself", operates+" && "+sameLoad)
	if scaling := testkit.Eval[string](b, "document.querySelector('[data-value=one]').getAttribute('aria-checked')"); scaling != "true" {
		t.Error("the size was forgotten")
	}

	// Drained, as at an update.
	if !s.Portal.Stop(20 * time.Second) {
		t.Error("the portal did not stop by itself")
	}
	b.Until("told to come back", lost)
	s.Start()
	b.Until("back after the drain", operates+" && "+sameLoad)

	// Reset by the menu, after a question.
	fresh := testkit.Eval[string](b, canvas)
	b.Click("[data-console-screen] canvas")
	b.Press("root\r")
	b.Until("typed", canvas+" !== '"+fresh+"'")
	before := testkit.Eval[string](b, canvas)
	choose(b, "console-power", "[data-console-op=reset]")
	b.Until("asked first", "document.querySelector('#ask-reset').open")
	b.Click("#ask-reset [type=submit]")
	b.UntilText("Reset web-1: done.")
	b.Until("another picture, by itself", connected+" && "+canvas+" !== '"+before+"' && "+sameLoad)

	// Suspended and resumed from here.
	choose(b, "console-power", "[data-console-op=suspend]")
	b.UntilText("web-1 is suspended")
	b.UntilText("User suspended it.")
	b.Shot("suspended")
	axeClean(t, b, "suspended")
	b.Click("[data-console-power] button")
	b.Until("resumed", operates+" && "+sameLoad)

	// What won't come back says so.
	b.Until("settled", "document.querySelector('[data-console-op=stop]:not([disabled])')")
	if a, err := visitor.Post(page+"/delete", map[string][]string{"confirm": {"web-1"}}); err != nil || a.Status != 303 {
		t.Fatalf("delete: %d %v", a.Status, err)
	}
	b.UntilText("The machine is gone")
	b.UntilText("User deleted it.")
	shots(t, b, "gone")
}
