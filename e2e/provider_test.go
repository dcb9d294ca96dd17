package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// The operator's work in a browser: a cloud added while the portal runs, its
// certificate confirmed; an org created, looked into, and suspended.
func TestOperatorAddsACloudAndLooksAfterOrgs(t *testing.T) {
	t.Parallel()
	v := testkit.RunLabVCenter(t, "--name", "east", "--clone-delay", "100ms")
	url, _, _ := demo(t)
	b := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "provider"))
	signIn(b, "operator@provider.example")
	axe := func(where string) {
		t.Helper()
		for _, line := range b.Axe() {
			t.Errorf("%s: %s", where, line)
		}
	}

	// A cloud: first where it is.
	b.Open("/provider/clouds/new")
	b.Fill("#field-name", "East")
	b.Fill("#field-slug", "east")
	b.Fill("#field-url", "https://169.254.169.254/sdk")
	b.Click("#cloud-form button[type=submit]")
	b.Until("a metadata address is refused beside its field", "document.querySelector('#field-url[aria-invalid=true]') && document.querySelector('#field-name').value === 'East'")
	b.Fill("#field-url", v.URL)
	b.Click("#cloud-form button[type=submit]")
	b.Until("the certificate is shown", "document.querySelector('[data-pin]')")
	pin := testkit.Eval[string](b, "document.querySelector('[data-pin]').textContent")
	if !strings.EqualFold(strings.ReplaceAll(pin, ":", ""), strings.ReplaceAll(v.ThumbprintSHA256, ":", "")) {
		t.Errorf("shown %s, the vCenter's is %s", pin, v.ThumbprintSHA256)
	}
	axe("certificate")
	b.Shot("01-certificate")

	// Without the confirmation, and with a wrong password, nothing is saved.
	b.Fill("#field-username", v.Username)
	b.Fill("#field-password", v.Password)
	b.Click("#confirm-form button[type=submit]")
	b.Until("the confirmation is asked for", "document.querySelector('#field-pin_confirmed-error')")
	b.Click("input[name=pin_confirmed]")
	b.Fill("#field-password", "not it")
	b.Click("#confirm-form button[type=submit]")
	b.Until("the password is refused and not shown again", "document.querySelector('#field-password[aria-invalid=true]')?.value === ''")
	b.Fill("#field-password", v.Password)
	b.Click("#confirm-form button[type=submit]")
	b.Until("at the cloud", "/clouds\\/[0-9a-f-]{36}$/.test(location.pathname)")
	cloud := b.Path()
	b.Until("connected, without a restart", "document.querySelector('[data-cloud-status=connected]')")
	if strings.Contains(b.Text(), v.Password) {
		t.Error("the password is on the page")
	}
	axe("cloud")
	b.Shot("02-cloud")
	b.Click("[data-dialog-open=ask-disable]")
	b.Click("#ask-disable button[type=submit]")
	b.Until("disabled", "document.querySelector('[data-cloud-status=disabled]')")
	b.Click(`form[action$="/enable"] button`)
	b.Until("connected again", "document.querySelector('[data-cloud-status=connected]')")

	// The other pages, light and dark, wide and narrow.
	for name, path := range map[string]string{"overview": "/provider/", "clouds": "/provider/clouds", "menu": "/provider/menu", "catalogs": "/provider/catalogs",
		"networks": "/provider/networks", "orgs": "/provider/orgs", "org": "/provider/orgs/acme", "tasks": "/provider/tasks", "health": "/provider/health", "cloud-page": cloud} {
		b.Look(1440, 900, false)
		b.Open(path)
		axe(name)
		b.Shot("page-" + name)
		b.Look(390, 844, true)
		b.Open(path)
		if wide := testkit.Eval[int](b, "document.documentElement.scrollWidth"); wide > 390 {
			t.Errorf("%s is %d pixels wide on a phone", name, wide)
		}
		axe(name + ", dark")
		b.Shot("page-" + name + "-phone")
	}
	b.Look(1440, 900, false)

	// An org.
	b.Open("/provider/orgs/new")
	b.Fill("#field-name", "Umbrella")
	b.Fill("#field-slug", "umbrella")
	b.Fill("#field-email", "first@umbrella.example")
	b.Click("#org-form button[type=submit]")
	b.UntilText("Umbrella is created")
	axe("org created")
	b.Shot("03-org-created")
	link := testkit.Eval[string](b, "document.querySelector('[data-invitation-link]').innerText.match(/http\\S+token=[\\w-]+/)[0]")
	first := testkit.NewBrowser(t, url, filepath.Join(testkit.Root(), "e2e", "artifacts", "provider"))
	first.Open(strings.TrimPrefix(link, url))
	first.UntilText("Join Umbrella")
	first.Fill("#name", "Fay First")
	first.Fill("#password", "several words in a row")
	first.Fill("#again", "several words in a row")
	first.Click("main form button[type=submit]")
	first.Until("in the org", "location.pathname === '/orgs/umbrella/'")
	first.Shot("03-first-admin")
	first.Open("/orgs/umbrella/people")
	first.Until("its admin, who may invite", "document.querySelector('#invite-email') && document.body.innerText.includes('Fay First')")

	// A look: a reason first, a banner on every page, and an end.
	b.Open("/provider/orgs/acme")
	b.Fill("#field-reason", "Ticket 4711")
	b.Click("#look-form button[type=submit]")
	b.Until("in the org, under a banner", "location.pathname === '/orgs/acme/' && document.querySelector('[data-look]')?.innerText.includes('Ticket 4711')")
	axe("look")
	b.Shot("04-look")
	b.Look(390, 844, true)
	b.Open("/orgs/acme/machines")
	b.Until("the banner stays in view", "(scrollTo(0, document.body.scrollHeight), scrollY > 200 && document.elementFromPoint(195, document.querySelector('.look-banner').getBoundingClientRect().top + 10).closest('.look-banner') !== null)")
	axe("look, dark, on a phone")
	b.Shot("04-look-phone")
	b.Look(1440, 900, false)
	b.Open("/orgs/acme/machines")
	b.Until("the banner is on the list too, and nothing can be changed", "document.querySelector('[data-look]') && !document.querySelector('a[href$=\"/machines/new\"]')")
	b.Click("[data-look] button")
	b.Until("ended", "location.pathname === '/provider/orgs/acme'")
	b.Open("/orgs/acme/")
	b.UntilText("There is nothing at this address")

	// Suspended: its people see so, its history says who looked in.
	tenant := testkit.NewVisitor(t, url)
	tenant.SignIn(t, "admin@acme.example", "millwright")
	b.Open("/provider/orgs/acme")
	b.Click("[data-dialog-open=ask-suspend]")
	b.Click("#ask-suspend button[type=submit]")
	b.UntilText("This org is suspended")
	b.Shot("05-suspended")
	if a, err := tenant.Get("/orgs/acme/machines"); err != nil || a.Status != 403 || !strings.Contains(a.Body, "suspended by the provider") {
		t.Errorf("its admin gets %d (%v)", a.Status, err)
	}
	b.Click(`form[action$="/resume"] button`)
	b.Until("resumed", "document.querySelector('[data-dialog-open=ask-suspend]')")
	if a, err := tenant.Get("/orgs/acme/history"); err != nil || !strings.Contains(a.Body, "Olive") || a.Status != 200 {
		t.Errorf("the org's history: %d (%v)", a.Status, err)
	}
	for _, m := range b.Messages() {
		if strings.Contains(m, "Content Security Policy") {
			t.Error(m)
		}
	}
}
