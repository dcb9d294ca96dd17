package web

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// An org is created with its first administrator's invitation: by it somebody
// without an account comes in, is the admin, and invites the next.
func TestOrgBeginsWithItsAdminsInvitation(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		operator := p.as("operator@provider.example")
		form := url.Values{"name": {"Umbrella"}, "slug": {"umbrella"}, "email": {"First@Umbrella.example"}}
		for _, res := range models.Resources {
			form.Set("quota_"+string(res), "3")
		}
		// Without a usable address there is neither invitation nor org.
		for _, address := range []string{"", "nobody", "a@b.example\r\nBcc: x@y.example"} {
			bad := maps.Clone(form)
			bad.Set("email", address)
			answer := operator.post("/provider/orgs", bad)
			if answer.Code != http.StatusUnprocessableEntity || !strings.Contains(answer.Body.String(), "field-email-error") || !strings.Contains(answer.Body.String(), `value="Umbrella"`) {
				t.Errorf("address %q: %d", address, answer.Code)
			}
		}
		if answer := operator.get("/provider/orgs/umbrella"); answer.Code != http.StatusNotFound {
			t.Fatalf("an org was made without its admin's invitation: %d", answer.Code)
		}
		answer := operator.post("/provider/orgs", form)
		link := invitationLink.FindStringSubmatch(answer.Body.String())
		if answer.Code != http.StatusCreated || link == nil || !strings.Contains(answer.Body.String(), "first@umbrella.example") {
			t.Fatalf("create: %d", answer.Code)
		}
		if page := operator.get("/provider/orgs/umbrella").Body.String(); strings.Contains(page, link[1]) {
			t.Error("the org's page shows the link again")
		}
		b, cookie := p.follow(link[1])
		done := b.accept(cookie, newcomerForm())
		if done.Code != http.StatusSeeOther || done.Header().Get("Location") != "/orgs/umbrella/" {
			t.Fatalf("accept: %d %s", done.Code, done.Body)
		}
		for _, c := range done.Result().Cookies() {
			if c.Name == "millwright" {
				b.token = c.Value
			}
		}
		if answer := b.post("/orgs/umbrella/people/invitations", url.Values{"email": {"second@umbrella.example"}, "role": {"user"}}); answer.Code != http.StatusOK {
			t.Errorf("the first admin invites: %d", answer.Code)
		}
		if answer := b.get("/provider/"); answer.Code != http.StatusNotFound {
			t.Errorf("the provider's side: %d", answer.Code)
		}
		if page := operator.get("/provider/orgs/umbrella").Body.String(); !strings.Contains(page, "Nina New") {
			t.Error("the operators don't see who came in")
		}
		if answer := p.anonymous().post("/sign-in", url.Values{"email": {"first@umbrella.example"}, "password": {"a long new password"}}); answer.Code != http.StatusSeeOther {
			t.Errorf("signs in: %d", answer.Code)
		}
		if history := b.get("/orgs/umbrella/history").Body.String(); !strings.Contains(history, "Operator of provider") {
			t.Error("its history doesn't say who made it")
		}
	})
}
