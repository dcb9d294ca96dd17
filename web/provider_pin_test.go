package web

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// The certificate changed between the two pages: the password isn't sent, what
// is there now is shown, and has to be confirmed anew.
func TestChangedPinIsShownAndConfirmedAnew(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("operator@provider.example")
		vcenter := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			t.Errorf("%s %s reached a server with another certificate", r.Method, r.URL)
		}))
		vcenter.Config.ErrorLog = log.New(io.Discard, "", 0) // the broken handshakes are what is wanted
		vcenter.StartTLS()
		t.Cleanup(vcenter.Close)
		seen, err := vsphere.FetchCertificate(t.Context(), vcenter.URL, vsphere.PublicGuard(true))
		if err != nil {
			t.Fatal(err)
		}
		at := "/provider/clouds/" + string(p.Public.ID)
		form := url.Values{"url": {vcenter.URL}}
		answer := b.post(at+"/certificate", form)
		if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), seen.SHA256) {
			t.Fatalf("first page: %d", answer.Code)
		}
		form = url.Values{"url": {vcenter.URL}, "username": {"portal"}, "password": {"a-secret-password"}, "pin": {strings.Repeat("AB:", 31) + "AB"}, "pin_confirmed": {"yes"}}
		answer = b.post(at, form)
		body := answer.Body.String()
		if answer.Code != http.StatusUnprocessableEntity || !strings.Contains(body, seen.SHA256) || !strings.Contains(body, "another certificate") {
			t.Errorf("another pin: %d", answer.Code)
		}
		if strings.Contains(body, "a-secret-password") {
			t.Error("the password comes back")
		}
		// Even confirmed, the stored password goes to no other server.
		delete(form, "password")
		form.Set("pin", seen.SHA256)
		answer = b.post(at, form)
		if body := answer.Body.String(); answer.Code != http.StatusUnprocessableEntity || !strings.Contains(body, "Enter the password again") {
			t.Errorf("another address without its password: %d", answer.Code)
		}
		provider, err := p.System.Provider(b.who)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := provider.Cloud(t.Context(), p.Public.ID); err != nil || d.URL != p.Public.URL || d.Revision != p.Public.Revision {
			t.Errorf("the connection became %s (%v)", d.URL, err)
		}
	})
}
