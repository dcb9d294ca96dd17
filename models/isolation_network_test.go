package models_test

import (
	"context"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// acmesNetwork is what acme has on the network edge.
type acmesNetwork struct {
	network models.Network
	ip      models.OrgIP
	service models.InternetService
	node    models.ServiceNode
	rule    models.FirewallRule
	peer    models.PeerID
}

// acmesEdge makes one of each. Nothing of the provider's is left over, so that
// whoever takes something takes acme's.
func acmesEdge(t *testing.T, w *testkit.World, m models.Machine) acmesNetwork {
	t.Helper()
	offer(t, w, "198.51.100.77")
	if err := w.OfferVLANs(777, 777); err != nil {
		t.Fatal(err)
	}
	x := acmesNetwork{ip: takeIP(t, w, "acme")}
	x.network = models.Network{Name: "acmes-secret-network", CloudID: w.Public.ID, CIDR: "10.77.0.0/24"}
	x.service = webService("acmes-secret-service")
	x.rule = models.FirewallRule{Direction: "in", Protocol: "any", Comment: "acmes-secret-rule", MachineID: &m.ID}
	err := w.Scope(t, "admin@acme.example", "acme").Change(context.Background(), func(tx *models.Writer) error {
		if err := tx.CreateNetwork(&x.network); err != nil {
			return err
		}
		if err := tx.CreateService(&x.service, models.ServiceEndpoint{PublicIPID: x.ip.ID, Port: 443}); err != nil {
			return err
		}
		x.node = models.ServiceNode{ServiceID: x.service.ID, MachineID: m.ID, NetworkID: m.NetworkID, Address: m.Address, Port: 80, Enabled: true}
		if err := tx.AddNode(&x.node); err != nil {
			return err
		}
		if err := tx.AddRule(&x.rule); err != nil {
			return err
		}
		if _, err := tx.CreateVPN(x.ip.ID, "acmes-secret-public-key", "acmes-secret-key"); err != nil {
			return err
		}
		peer, err := tx.AddPeer(w.User("admin@acme.example").ID, "acmes-secret-device", "acmes-secret-peer-key")
		x.peer = peer.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}
