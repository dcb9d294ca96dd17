package network_test

import (
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/models"
)

func TestDryRunSaysWhoIsAskedAndWhoIsNot(t *testing.T) {
	t.Parallel()
	shop := models.ServiceRow{}
	shop.ID, shop.Name, shop.Address, shop.Port, shop.Protocol, shop.Enabled, shop.Sources = "shop", "shop", "198.51.100.1", 22, models.ServiceTCP, true, "192.0.2.0/24"
	deny := models.RuleRow{}
	deny.ID, deny.Position, deny.Direction, deny.Protocol, deny.Outside, deny.Enabled = "deny", 1, "in", "any", "10.0.0.0/8", true
	st := &models.NetworkState{Outbound: "198.51.100.1", Services: []models.ServiceRow{shop}, Rules: []models.RuleRow{deny}}
	st.Networks = make([]models.NetworkRow, 1)
	st.Networks[0].CIDR, st.Networks[0].Gateway = "10.20.0.0/24", "10.20.0.1"
	for name, c := range map[string]struct {
		direction, source, destination string
		port                           int
		pass                           bool
		text                           string
	}{
		"one who is listed":               {"in", "192.0.2.9", "198.51.100.1", 22, true, "opens this port to this source"},
		"one who isn't":                   {"in", "203.0.113.9", "198.51.100.1", 22, false, "doesn't list this source"},
		"a rule":                          {"in", "10.30.0.9", "198.51.100.1", 22, false, "by rule 1"},
		"the org's own machine":           {"in", "10.20.0.9", "198.51.100.1", 22, true, "open to the org's own machines and VPN devices"},
		"the same, outwards":              {"out", "10.20.0.9", "198.51.100.1", 22, true, "open to the org's own machines and VPN devices"},
		"its neighbour":                   {"out", "10.20.0.9", "10.20.0.10", 22, true, "stays within the org's own networks"},
		"its own address without service": {"out", "10.20.0.9", "198.51.100.1", 23, false, "no service is at this port"},
		"the Internet":                    {"out", "10.20.0.9", "1.1.1.1", 443, true, "no rule speaks of it"},
	} {
		a, wrong := network.Ask(st, network.Question{Direction: c.direction, Source: c.source, Destination: c.destination, Protocol: "tcp", Port: c.port})
		if len(wrong) > 0 || a.Pass != c.pass || !strings.Contains(a.Text, c.text) {
			t.Errorf("%s: %+v %v", name, a, wrong)
		}
	}
	if _, wrong := network.Ask(st, network.Question{Direction: "out", Source: "10.30.0.9", Destination: "1.1.1.1", Protocol: "tcp", Port: 443}); !strings.Contains(wrong["source"], "org's networks") {
		t.Errorf("an outbound source of nobody: %v", wrong)
	}
}
