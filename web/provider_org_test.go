package web

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
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

// An invitation of an org's first admin that came to nothing is sent again by
// the operators, with a new link: the old one is dead. Once the org has its
// admin, its people are its own affair.
func TestOperatorsBringAnOrgItsAdmin(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		operator := p.as("operator@provider.example")
		form := url.Values{"name": {"Umbrella"}, "slug": {"umbrella"}, "email": {"first@umbrella.example"}}
		for _, res := range models.Resources {
			form.Set("quota_"+string(res), "3")
		}
		linked := func(name string, answer *httptest.ResponseRecorder, want int) string {
			t.Helper()
			link := invitationLink.FindStringSubmatch(answer.Body.String())
			if answer.Code != want || link == nil {
				t.Fatalf("%s: %d", name, answer.Code)
			}
			return link[1]
		}
		dead := func(name, token string) {
			t.Helper()
			if b, cookie := p.follow(token); b.accept(cookie, newcomerForm()).Code != http.StatusNotFound {
				t.Errorf("%s opens the org", name)
			}
		}
		first := linked("create", operator.post("/provider/orgs", form), http.StatusCreated)
		execRaw(t, db, "UPDATE invitations SET expires_at = '2001-01-01 00:00:00' WHERE email = 'first@umbrella.example'")
		dead("the expired link", first)
		page := operator.get("/provider/orgs/umbrella").Body.String()
		again := regexp.MustCompile(`/provider/invitations/([0-9a-f-]{36})/resend`).FindStringSubmatch(page)
		if again == nil || !strings.Contains(page, "Expired") {
			t.Fatal("the org's page doesn't offer to send it again")
		}
		second := linked("send again", operator.post(again[0], nil), http.StatusOK)
		dead("the link before", first)
		// Another address, and the first one's invitation taken back.
		for _, address := range []string{"", "nobody", "first@umbrella.example"} {
			if answer := operator.post("/provider/orgs/umbrella/invite", url.Values{"email": {address}}); answer.Code != http.StatusUnprocessableEntity || !strings.Contains(answer.Body.String(), "field-email-error") {
				t.Errorf("address %q: %d", address, answer.Code)
			}
		}
		third := linked("another address", operator.post("/provider/orgs/umbrella/invite", url.Values{"email": {"other@umbrella.example"}}), http.StatusOK)
		if answer := operator.post("/provider/invitations/"+again[1]+"/withdraw", nil); answer.Code != http.StatusSeeOther {
			t.Errorf("withdraw: %d", answer.Code)
		}
		dead("the withdrawn link", second)
		b, cookie := p.follow(third)
		if done := b.accept(cookie, newcomerForm()); done.Code != http.StatusSeeOther {
			t.Fatalf("accept: %d", done.Code)
		}
		// The org has its admin: nothing is offered any more, and nothing works.
		if page := operator.get("/provider/orgs/umbrella").Body.String(); strings.Contains(page, "/invite\"") || strings.Contains(page, "Its administrator") {
			t.Error("the page still offers to invite")
		}
		for path, want := range map[string]int{
			"/provider/orgs/umbrella/invite": http.StatusConflict, "/provider/orgs/acme/invite": http.StatusConflict, "/provider/orgs/nowhere/invite": http.StatusNotFound,
			again[0]: http.StatusNotFound, "/provider/invitations/" + p.invitation("acme") + "/resend": http.StatusNotFound, "/provider/invitations/" + p.invitation("acme") + "/withdraw": http.StatusNotFound,
		} {
			if answer := operator.post(path, url.Values{"email": {"third@umbrella.example"}}); answer.Code != want {
				t.Errorf("%s: %d", path, answer.Code)
			}
		}
		// Both histories tell of all of it, in the operator's name, and of no link.
		for path, b := range map[string]*browser{"/provider/history/export?org=provider&format=jsonl": operator, "/provider/history/export?org=umbrella&format=jsonl": operator} {
			text := b.get(path).Body.String()
			for _, action := range []models.Action{models.ActionInviteResend, models.ActionInvite, models.ActionInviteEnd} {
				if !strings.Contains(text, string(action)) {
					t.Errorf("%s has no %s", path, action)
				}
			}
			for _, token := range []string{first, second, third} {
				if strings.Contains(text, token) {
					t.Errorf("%s has a link", path)
				}
			}
		}
	})
}
