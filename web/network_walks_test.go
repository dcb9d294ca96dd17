package web

import (
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

var ruleIDs = regexp.MustCompile(`data-rule-id="([^"]+)"`)

// The buttons of a rule move it by one, and not beyond the ends.
func TestFirewallRuleMovesByItsButtons(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, _ := newNetworkPortal(t, db)
		admin := p.as("admin@acme.example")
		const page = "/orgs/acme/network/firewall"
		for _, name := range []string{"one", "two", "three"} {
			w := admin.post(page, url.Values{"direction": {"in"}, "protocol": {"any"}, "allow": {"no"}, "enabled": {"yes"}, "comment": {name}})
			mustStatus(t, name, w.Code, http.StatusSeeOther, w.Body.String())
		}
		order := func() (list []string) {
			for _, m := range ruleIDs.FindAllStringSubmatch(admin.get(page).Body.String(), -1) {
				list = append(list, m[1])
			}
			return list
		}
		first := order()
		if len(first) != 3 {
			t.Fatalf("%d rules", len(first))
		}
		one, two, three := first[0], first[1], first[2]
		body := admin.get(page).Body.String()
		for _, ends := range []string{`value="up" disabled aria-label="Move rule 1 up"`, `value="down" disabled aria-label="Move rule 3 down"`} {
			if !strings.Contains(body, ends) {
				t.Errorf("the page lacks %s", ends)
			}
		}
		for _, c := range []struct {
			rule, by string
			want     []string
		}{
			{three, "up", []string{one, three, two}},
			{three, "up", []string{three, one, two}},
			{three, "up", []string{three, one, two}},
			{three, "down", []string{one, three, two}},
			{two, "down", []string{one, three, two}},
			{one, "down", []string{three, one, two}},
		} {
			w := admin.post(page+"/"+c.rule+"/move", url.Values{"by": {c.by}})
			mustStatus(t, "move "+c.by, w.Code, http.StatusSeeOther, w.Body.String())
			if at := w.Header().Get("Location"); at != page {
				t.Errorf("it leads to %s", at)
			}
			if got := order(); !slices.Equal(got, c.want) {
				t.Fatalf("%s: %v, want %v", c.by, got, c.want)
			}
		}
		mustStatus(t, "another org's", p.as("admin@globex.example").post("/orgs/globex/network/firewall/"+one+"/move", url.Values{"by": {"up"}}).Code, http.StatusNotFound, "")
		mustStatus(t, "an auditor", p.as("auditor@acme.example").post(page+"/"+one+"/move", url.Values{"by": {"up"}}).Code, http.StatusForbidden, "")
		for _, bad := range []url.Values{{}, {"by": {""}}, {"by": {"sideways"}}, {"by": {"sideways"}, "to": {"1"}}, {"to": {"-1"}}, {"to": {"0"}}, {"to": {"first"}}, {"to": {"999999"}}} {
			w := admin.post(page+"/"+two+"/move", bad)
			mustStatus(t, "nowhere: "+bad.Encode(), w.Code, http.StatusUnprocessableEntity, "")
			if body := w.Body.String(); !strings.Contains(body, "Say where the rule goes") && !strings.Contains(body, "Enter a whole number") {
				t.Errorf("%s is refused without words", bad.Encode())
			}
		}
		if got := order(); !slices.Equal(got, []string{three, one, two}) {
			t.Errorf("moved by somebody who may not: %v", got)
		}
	})
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// carried is what a page's form brings along by itself.
func carried(body string) url.Values {
	v := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(body, -1) {
		v.Set(m[1], html.UnescapeString(m[2]))
	}
	return v
}

// From a machine's page, by the links and forms that are there, to the machine
// being the new service's first node.
func TestMachinesPortIsPublishedFromItsPage(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, _ := newNetworkPortal(t, db)
		m := p.Machine(t, "web-1")
		admin := p.as("admin@acme.example")
		follow := func(from, to string) string {
			t.Helper()
			body := admin.get(from).Body.String()
			link := regexp.MustCompile(`href="(` + regexp.QuoteMeta(to) + `[^"]*)"`).FindStringSubmatch(body)
			if link == nil {
				t.Fatalf("%s has no link to %s", from, to)
			}
			return html.UnescapeString(link[1])
		}
		publish := follow("/orgs/acme/machines/"+string(m.ID), "/orgs/acme/network/publish?")
		wizard := follow(publish, "/orgs/acme/network/services/new?machine=")
		body := admin.get(wizard).Body.String()
		if !strings.Contains(body, "For web-1, which becomes its first node.") {
			t.Error("the wizard doesn't say for which machine it is")
		}
		for step, typed := range []url.Values{
			{"name": {"dns"}, "protocol": {"udp"}, "port": {"53"}, "public_ip": {""}},
			{"balancing": {"round_robin"}, "monitor": {"tcp"}, "path": {""}, "status": {""}, "idle": {"30"}},
			{"sources": {"0.0.0.0/0"}},
		} {
			form := carried(body)
			maps.Copy(form, typed)
			form.Set("step", string(rune('2'+step)))
			w := admin.get("/orgs/acme/network/services/new?" + form.Encode())
			mustStatus(t, "step", w.Code, http.StatusOK, w.Body.String())
			body = w.Body.String()
			if step == 0 { // of UDP only what is true is offered
				if strings.Contains(body, `value="least_connections"`) || !strings.Contains(body, `value="round_robin" checked`) || !strings.Contains(body, "Machine answers") {
					t.Error("UDP is offered what only TCP has")
				}
			}
		}
		if !strings.Contains(body, "Round robin") || !strings.Contains(body, "Machine answers") {
			t.Error("the review tells something else")
		}
		w := admin.post("/orgs/acme/network/services", changed(carried(body), "accept", "yes"))
		mustStatus(t, "make", w.Code, http.StatusSeeOther, w.Body.String())
		next := w.Header().Get("Location")
		service, _, _ := strings.Cut(next, "/nodes/")
		body = admin.get(next).Body.String()
		form := carried(body)
		if form.Get("machine") != string(m.ID) || !strings.Contains(body, m.Address) {
			t.Fatalf("%s doesn't ask for the machine's port: %v", next, form)
		}
		w = admin.post(service+"/nodes", changed(form, "address", m.Address, "port", "5353", "enabled", "yes"))
		mustStatus(t, "add", w.Code, http.StatusSeeOther, w.Body.String())
		body = admin.get(w.Header().Get("Location")).Body.String()
		if !strings.Contains(body, m.Address+":5353") || !strings.Contains(body, ">web-1</a>") {
			t.Error("the machine isn't behind the service")
		}
		if body := admin.get("/orgs/acme/machines/" + string(m.ID)).Body.String(); !strings.Contains(body, service) {
			t.Error("the machine's page doesn't tell that it is published")
		}
		// One that is there can be joined as well.
		if at := follow(publish, service+"/nodes/new?"); !strings.Contains(at, string(m.ID)) {
			t.Errorf("joining leads to %s", at)
		}
	})
}
