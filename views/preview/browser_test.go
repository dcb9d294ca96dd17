package main

import (
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// folder is where the screenshots go: e2e's, ignored by git.
const folder = "../../e2e/artifacts/screens"

// looks are both modes, on a desk and on a phone.
var looks = []struct {
	name          string
	width, height int64
	dark          bool
}{
	{"light-wide", 1440, 900, false}, {"dark-wide", 1440, 900, true},
	{"light-phone", 390, 844, false}, {"dark-phone", 390, 844, true},
}

// TestEveryScreenIsAccessible looks at every screen in both modes, on a desk
// and on a phone: axe finds nothing, nothing is wider than the screen, and the
// browser has nothing to say, neither an error nor a breach of the policy.
func TestEveryScreenIsAccessible(t *testing.T) {
	t.Parallel()
	now := time.Now()
	server := httptest.NewServer(handler(now))
	t.Cleanup(server.Close)
	browser := testkit.NewBrowser(t, server.URL, folder)
	for _, set := range looks {
		browser.Look(set.width, set.height, set.dark)
		for _, s := range screens(now) {
			name := s.name + "-" + set.name
			browser.Open("/" + s.name)
			for _, fault := range browser.Axe() {
				t.Errorf("%s: %s", name, fault)
			}
			over := testkit.Eval[int](browser, "document.documentElement.scrollWidth - innerWidth")
			if over > 0 {
				t.Errorf("%s is %s pixels wider than the screen", name, strconv.Itoa(over))
			}
			browser.Shot(name)
		}
	}
	for _, message := range browser.Messages() {
		t.Errorf("the browser says: %s", message)
	}
}

// The dialog that an account is disabled by says whom that leaves alone, and
// is as accessible as its page.
func TestDialogThatDisablesAnAccountIsAccessible(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(handler(time.Now()))
	t.Cleanup(server.Close)
	browser := testkit.NewBrowser(t, server.URL, folder)
	for _, set := range looks {
		name := "provider-account-dialog-" + set.name
		browser.Look(set.width, set.height, set.dark)
		browser.Open("/provider-account")
		browser.Click("[data-dialog-open=ask-disable]")
		browser.Until("the dialog is open", "document.querySelector('#ask-disable').matches(':modal')")
		if said := testkit.Eval[string](browser, "document.querySelector('#ask-disable').innerText"); !strings.Contains(said, "shut out of 2 orgs") ||
			!strings.Contains(said, "Acme Robotics is left without an administrator.") {
			t.Errorf("%s says %q", name, said)
		}
		for _, fault := range browser.Axe() {
			t.Errorf("%s: %s", name, fault)
		}
		browser.Shot(name)
	}
	for _, message := range browser.Messages() {
		t.Errorf("the browser says: %s", message)
	}
}
