package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestPolicyFormKeepsWhatWasTypedAndShowsThePrice(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, _ := newNetworkPortal(t, db)
		admin := p.as("admin@acme.example")
		page := admin.makeService(t, wizardForm)
		w := admin.get(page)
		mustStatus(t, "service", w.Code, http.StatusOK, "")
		if !strings.Contains(w.Body.String(), page+`/policy`) {
			t.Error("the service's page doesn't offer a policy")
		}
		mustStatus(t, "form", admin.get(page+"/policy").Code, http.StatusOK, "")
		network := p.AcmeNetworks[p.Public.ID]
		form := url.Values{"enabled": {"yes"}, "min": {"2"}, "max": {"3"}, "template": {string(p.Template.ID)}, "instance_type": {string(p.Small.ID)},
			"network": {string(network.ID)}, "port": {"8081"}, "dead_after": {"45"}, "cooldown": {"61"}, "per_hour": {"7"}, "scale": {"yes"},
			"scale_out": {"90"}, "scale_in": {"80"}, "price": {"36000"}, "accept": {"yes"}}
		w = admin.post(page+"/policy", form)
		mustStatus(t, "scale in too near", w.Code, http.StatusUnprocessableEntity, "")
		for _, want := range []string{`id="scale_in-error"`, `value="8081"`, `value="45"`, `value="61"`, `value="7"`, `value="90"`, `name="price" value="36000"`} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("the form came back without %s", want)
			}
		}
		form.Set("scale_in", "30")
		// What is accepted is the price of what is chosen, and of nothing cheaper.
		w = admin.post(page+"/policy", changed(form, "instance_type", string(p.Large.ID)))
		mustStatus(t, "another price", w.Code, http.StatusUnprocessableEntity, "")
		if body := w.Body.String(); !strings.Contains(body, `id="accept-error"`) || !strings.Contains(body, `name="price" value="288000"`) {
			t.Error("the price of the larger size isn't asked for")
		}
		refused := changed(form)
		refused.Del("accept")
		mustStatus(t, "not accepted", admin.post(page+"/policy", refused).Code, http.StatusUnprocessableEntity, "")
		w = admin.get(page + "/policy?part=live&typed=yes&max=5&" + url.Values{"template": form["template"], "instance_type": form["instance_type"], "network": form["network"]}.Encode())
		if body := w.Body.String(); !strings.Contains(body, `name="price" value="60000"`) {
			t.Errorf("the live price: %s", body)
		}
		w = admin.post(page+"/policy", form)
		mustStatus(t, "store", w.Code, http.StatusSeeOther, w.Body.String())
		for who, want := range map[string]string{"admin@acme.example": "Edit policy", "auditor@acme.example": "Watching"} {
			if body := p.as(who).get(page).Body.String(); !strings.Contains(body, `data-policy-state="watching"`) || !strings.Contains(body, want) {
				t.Errorf("%s doesn't see the policy", who)
			}
		}
		if body := admin.get(page + "/policy").Body.String(); !strings.Contains(body, `value="8081"`) || !strings.Contains(body, "End policy") {
			t.Error("the form of the policy isn't what was stored")
		}
		mustStatus(t, "end", admin.post(page+"/policy/delete", nil).Code, http.StatusSeeOther, "")
		if n := len(p.events(models.EventFilter{Action: models.ActionFacadeSet})) + len(p.events(models.EventFilter{Action: models.ActionFacadeEnd})); n != 2 {
			t.Errorf("%d events of the policy", n)
		}
	})
}
