package testkit

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// Browser is a tab of a real, headless Chromium.
type Browser struct {
	t     testing.TB
	ctx   context.Context
	url   string // of the portal
	shots string // folder

	mu       sync.Mutex
	messages []string // errors of the page's console, content policy included
}

// patience is how long a page may take to show what is waited for.
const patience = 30 * time.Second

// NewBrowser opens a tab; screenshots go to the folder shots.
func NewBrowser(t testing.TB, portal, shots string) *Browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		// A page that has not painted yet would swallow clicks.
		chromedp.Flag("allow-pre-commit-input", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1440, 900),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(func() { stop(); stopAllocator() })
	b := &Browser{t: t, ctx: ctx, url: portal, shots: shots}
	if err := chromedp.Do(ctx); err != nil { // starts it, without a deadline
		t.Fatalf("Chromium (task deps installs it): %v", err)
	}
	if err := os.MkdirAll(shots, 0o750); err != nil {
		t.Fatal(err)
	}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			text := fmt.Sprintf("%+v", m)
			b.mu.Lock()
			b.messages = append(b.messages, text)
			b.mu.Unlock()
		}
	}()
	return b
}

// Messages is what the page wrote to its console so far.
func (b *Browser) Messages() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.messages...)
}

func (b *Browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Shot("failed")
		b.t.Fatalf("%s: %v", what, err)
	}
}

// Open goes to a path of the portal.
func (b *Browser) Open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.url+path))
}

// Click clicks the first element that the CSS selector finds, once it is there,
// enabled and in view with nothing over it. It goes by script: while a page is
// being put in another's place, the browser drops the mouse's clicks.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	b.Until("click "+selector, `(() => {
		const e = document.querySelector(`+string(quoted)+`)
		if (document.readyState !== 'complete' || !e || e.disabled) return false
		e.scrollIntoView({block: 'center', behavior: 'instant'})
		const r = e.getBoundingClientRect(), top = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)
		if (!top || !(e.contains(top) || top.contains(e) || top.closest('label')?.contains(e))) return false
		e.focus(); e.click()
		return true })()`)
}

// Fill replaces a field's text by typing. The field is found and emptied by one
// script, for the same reason as in Click: between two commands of the browser's
// protocol a page may have been put in the place of the one before, and what
// the first command found is no longer there for the second.
func (b *Browser) Fill(selector, text string) {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	b.Until("fill "+selector, `(() => {
		const e = document.querySelector(`+string(quoted)+`)
		if (document.readyState !== 'complete' || !e || e.disabled || !e.checkVisibility()) return false
		e.focus(); e.select()
		if (e.value) document.execCommand('delete')
		return document.activeElement === e && e.value === '' })()`)
	b.do("type into "+selector, chromedp.KeyEvent(text))
}

// Press sends keys to whatever has the focus.
func (b *Browser) Press(keys string) {
	b.t.Helper()
	b.do("press keys", chromedp.KeyEvent(keys))
}

// CtrlAltShift presses the three together and lets them go.
func (b *Browser) CtrlAltShift() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	// The bits of the protocol: Alt 1, Ctrl 2, Shift 8.
	keys := []struct {
		name string
		held int64
	}{{"Control", 2}, {"Alt", 1 | 2}, {"Shift", 1 | 2 | 8}}
	press := func(kind input.DispatchKeyEventType, name string, held int64) {
		_, err := chromedp.Call(ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Key: name, Code: name + "Left", Location: 1, Modifiers: held})
		if err != nil {
			b.t.Fatalf("press %s: %v", name, err)
		}
	}
	for _, key := range keys {
		press(input.DispatchKeyEventTypeRawKeyDown, key.name, key.held)
	}
	for _, key := range slices.Backward(keys) {
		press(input.DispatchKeyEventTypeKeyUp, key.name, 0)
	}
}

// Eval runs a script expression and returns its value.
func Eval[T any](b *Browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("evaluate %.80s: %v", expression, err)
	}
	return v
}

// Until waits until a script expression is true. The content policy forbids
// the page to poll by itself.
func (b *Browser) Until(what, expression string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		met, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		cancel()
		if err == nil && met { // an error: the page is just being replaced
			return
		}
		if time.Now().After(deadline) {
			b.Shot("failed")
			b.t.Fatalf("%s: not within %s (%v)", what, patience, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// UntilText waits until the page shows the text.
func (b *Browser) UntilText(text string) {
	b.t.Helper()
	quoted, _ := json.Marshal(text)
	b.Until("text "+text, "document.body && document.body.innerText.includes("+string(quoted)+")")
}

// Text is what the page shows.
func (b *Browser) Text() string { b.t.Helper(); return Eval[string](b, "document.body.innerText") }

// Path is where the tab is.
func (b *Browser) Path() string {
	b.t.Helper()
	return Eval[string](b, "location.pathname + location.search")
}

// Look sets the window and the colour scheme.
func (b *Browser) Look(width, height int64, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	if err != nil {
		b.t.Fatalf("colour scheme: %v", err)
	}
	b.do("resize", chromedp.EmulateViewport(width, height))
	// Two frames on, every rule of the new scheme and size has been applied.
	Eval[bool](b, "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")
	b.Until("colours at rest", "document.getAnimations().every(a => a.playState !== 'running' || a.effect.getTiming().iterations === Infinity)")
}

// Phone makes the window a phone's, touched by fingers, until the next Look.
func (b *Browser) Phone() {
	b.t.Helper()
	b.do("be a phone", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch))
}

// Scripts lets the pages' scripts run from the next page on, or not.
func (b *Browser) Scripts(run bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !run}); err != nil {
		b.t.Fatalf("scripts: %v", err)
	}
}

// Downloads puts what is downloaded into a folder.
func (b *Browser) Downloads(folder string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: folder}); err != nil {
		b.t.Fatalf("downloads: %v", err)
	}
}

// Shot keeps a screenshot of the window.
func (b *Browser) Shot(name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Logf("screenshot %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(b.shots, name+".png"), png, 0o600); err != nil {
		b.t.Error(err)
	}
}

// Axe returns what axe-core finds on the page as it stands, a line each.
func (b *Browser) Axe() []string {
	b.t.Helper()
	source, err := os.ReadFile(filepath.Join(Root(), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		b.t.Fatalf("axe-core (task assets installs it): %v", err)
	}
	Eval[bool](b, string(source)+"; true")
	return Eval[[]string](b, `axe.run().then(r => r.violations.flatMap(v => v.nodes.map(n =>
		v.id + " (" + v.impact + ") at " + n.target.join(" ") + ": " + n.failureSummary.replace(/\s+/g, " "))))`)
}

// Root is the folder of the project.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	if filepath.IsAbs(file) {
		return filepath.Dir(filepath.Dir(filepath.Dir(file)))
	}
	dir, _ := os.Getwd() // built with -trimpath: look upwards
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return strings.TrimSpace(dir)
}
