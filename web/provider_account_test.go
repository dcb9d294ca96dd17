package web

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// account is any that there is, not only those that a test begins with.
func (p *portal) account(email string) models.User {
	p.t.Helper()
	u, err := p.System.UserByEmail(p.t.Context(), email)
	if err != nil {
		p.t.Fatal(err)
	}
	return u
}

func (p *portal) asAccount(email string) *browser {
	p.t.Helper()
	return p.lastSeenOf(p.account(email), models.Now())
}

// An operator shuts an account out of the whole portal, for a reason: whatever
// it has ends, each of its orgs is told, and the provider alone reads why.
func TestOperatorShutsAnAccountOutEverywhere(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		petra(t, p)
		u := p.account("petra@acme.example")
		if err := p.System.PutMember(t.Context(), p.Globex.ID, u.ID, models.RoleUser); err != nil {
			t.Fatal(err)
		}
		b := signedInPetra(t, p, "correct horse")
		token, _ := makeToken(t, b, "deploy", "user")
		operator := p.as("operator@provider.example")
		page := "/provider/accounts/" + string(u.ID)
		const reason = "laptop stolen, ticket 4711"

		list := operator.get("/provider/accounts?q=PETRA@").Body.String()
		if !strings.Contains(list, page) || strings.Contains(list, "admin@acme.example") {
			t.Error("the search finds something else")
		}
		if answer := operator.get("/provider/accounts?q=" + strings.Repeat("z", 40)); !strings.Contains(answer.Body.String(), "No account matches") {
			t.Error("nothing is not told")
		}
		if answer := operator.post(page+"/disable", url.Values{"reason": {" "}}); answer.Code != http.StatusUnprocessableEntity || !strings.Contains(answer.Body.String(), "field-reason-error") {
			t.Errorf("without a reason: %d", answer.Code)
		}
		if _, err := p.System.PutUser(t.Context(), models.User{Email: "watcher@provider.example", Name: "Watcher", ProviderRole: models.RoleProviderAuditor}); err != nil {
			t.Fatal(err)
		}
		if answer := p.asAccount("watcher@provider.example").post(page+"/disable", url.Values{"reason": {reason}}); answer.Code != http.StatusForbidden {
			t.Errorf("by a provider auditor: %d", answer.Code)
		}
		if answer := operator.post(page+"/disable", url.Values{"reason": {reason}}); answer.Code != http.StatusSeeOther {
			t.Fatalf("disable: %d %s", answer.Code, answer.Body)
		}
		if answer := b.get("/account"); answer.Code == http.StatusOK {
			t.Error("the session goes on")
		}
		if answer := p.program(token)(http.MethodGet, "/orgs/acme/machines", nil); answer.Code != http.StatusUnauthorized {
			t.Errorf("the token: %d", answer.Code)
		}
		if answer := signIn(p.anonymous(), "petra@acme.example", "correct horse", ""); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("sign-in: %d", answer.Code)
		}
		shown := operator.get(page).Body.String()
		if !strings.Contains(shown, reason) || !strings.Contains(shown, "Enable account") {
			t.Error("the page doesn't say that it is disabled, and why")
		}
		if answer := operator.get("/provider/accounts?state=disabled").Body.String(); !strings.Contains(answer, page) {
			t.Error("it isn't among the disabled")
		}
		if answer := operator.post(page+"/disable", url.Values{"reason": {reason}}); answer.Code != http.StatusConflict {
			t.Errorf("twice: %d", answer.Code)
		}
		if answer := operator.post(page+"/enable", nil); answer.Code != http.StatusSeeOther {
			t.Errorf("enable: %d", answer.Code)
		}
		if answer := p.program(token)(http.MethodGet, "/orgs/acme/machines", nil); answer.Code != http.StatusUnauthorized {
			t.Errorf("the token lives again: %d", answer.Code)
		}
		if answer := signIn(p.anonymous(), "petra@acme.example", "correct horse", ""); answer.Code != http.StatusSeeOther {
			t.Errorf("sign-in, enabled: %d", answer.Code)
		}
		for _, org := range []models.OrgID{p.Acme.ID, p.Globex.ID, models.ProviderOrg} {
			err := p.System.Look(t.Context(), org, func(r *models.Reader) error {
				for _, action := range []models.Action{models.ActionAccountDisable, models.ActionAccountEnable} {
					told, err := r.Events(models.EventFilter{Action: action})
					if err != nil || len(told.Rows) != 1 || told.Rows[0].ObjectID != string(u.ID) || told.Rows[0].ActorName != operator.who.User.Name {
						t.Errorf("%s in %s: %+v, %v", action, org, told.Rows, err)
						continue
					}
					if e := told.Rows[0]; strings.Contains(e.Before+e.After, reason) != (org == models.ProviderOrg) {
						t.Errorf("%s in %s tells %s %s", action, org, e.Before, e.After)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Of operators who disable each other at the same moment one stays, nobody
// disables themselves, and the last one can't be.
func TestProviderKeepsAnOperator(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		ctx := t.Context()
		who := []string{"operator@provider.example", "second@provider.example"}
		if _, err := p.System.PutUser(ctx, models.User{Email: who[1], Name: "Second", ProviderRole: models.RoleOperator}); err != nil {
			t.Fatal(err)
		}
		var ways []*models.Provider
		for _, email := range who {
			way, err := p.System.Provider(p.asAccount(email).who)
			if err != nil {
				t.Fatal(err)
			}
			ways = append(ways, way)
			if err := way.DisableAccount(ctx, p.account(email).ID, "mine"); !errors.Is(err, models.ErrConflict) {
				t.Errorf("oneself: %v", err)
			}
		}
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, way := range ways {
			other := p.account(who[1-i]).ID
			wg.Go(func() { errs[i] = way.DisableAccount(ctx, other, "the other one") })
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("%v and %v", errs[0], errs[1])
		}
		left := 0
		for _, email := range who {
			if u, err := p.System.UserByEmail(ctx, email); err != nil {
				t.Fatal(err)
			} else if u.DisabledAt == nil {
				left++
			}
		}
		if left != 1 {
			t.Errorf("%d operators are left", left)
		}
	})
}

// A new password leaves API tokens alone, unless their owner ticks the box; one
// that is set by whoever runs the portal ends them.
func TestNewPasswordAndAPITokens(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		petra(t, p)
		u := p.account("petra@acme.example")
		b := signedInPetra(t, p, "correct horse")
		works := func(token string) bool {
			return p.program(token)(http.MethodGet, "/orgs/acme/machines", nil).Code == http.StatusOK
		}
		change := func(old, fresh string, more url.Values) int {
			form := url.Values{"old": {old}, "new": {fresh}, "again": {fresh}}
			maps.Copy(form, more)
			return b.post("/account/password", form).Code
		}
		first, _ := makeToken(t, b, "one", "user")
		second, _ := makeToken(t, b, "two", "user")
		if page := b.get("/account").Body.String(); !strings.Contains(page, "Revoke all my API tokens too") || !strings.Contains(page, "You have 2 tokens. Left alone, they go on to work") {
			t.Error("the page doesn't say what becomes of the tokens")
		}
		if code := change("correct horse", "battery staple 77", nil); code != http.StatusSeeOther || !works(first) || !works(second) {
			t.Errorf("changed: %d", code)
		}
		bad := b.post("/account/password", url.Values{"old": {"guess"}, "new": {"battery staple 78"}, "again": {"battery staple 78"}, "tokens": {"revoke"}})
		if bad.Code != http.StatusUnprocessableEntity || !strings.Contains(bad.Body.String(), `value="revoke" aria-describedby="tokens-too-hint" checked`) || !works(first) {
			t.Errorf("wrong password: %d", bad.Code)
		}
		if code := change("battery staple 77", "battery staple 79", url.Values{"tokens": {"revoke"}}); code != http.StatusSeeOther || works(first) || works(second) {
			t.Errorf("changed with the box ticked: %d", code)
		}
		if told := p.events(models.EventFilter{Action: models.ActionTokenRevoke}); len(told) != 2 {
			t.Errorf("the org is told of %d tokens", len(told))
		}
		told := p.events(models.EventFilter{Action: models.ActionPasswordSet})
		if len(told) == 0 || !strings.Contains(told[0].After, `"tokens_revoked":2`) {
			t.Errorf("history: %+v", told)
		}
		third, _ := makeToken(t, b, "three", "user")
		if err := p.System.SetPassword(t.Context(), u.ID, "$argon2id$none"); err != nil {
			t.Fatal(err)
		}
		if works(third) || b.get("/account").Code == http.StatusOK {
			t.Error("a password that was set for them leaves something")
		}
	})
}
