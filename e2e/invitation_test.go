package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// An administrator invites, the outbox has the link, the newcomer makes an
// account and is in, signs in with it, and holds another role a moment after
// it was given.
func TestInvitedColleagueComesIn(t *testing.T) {
	t.Parallel()
	url, _, _ := demo(t, "--seed-machines", "3")
	artifacts := filepath.Join(testkit.Root(), "e2e", "artifacts", "people")
	admin := testkit.NewBrowser(t, url, artifacts)
	signIn(admin, "admin@acme.example")
	admin.Open("/orgs/acme/people")
	admin.UntilText("Uma Underwood")
	axe(t, admin, "people")
	admin.Shot("01-people")
	admin.Fill("#invite-email", "nina@people.example")
	admin.Click("#invite button[type=submit]")
	admin.Until("the link is shown, once", "document.querySelector('[data-secret=invitation]')?.innerText.includes('/invitation?token=')")
	axe(t, admin, "invitation made")
	admin.Shot("02-link")

	// The outbox has the mail, with the same link.
	admin.Open("/orgs/acme/people/outbox")
	admin.UntilText("nina@people.example")
	axe(t, admin, "outbox")
	admin.Click("summary")
	link := testkit.Eval[string](admin, "document.querySelector('[data-letter]').textContent.match(/http:\\S+token=[\\w-]+/)[0]")
	admin.Shot("03-outbox")

	nina := testkit.NewBrowser(t, url, artifacts)
	nina.Open(link[len(url):])
	nina.Until("the token has left the address", "location.pathname === '/invitation' && location.search === ''")
	nina.UntilText("Join Acme Corporation")
	axe(t, nina, "invitation")
	nina.Shot("04-invitation")
	nina.Fill("#name", "Nina New")
	nina.Fill("#password", "several words in a row")
	nina.Fill("#again", "several words in a row")
	nina.Click("main form button[type=submit]")
	nina.Until("in the org", "location.pathname === '/orgs/acme/'")
	nina.Open("/orgs/acme/machines/new")
	nina.UntilText("Ask one of its admins") // an auditor orders nothing: the least role is what the form gives
	nina.Shot("05-refused")

	// The list shows who came without being loaded anew, and leads to their page.
	admin.Open("/orgs/acme/people")
	admin.UntilText("Nina New")
	admin.Click("tr[data-role=auditor] a[href*='/people/']")
	admin.UntilText("Member since")
	axe(t, admin, "person")
	testkit.Eval[bool](admin, "(document.querySelector('#role-select').value = 'user', true)")
	admin.Shot("06-person")
	admin.Click("#role button[type=submit]")
	admin.UntilText("The role is changed")

	// Signed out and in again, the new role orders.
	nina.Open("/account")
	nina.Click("form[action='/sign-out'] button")
	nina.Until("signed out", "location.pathname === '/sign-in'")
	nina.Fill("#email", "nina@people.example")
	nina.Fill("#password", "several words in a row")
	nina.Click("main form button[type=submit]")
	nina.Until("signed in", "location.pathname !== '/sign-in'")
	nina.Open("/orgs/acme/machines/new")
	nina.Until("the order form", "!!document.querySelector('form[action$=\"/machines\"]')")

	admin.Open("/orgs/acme/permissions")
	admin.UntilText("Order machines")
	axe(t, admin, "permissions")
	admin.Shot("07-permissions")
	admin.Look(390, 844, true)
	admin.Open("/orgs/acme/people")
	admin.UntilText("Nina New")
	axe(t, admin, "people on a phone, dark")
	admin.Shot("08-people-phone")
	admin.Open("/provider/outbox")
	admin.Until("not an operator's page for an admin", "document.title.length > 0")
}

func axe(t *testing.T, b *testkit.Browser, where string) {
	t.Helper()
	for _, fault := range b.Axe() {
		t.Errorf("%s: %s", where, fault)
	}
}
