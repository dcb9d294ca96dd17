package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// cloudForm is a new cloud's form with an address.
func cloudForm(address string) url.Values {
	return url.Values{"name": {"East"}, "slug": {"east"}, "class": {"private"}, "price_factor": {"100"}, "url": {address},
		"username": {"portal"}, "password": {"a-secret-password"}, "pin_confirmed": {"yes"},
		"pin": {strings.Repeat("AB:", 31) + "AB"}}
}

// The portal connects to what an operator names: never to itself, to a
// metadata service, or by anything but TLS, however it is spelled.
func TestHoleRequestsToWhereTheOperatorSays(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		var reached atomic.Int32
		inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
		t.Cleanup(inside.Close)
		_, port, _ := strings.Cut(strings.TrimPrefix(inside.URL, "https://"), ":")
		p := newPortalGuarded(t, db, Options{}, vsphere.PublicGuard(false))
		b := p.as("operator@provider.example")
		for _, address := range []string{
			"https://127.0.0.1:" + port + "/sdk", "https://localhost:" + port + "/sdk", "https://localhost.:" + port, "https://[::1]:" + port + "/",
			"https://0.0.0.0:" + port + "/", "https://[::]:" + port + "/", "https://0:" + port + "/", "https://127.1:" + port + "/",
			"https://2130706433:" + port + "/", "https://0x7f000001:" + port + "/", "https://0177.0.0.1:" + port + "/",
			"https://[::ffff:127.0.0.1]:" + port + "/", "https://[::127.0.0.1]:" + port + "/", "https://[64:ff9b::7f00:1]:" + port + "/",
			"https://[2002:7f00:1::]:" + port + "/", "https://127.0.0.1:" + port + "#@vcenter.example/", "https://vcenter.example@127.0.0.1:" + port + "/",
			"https://vcenter.example%2F@127.0.0.1:" + port + "/", "https://127.0.0.1:" + port + "\\@vcenter.example/",
			"https://127.0.0.1:" + port + "?vcenter.example", "https://①②⑦.0.0.1:" + port + "/",
			"https://169.254.169.254/latest/meta-data/", "https://[::ffff:169.254.169.254]/", "https://[fe80::1%25lo]/", "https://100.100.100.200/",
			"https://[fd00:ec2::254]/", "https://user:secret-in-address@169.254.169.254/",
			"http://127.0.0.1:" + port + "/", "gopher://127.0.0.1:" + port + "/", "file:///etc/passwd", "https:127.0.0.1", "https://", "//127.0.0.1:" + port, "",
		} {
			for _, path := range []string{"/provider/clouds/certificate", "/provider/clouds"} {
				answer := b.post(path, cloudForm(address))
				body := answer.Body.String()
				if answer.Code != http.StatusUnprocessableEntity || !strings.Contains(body, "field-url-error") {
					t.Errorf("%s at %s: %d", address, path, answer.Code)
				}
				if strings.Contains(body, "a-secret-password") {
					t.Errorf("%s at %s: the password comes back", address, path)
				}
			}
		}
		if n := reached.Load(); n != 0 {
			t.Errorf("%d requests reached the inside", n)
		}
		provider, err := p.System.Provider(b.who)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := provider.Clouds(t.Context()); err != nil || len(list) != 2 {
			t.Errorf("%d clouds: %v", len(list), err)
		}
		err = p.System.Look(t.Context(), models.ProviderOrg, func(r *models.Reader) error {
			page, err := r.Events(models.EventFilter{})
			for _, e := range page.Rows {
				if full, err := r.Event(e.ID); err != nil || strings.Contains(full.Body, "secret") {
					t.Errorf("the history has a secret (%v): %s", err, full.Body)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// What answers sends the portal elsewhere: it goes nowhere, and the password
// isn't handed on.
func TestHoleRedirectOfTheCloudItself(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("operator@provider.example")
	var reached atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		reached.Add(1)
		t.Errorf("%s %s reached the inside: %s", r.Method, r.URL, body)
	}))
	t.Cleanup(inside.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		var asked atomic.Int32
		outside := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			http.Redirect(w, r, inside.URL+"/latest/meta-data/", status)
		}))
		pin, err := vsphere.FetchCertificate(t.Context(), outside.URL, vsphere.PublicGuard(true))
		if err != nil {
			t.Fatal(err)
		}
		form := cloudForm(outside.URL)
		form.Set("pin", pin.SHA256)
		answer := b.post("/provider/clouds", form)
		if answer.Code != http.StatusUnprocessableEntity || strings.Contains(answer.Body.String(), "meta-data") {
			t.Errorf("%d: %d", status, answer.Code)
		}
		if asked.Load() == 0 {
			t.Errorf("%d: the cloud was never asked", status)
		}
		outside.Close()
	}
	if reached.Load() != 0 {
		t.Error("a redirect was followed")
	}
}
