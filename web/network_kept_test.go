package web

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// chosen returns what a browser would send for a menu: the marked option, or
// for want of one the first.
func chosen(t *testing.T, body, menu string) string {
	t.Helper()
	_, rest, found := strings.Cut(body, `name="`+menu+`"`)
	if !found {
		t.Fatalf("no menu %s", menu)
	}
	rest, _, _ = strings.Cut(rest, "</select>")
	options := regexp.MustCompile(`<option value="([^"]*)"([^>]*)>`).FindAllStringSubmatch(rest, -1)
	if len(options) == 0 {
		t.Fatalf("menu %s is empty: %s", menu, rest)
	}
	for _, o := range options {
		if strings.Contains(o[2], "selected") {
			return o[1]
		}
	}
	return options[0][1]
}

// A rule whose machine is gone is edited without speaking of more than before.
func TestRuleOfAMachineThatIsGoneIsNotWidened(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		p, _ := newNetworkPortal(t, db)
		admin := p.as("admin@acme.example")
		m := p.Machine(t, "web-1")
		const page = "/orgs/acme/network/firewall"
		form := url.Values{"direction": {"in"}, "protocol": {"tcp"}, "ports": {"22"}, "allow": {"yes"}, "enabled": {"yes"}, "inside": {"machine:" + string(m.ID)}}
		mustStatus(t, "add", admin.post(page, form).Code, http.StatusSeeOther, "")
		rule := page + "/" + ruleIDs.FindStringSubmatch(admin.get(page).Body.String())[1]
		err := p.System.Within(ctx, p.Acme.ID, models.SystemActor, func(w *models.Writer) error {
			if err := w.ReleaseMachine(m.ID); err != nil {
				return err
			}
			return w.Record(models.Event{Action: models.ActionMachineDelete, Object: m.Object(), Outcome: models.OutcomeSucceeded})
		})
		if err != nil {
			t.Fatal(err)
		}
		body := admin.get(rule + "/edit").Body.String()
		if got := chosen(t, body, "inside"); got != form.Get("inside") {
			t.Errorf("the form would send %q", got)
		}
		if !strings.Contains(body, "web-1 (gone") {
			t.Error("the form doesn't say whose rule it is")
		}
		form.Set("comment", "only a word")
		admin.post(rule, form)
		if got := chosen(t, admin.get(rule+"/edit").Body.String(), "inside"); got != form.Get("inside") {
			t.Errorf("stored, it speaks of %q", got)
		}
	})
}

// A policy whose template and size are on no menu any more says so, and is not
// stored with another one by the way.
func TestPolicyKeepsATemplateThatIsNoLongerOffered(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		p, _ := newNetworkPortal(t, db)
		admin := p.as("admin@acme.example")
		page := admin.makeService(t, changed(wizardForm, "monitor", "none"))
		form := url.Values{"enabled": {"yes"}, "min": {"2"}, "max": {"3"}, "template": {string(p.Template.ID)}, "instance_type": {string(p.Small.ID)},
			"network": {string(p.AcmeNetworks[p.Public.ID].ID)}, "port": {"8081"}, "dead_after": {"45"}, "cooldown": {"61"}, "per_hour": {"7"},
			"price": {"36000"}, "accept": {"yes"}}
		w := admin.post(page+"/policy", form)
		mustStatus(t, "store", w.Code, http.StatusSeeOther, w.Body.String())
		body := admin.get(page).Body.String()
		if !strings.Contains(body, "of a program that hangs nobody hears") {
			t.Error("the panel promises more than an unmonitored service gives")
		}
		operator, err := p.System.Provider(p.SignedIn(t, "operator@provider.example"))
		if err != nil {
			t.Fatal(err)
		}
		if err := operator.RetireTemplate(ctx, p.Template.ID, true); err != nil {
			t.Fatal(err)
		}
		body = admin.get(page + "/policy").Body.String()
		if got := chosen(t, body, "template"); got != string(p.Template.ID) || !strings.Contains(body, "no longer offered") {
			t.Errorf("the form would send template %q", got)
		}
		w = admin.post(page+"/policy", form)
		mustStatus(t, "store what is retired", w.Code, http.StatusUnprocessableEntity, "")
		if !strings.Contains(w.Body.String(), `id="template-error"`) {
			t.Error("the field doesn't say what is wrong")
		}
	})
}
