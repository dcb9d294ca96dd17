package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// What the gateway leaves out is named where the network is looked at, and
// where the thing itself is.
func TestWhatTheGatewayLeavesOutIsTold(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, feed := newNetworkPortal(t, db)
		ctx := context.Background()
		admin := p.as("admin@acme.example")
		w := admin.post("/orgs/acme/network/firewall", url.Values{"direction": {"in"}, "allow": {"no"}, "outside": {"203.0.113.0/24"}, "protocol": {"tcp"}, "enabled": {"yes"}})
		mustStatus(t, "rule", w.Code, http.StatusSeeOther, w.Body.String())
		var state models.NetworkState
		read := func() {
			t.Helper()
			err := p.Scope(t, "admin@acme.example", "acme").Read(ctx, func(r *models.Reader) error {
				var err error
				state, err = r.NetworkState()
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		read()
		w = admin.post("/orgs/acme/network/vpn", url.Values{"public_ip": {string(*state.Gateway.OutboundIPID)}})
		mustStatus(t, "VPN", w.Code, http.StatusSeeOther, w.Body.String())
		w = admin.post("/orgs/acme/network/vpn/devices", url.Values{"device": {"laptop"}})
		mustStatus(t, "device", w.Code, http.StatusOK, w.Body.String())
		read()
		report := func(failed ...edge.Blame) {
			t.Helper()
			g := state.Gateway
			err := feed.Report(ctx, edge.Status{Version: 1, Epoch: "a", Orgs: []edge.OrgStatus{{ID: string(g.OrgID), Observed: g.Generation, Applied: g.Generation, Failed: failed}}})
			if err != nil {
				t.Fatal(err)
			}
		}
		page := func(path string, want ...string) {
			t.Helper()
			w := admin.get("/orgs/acme/network" + path)
			mustStatus(t, path, w.Code, http.StatusOK, w.Body.String())
			for _, s := range want {
				if has := strings.Contains(w.Body.String(), strings.TrimPrefix(s, "!")); has == strings.HasPrefix(s, "!") {
					t.Errorf("%q: want %s", path, s)
				}
			}
		}
		n := state.Networks[0]
		report(edge.Blame{ID: string(models.NewID[models.ProbeID]()), Text: "of what is gone"})
		page("", `data-rollout="active"`, "!data-refused", "!of what is gone")
		report(
			edge.Blame{ID: string(state.Gateway.OrgID), Text: "outbound address: 198.51.100.1 is another's"},
			edge.Blame{ID: string(n.ID), Text: "number 7 is used twice"},
			edge.Blame{ID: string(state.Rules[0].ID), Text: "protocol is not known"},
			edge.Blame{ID: string(state.VPN.ID), Text: "the port is taken"},
			edge.Blame{ID: string(state.Peers[0].ID), Text: "its key is none"},
		)
		page("", `data-rollout="failed"`, "but for what it left out: 5 things",
			`data-refused="outbound"`, "198.51.100.1 is another&#39;s",
			`data-refused="network"`, "Network "+n.Name, "number 7 is used twice",
			`data-refused="rule"`, "Firewall rule 1", "protocol is not known", "the firewall stays as it was",
			`data-refused="vpn"`, "the port is taken", `data-refused="device"`, "its key is none", "!laptop")
		page("/private/"+string(n.ID), "The gateway left this network out", "number 7 is used twice")
		page("/firewall", `data-blamed="`+string(state.Rules[0].ID)+`"`, "protocol is not known")
		page("/vpn", "The gateway left the VPN out", "the port is taken", "its key is none")
		report()
		page("", `data-rollout="active"`, "!data-refused")
		page("/firewall", "!data-blamed")
		page("/vpn", "!left the VPN out")
		page("/private/"+string(n.ID), "!left this network out")
	})
}
