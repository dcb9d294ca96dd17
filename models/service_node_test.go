package models_test

import (
	"context"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestNodeIsANICOfTheOrgsOwnMachine(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, "198.51.100.1")
		s := makeService(t, w, "web", takeIP(t, w, "acme"), 80)
		mine, theirs := w.Machine(t, "web-1"), w.MachineOf(t, "globex", "shop-1")
		acme := w.Scope(t, "admin@acme.example", "acme")
		add := func(m models.Machine, network models.NetworkID, address string, port int) error {
			return acme.Change(context.Background(), func(tx *models.Writer) error {
				return tx.AddNode(&models.ServiceNode{ServiceID: s.ID, MachineID: m.ID, NetworkID: network, Address: address, Port: port, Enabled: true})
			})
		}
		for name, err := range map[string]error{
			"another org's machine":         add(theirs, theirs.NetworkID, theirs.Address, 80),
			"another org's, as if ours":     add(theirs, mine.NetworkID, theirs.Address, 80),
			"an address that it hasn't got": add(mine, mine.NetworkID, "10.20.0.200", 80),
			"loopback":                      add(mine, mine.NetworkID, "127.0.0.1", 80),
			"the metadata service":          add(mine, mine.NetworkID, "169.254.169.254", 80),
			"another network":               add(mine, w.AcmeNetworks[w.Private.ID].ID, mine.Address, 80),
		} {
			if models.FieldsOf(err)["machine"] == "" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := add(mine, mine.NetworkID, mine.Address, 80); err != nil {
			t.Fatal(err)
		}
		if err := add(mine, mine.NetworkID, mine.Address, 80); models.FieldsOf(err)["port"] == "" {
			t.Errorf("twice: %v", err)
		}
		if err := add(mine, mine.NetworkID, mine.Address, 70000); err == nil {
			t.Error("port 70000")
		}
	})
}

func TestNodesEndWithTheirMachine(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, "198.51.100.1")
		ctx := context.Background()
		s := makeService(t, w, "web", takeIP(t, w, "acme"), 80)
		m := w.Machine(t, "web-1")
		acme := w.Scope(t, "admin@acme.example", "acme")
		rule := models.FirewallRule{Direction: "in", Protocol: "any", MachineID: &m.ID, Enabled: true}
		err := acme.Change(ctx, func(tx *models.Writer) error {
			if err := tx.AddRule(&rule); err != nil {
				return err
			}
			return tx.AddNode(&models.ServiceNode{ServiceID: s.ID, MachineID: m.ID, NetworkID: m.NetworkID, Address: m.Address, Port: 80, Enabled: true})
		})
		if err != nil {
			t.Fatal(err)
		}
		look := func() (nodes []models.NodeRow, inside string, ok bool) {
			err := acme.Read(ctx, func(r *models.Reader) error {
				row, err := r.Service(s.ID)
				if err != nil {
					return err
				}
				rules, err := r.FirewallRules()
				nodes = row.Nodes
				inside, ok = rules[0].Inside()
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return nodes, inside, ok
		}
		if nodes, inside, ok := look(); len(nodes) != 1 || nodes[0].Address != m.Address || inside != m.Address || !ok {
			t.Errorf("with the machine: %+v, %s", nodes, inside)
		}
		before := generation(t, w, w.Acme.ID)
		err = w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error { return tx.ReleaseMachine(m.ID) })
		if err != nil {
			t.Fatal(err)
		}
		if nodes, _, ok := look(); len(nodes) != 0 || ok {
			t.Errorf("after the machine: %+v, rule applies %v", nodes, ok)
		}
		if after := generation(t, w, w.Acme.ID); after <= before {
			t.Error("the gateway isn't told that the machine is gone")
		}
		var told int
		_ = acme.Read(ctx, func(r *models.Reader) error {
			page, err := r.Events(models.EventFilter{Action: models.ActionNodeRemove})
			told = len(page.Rows)
			return err
		})
		if told != 1 {
			t.Errorf("%d events of the node's end", told)
		}
	})
}
