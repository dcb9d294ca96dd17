package web

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// newNetworkPortal has a lab gateway, four public IPs and VLANs; acme has its
// outbound address.
func newNetworkPortal(t *testing.T, db *models.DB) (*portal, edge.Source) {
	t.Helper()
	p := newPortal(t, db)
	ctx := context.Background()
	if err := p.OfferPublicIPs("198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"); err != nil {
		t.Fatal(err)
	}
	if err := p.OfferVLANs(100, 105); err != nil {
		t.Fatal(err)
	}
	feed, err := p.network.Lab(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.network.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	return p, feed
}

func mustStatus(t *testing.T, what string, got, want int, body string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %d, want %d\n%s", what, got, want, body)
	}
}

var wizardForm = url.Values{
	"name": {"shop"}, "protocol": {"tcp"}, "port": {"443"}, "public_ip": {""}, "balancing": {"least_connections"},
	"monitor": {"http"}, "path": {"/healthz"}, "status": {"200"}, "idle": {"300"}, "sources": {"0.0.0.0/0"},
	"accept": {"yes"}, "price": {"6000"},
}

func changed(v url.Values, pairs ...string) url.Values {
	out := maps.Clone(v)
	for i := 0; i+1 < len(pairs); i += 2 {
		out.Set(pairs[i], pairs[i+1])
	}
	return out
}

// makeService goes the wizard's last step and returns the service's address.
func (b *browser) makeService(t *testing.T, form url.Values) string {
	t.Helper()
	w := b.post("/orgs/acme/network/services", form)
	mustStatus(t, "make service", w.Code, http.StatusSeeOther, w.Body.String())
	return w.Header().Get("Location")
}

func TestServiceWizardKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, _ := newNetworkPortal(t, db)
		admin := p.as("admin@acme.example")
		w := admin.get("/orgs/acme/network")
		mustStatus(t, "overview", w.Code, http.StatusOK, "")
		if !strings.Contains(w.Body.String(), `data-outbound="198.51.100.`) {
			t.Error("the overview doesn't show the outbound address")
		}
		if w := admin.get("/orgs/acme/network/services/new"); w.Code != http.StatusOK {
			t.Fatalf("first step: %d", w.Code)
		}
		// A step with something wrong in it is not passed, and nothing is lost.
		w = admin.get("/orgs/acme/network/services/new?step=2&name=shop&protocol=tcp&port=0&public_ip=")
		mustStatus(t, "bad port", w.Code, http.StatusUnprocessableEntity, "")
		if body := w.Body.String(); !strings.Contains(body, `value="shop"`) || !strings.Contains(body, `id="port-error"`) {
			t.Error("the first step came back without what was typed")
		}
		w = admin.get("/orgs/acme/network/services/new?step=4&" + wizardForm.Encode())
		mustStatus(t, "review", w.Code, http.StatusOK, "")
		for _, want := range []string{`name="name" value="shop"`, `name="sources" value="0.0.0.0/0"`, `name="price" value="6000"`} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("the review lost %s", want)
			}
		}
		// The price is accepted, or nothing is made.
		refused := changed(wizardForm)
		refused.Del("accept")
		w = admin.post("/orgs/acme/network/services", refused)
		mustStatus(t, "price not accepted", w.Code, http.StatusUnprocessableEntity, "")
		// Everybody to SSH only if confirmed.
		w = admin.post("/orgs/acme/network/services", changed(wizardForm, "port", "22"))
		mustStatus(t, "SSH for everybody", w.Code, http.StatusUnprocessableEntity, "")
		if !strings.Contains(w.Body.String(), `id="open_to_all-error"`) {
			t.Error("no warning about SSH")
		}
		admin.makeService(t, changed(wizardForm, "name", "ssh", "port", "22", "open_to_all", "yes", "monitor", "tcp"))
		page := admin.makeService(t, wizardForm)
		w = admin.get(page)
		mustStatus(t, "service", w.Code, http.StatusOK, "")
		// The same port again names who has it.
		w = admin.post("/orgs/acme/network/services", changed(wizardForm, "name", "other", "protocol", "http"))
		mustStatus(t, "conflict", w.Code, http.StatusUnprocessableEntity, "")
		if !strings.Contains(w.Body.String(), "the service shop") {
			t.Error("the conflict doesn't name the service")
		}
		// Edited, with a new public IP beside.
		w = admin.post(page, changed(wizardForm, "name", "store", "port", "8443", "enabled", "yes"))
		mustStatus(t, "edit", w.Code, http.StatusSeeOther, w.Body.String())
		admin.makeService(t, changed(wizardForm, "name", "own", "public_ip", "new", "price", "10000"))
		// The name has to be typed to delete.
		w = admin.post(page+"/delete", url.Values{"confirm": {"shop"}})
		mustStatus(t, "wrong confirm", w.Code, http.StatusUnprocessableEntity, "")
		w = admin.post(page+"/delete", url.Values{"confirm": {"store"}})
		mustStatus(t, "delete", w.Code, http.StatusSeeOther, "")
		if w := admin.get(page); w.Code != http.StatusNotFound {
			t.Errorf("deleted service: %d", w.Code)
		}
		if n := len(p.events(models.EventFilter{Action: models.ActionServiceChange})); n != 1 {
			t.Errorf("%d changes in the history", n)
		}
	})
}

var nodeID = regexp.MustCompile(`data-node-id="([^"]+)"`)

func TestNodeIsDrainedBeforeItGoes(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, feed := newNetworkPortal(t, db)
		ctx := context.Background()
		m := p.Machine(t, "web-1")
		admin := p.as("admin@acme.example")
		page := admin.makeService(t, wizardForm)
		if w := admin.get(page + "/nodes/new?q=web"); !strings.Contains(w.Body.String(), "Choose web-1") {
			t.Error("the picker doesn't offer the machine")
		}
		if w := admin.get(page + "/nodes/new?machine=" + string(m.ID)); !strings.Contains(w.Body.String(), m.Address) {
			t.Error("the wizard doesn't show the machine's address")
		}
		w := admin.post(page+"/nodes", url.Values{"machine": {string(m.ID)}, "address": {m.Address}, "port": {""}, "enabled": {"yes"}})
		mustStatus(t, "no port", w.Code, http.StatusUnprocessableEntity, "")
		w = admin.post(page+"/nodes", url.Values{"machine": {string(models.NewID[models.MachineID]())}, "port": {"80"}})
		mustStatus(t, "no such machine", w.Code, http.StatusUnprocessableEntity, "")
		w = admin.post(page+"/nodes", url.Values{"machine": {string(m.ID)}, "address": {m.Address}, "port": {"80"}, "enabled": {"yes"}})
		mustStatus(t, "add", w.Code, http.StatusSeeOther, w.Body.String())

		// What the gateway says shows.
		state, tag, err := feed.Desired(ctx, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		var org edge.Org
		for _, o := range state.Orgs {
			if o.ID == string(p.Acme.ID) {
				org = o
			}
		}
		if len(org.Services) != 1 || len(org.Services[0].Nodes) != 1 || org.Services[0].Nodes[0].Address != m.Address {
			t.Fatalf("desired: %+v", org)
		}
		s := org.Services[0]
		report := func(in int64, epoch string) {
			t.Helper()
			err := feed.Report(ctx, edge.Status{Version: 1, Epoch: epoch, Orgs: []edge.OrgStatus{{ID: org.ID, Observed: org.Generation, Applied: org.Generation,
				Services: []edge.ServiceStatus{{ID: s.ID, BytesIn: in, Total: 3, Open: 2,
					Nodes: []edge.NodeStatus{{ID: s.Nodes[0].ID, State: edge.NodeDown, Since: time.Now(), Reason: "connection refused"}}}}}}})
			if err != nil {
				t.Fatal(err)
			}
		}
		report(4096, "a")
		report(4096, "a")
		report(1024, "a") // late
		report(1024, "b") // after a reboot
		body := admin.get(page).Body.String()
		for _, want := range []string{`data-rollout="active"`, `data-health="down"`, "connection refused", "5.0 KiB"} {
			if !strings.Contains(body, want) {
				t.Errorf("the page lacks %s", want)
			}
		}
		id := nodeID.FindStringSubmatch(body)[1]
		act := func(op string) int {
			return admin.post("/orgs/acme/network/nodes/"+id+"/state", url.Values{"op": {op}}).Code
		}
		if code := act("remove"); code != http.StatusConflict {
			t.Errorf("removed while enabled: %d", code)
		}
		if code := act("drain"); code != http.StatusSeeOther {
			t.Fatalf("drain: %d", code)
		}
		state, next, err := feed.Desired(ctx, tag, time.Second)
		if err != nil || next == tag {
			t.Fatalf("the drain changed nothing: %v", err)
		}
		for _, o := range state.Orgs {
			if o.ID == org.ID && !o.Services[0].Nodes[0].Draining {
				t.Error("the gateway isn't told to drain")
			}
		}
		if body := admin.get(page).Body.String(); !strings.Contains(body, `data-rollout="pending"`) {
			t.Error("the change isn't pending")
		}
		if code := act("remove"); code != http.StatusSeeOther {
			t.Errorf("remove: %d", code)
		}
	})
}

func TestGatewayPullsByItsToken(t *testing.T) {
	t.Parallel()
	p, _ := newNetworkPortal(t, testkit.SQLite(t))
	operator := p.as("operator@provider.example")
	w := operator.post("/provider/edges", url.Values{"name": {"gw-1"}})
	mustStatus(t, "register", w.Code, http.StatusOK, w.Body.String())
	token := regexp.MustCompile(`mwe_[A-Za-z0-9_-]+`).FindString(w.Body.String())
	page := regexp.MustCompile(`/provider/edges/[0-9a-f-]{36}`).FindString(w.Body.String())
	if token == "" || page == "" {
		t.Fatalf("no token: %s", w.Body.String())
	}
	if body := operator.get(page).Body.String(); strings.Contains(body, token) {
		t.Error("the token is shown twice")
	}
	machine := p.anonymous()
	ask := func(token, etag, wait string) (int, string, string) {
		r := machine.request(http.MethodGet, "/edge/v1/desired"+wait, nil, "Authorization", "Bearer "+token, "Accept", "application/json")
		if etag != "" {
			r.Header.Set("If-None-Match", etag)
		}
		w := machine.send(r)
		return w.Code, w.Header().Get("ETag"), w.Body.String()
	}
	for _, wrong := range []string{"", "x", "mwe_wrong", token + "x"} {
		if code, _, _ := ask(wrong, "", ""); code != http.StatusUnauthorized {
			t.Errorf("token %q: %d", wrong, code)
		}
	}
	code, tag, body := ask(token, "", "")
	var state edge.Desired
	if code != http.StatusOK || json.Unmarshal([]byte(body), &state) != nil || state.Version != edge.Version {
		t.Fatalf("desired: %d %s", code, body)
	}
	if code, _, _ := ask(token, tag, "?wait=10ms"); code != http.StatusNotModified {
		t.Errorf("unchanged: %d", code)
	}
	post := func(token, body string) int {
		r := machine.request(http.MethodPost, "/edge/v1/status", url.Values{}, "Authorization", "Bearer "+token, "Accept", "application/json")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		return machine.send(r).Code
	}
	if code := post(token, `{"version":1,"agent":"test","epoch":"e","features":[{"name":"nft","present":true,"detail":"1.0.6"}],"orgs":[]}`); code != http.StatusNoContent {
		t.Errorf("status: %d", code)
	}
	if code := post(token, `{`); code != http.StatusBadRequest {
		t.Errorf("broken status: %d", code)
	}
	if code := post("mwe_wrong", `{}`); code != http.StatusUnauthorized {
		t.Errorf("status without a token: %d", code)
	}
	if body := operator.get(page).Body.String(); !strings.Contains(body, "1.0.6") {
		t.Error("the gateway's features don't show")
	}
	// Rotation overlaps; what is older ends; disabling ends all.
	w = operator.post(page+"/rotate", nil)
	second := regexp.MustCompile(`mwe_[A-Za-z0-9_-]+`).FindString(w.Body.String())
	for _, good := range []string{token, second} {
		if code, _, _ := ask(good, "", ""); code != http.StatusOK {
			t.Errorf("after rotation: %d", code)
		}
	}
	operator.post(page+"/rotate", nil)
	if code, _, _ := ask(token, "", ""); code != http.StatusUnauthorized {
		t.Errorf("the oldest token: %d", code)
	}
	operator.post(page+"/disable", url.Values{"disabled": {"yes"}})
	if code, _, _ := ask(second, "", ""); code != http.StatusUnauthorized {
		t.Errorf("disabled: %d", code)
	}
}
