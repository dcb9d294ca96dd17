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

var outboundShown = regexp.MustCompile(`data-outbound="([^"]*)"`)

// Outbound NAT is on by default, goes by the address that was chosen, and
// stays off once it was turned off: then its address can be released.
func TestOutboundIsChosenTurnedOffAndOn(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		p, feed := newNetworkPortal(t, db)
		admin := p.as("admin@acme.example")
		shown := func() string {
			t.Helper()
			w := admin.get("/orgs/acme/network")
			mustStatus(t, "overview", w.Code, http.StatusOK, "")
			found := outboundShown.FindStringSubmatch(w.Body.String())
			if found == nil {
				t.Fatal("the overview has no outbound address")
			}
			return found[1]
		}
		wanted := func() string {
			t.Helper()
			state, _, err := feed.Desired(ctx, "", 0)
			if err != nil {
				t.Fatal(err)
			}
			for i := range state.Orgs {
				if o := &state.Orgs[i]; o.ID == string(p.Acme.ID) {
					return o.Outbound
				}
			}
			return "not carried"
		}
		post := func(path string, form url.Values, want int) string {
			t.Helper()
			w := admin.post("/orgs/acme/network"+path, form)
			mustStatus(t, path, w.Code, want, w.Body.String())
			return w.Body.String()
		}
		first := shown()
		if first == "" || wanted() != first {
			t.Fatalf("the page shows %q, the gateway is told %q", first, wanted())
		}
		post("/ips", url.Values{"accept": {"yes"}, "price": {"4000"}}, http.StatusSeeOther)
		ids := map[string]string{}
		for _, found := range regexp.MustCompile(`data-ip-id="([^"]+)" data-ip="([^"]+)"`).FindAllStringSubmatch(admin.get("/orgs/acme/network").Body.String(), -1) {
			ids[found[2]] = found[1]
		}
		var second string
		for address := range ids {
			if address != first {
				second = address
			}
		}
		if shown() != first {
			t.Error("another address took the first one's place by itself")
		}
		post("/ips/"+ids[second]+"/outbound", nil, http.StatusSeeOther)
		if shown() != second || wanted() != second {
			t.Errorf("after the choice: %q and %q, want %q", shown(), wanted(), second)
		}
		if body := post("/ips/"+ids[second]+"/release", nil, http.StatusConflict); !strings.Contains(body, "what the machines send out") {
			t.Error("the refusal doesn't say what uses the address")
		}
		post("/outbound/stop", nil, http.StatusSeeOther)
		if err := p.network.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		if shown() != "" || wanted() != "" {
			t.Errorf("turned off, and still %q and %q", shown(), wanted())
		}
		if !strings.Contains(admin.get("/orgs/acme/network").Body.String(), "outbound NAT is off") {
			t.Error("the page doesn't say that it is off")
		}
		post("/outbound/stop", nil, http.StatusConflict)
		if w := p.as("user@acme.example").post("/orgs/acme/network/outbound/stop", nil); w.Code != http.StatusForbidden {
			t.Errorf("a user turned it off: %d", w.Code)
		}
		post("/ips/"+ids[second]+"/release", nil, http.StatusSeeOther)
		// An address that is taken while it is off is for what it was taken for.
		admin.makeService(t, changed(wizardForm, "name", "own", "public_ip", "new", "price", "10000"))
		if shown() != "" {
			t.Error("a new address turned it on again")
		}
		post("/ips/"+ids[first]+"/outbound", nil, http.StatusSeeOther)
		if shown() != first || wanted() != first {
			t.Errorf("turned on: %q and %q, want %q", shown(), wanted(), first)
		}
		if n := len(p.events(models.EventFilter{Action: models.ActionOutboundSet})); n != 4 {
			t.Errorf("%d events of outbound, want the first, the choice, off and on", n)
		}
	})
}

// An org's first address is the one that its machines are seen from, whichever
// way it was taken.
func TestFirstPublicIPByTheWizardIsOutbound(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		p := newPortal(t, db)
		if err := p.System.EnsureGateways(ctx); err != nil {
			t.Fatal(err)
		}
		if err := p.OfferPublicIPs("198.51.100.1", "198.51.100.2"); err != nil {
			t.Fatal(err)
		}
		admin := p.as("admin@acme.example")
		admin.makeService(t, changed(wizardForm, "public_ip", "new", "price", "10000"))
		w := admin.get("/orgs/acme/network")
		if !strings.Contains(w.Body.String(), `data-outbound="198.51.100.1"`) {
			t.Error("the org has an address, and its machines are seen from nowhere")
		}
	})
}
