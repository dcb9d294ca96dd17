package models_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// A service and the VPN want the same UDP port of the same address at once: one
// has it, whoever it is, and the other is told.
func TestServiceAndVPNAtOnceOnOnePort(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, "198.51.100.1")
		ctx := context.Background()
		p := takeIP(t, w, "acme")
		acme := w.Scope(t, "admin@acme.example", "acme")
		change := func(fn func(tx *models.Writer) error) error { return acme.Change(ctx, fn) }
		services, vpns := 0, 0
		for round := range 8 {
			s := webService(fmt.Sprintf("dns-%d", round))
			s.Protocol = models.ServiceUDP
			errs := atOnce(2, func(i int) error {
				return change(func(tx *models.Writer) error {
					if i == round%2 { // in turns, so that neither is always asked first
						return tx.CreateService(&s, models.ServiceEndpoint{PublicIPID: p.ID, Port: models.VPNPort})
					}
					_, err := tx.CreateVPN(p.ID, "public", "private")
					return err
				})
			})
			service, vpn := errs[round%2], errs[1-round%2]
			if (service == nil) == (vpn == nil) {
				t.Fatalf("round %d: service %v, VPN %v", round, service, vpn)
			}
			lost, by := vpn, "the service "+s.Name
			if service != nil {
				lost, by = service, "the VPN"
				vpns++
			} else {
				services++
			}
			if text := fmt.Sprint(models.FieldsOf(lost)) + lost.Error(); !strings.Contains(text, by) {
				t.Errorf("the loser isn't told of %s: %s", by, text)
			}
			err := change(func(tx *models.Writer) error {
				if service == nil {
					return tx.DeleteService(s.ID)
				}
				return tx.DeleteVPN()
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d times the service, %d times the VPN", services, vpns)

		// Nor is it the queue of the org's changes alone that keeps them apart: past
		// it, the constraint does.
		one, two := makeService(t, w, "one", p, 81), makeService(t, w, "two", p, 82)
		if err := change(func(tx *models.Writer) error { _, err := tx.CreateVPN(p.ID, "public", "private"); return err }); err != nil {
			t.Fatal(err)
		}
		wanted := []string{"service_id = '" + string(one.ID) + "'", "service_id = '" + string(two.ID) + "'", "vpn_id IS NOT NULL"}
		done := 0
		for _, err := range atOnce(len(wanted), func(i int) error {
			return change(func(tx *models.Writer) error {
				if err := tx.Gorm().Exec("UPDATE public_endpoints SET l4_protocol = 'udp', port = 5000 WHERE " + wanted[i]).Error; err != nil {
					return err
				}
				return tx.Record(models.Event{Action: models.ActionServiceChange, Object: one.Object(), Outcome: models.OutcomeSucceeded})
			})
		}) {
			if err == nil {
				done++
			}
		}
		if done != 1 {
			t.Errorf("%d of 3 have the port", done)
		}
	})
}

// Nodes are added while their machine goes: whichever is first, no node is left
// that points to an address which is nobody's, or another machine's by then.
func TestNodesAndTheirMachinesEndAtOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, "198.51.100.1")
		ctx := context.Background()
		s := makeService(t, w, "web", takeIP(t, w, "acme"), 80)
		acme := w.Scope(t, "admin@acme.example", "acme")
		added := 0
		for round := range 10 {
			m := w.Machine(t, fmt.Sprintf("web-%d", round))
			errs := atOnce(6, func(i int) error {
				if i == 3 {
					return w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error { return tx.ReleaseMachine(m.ID) })
				}
				return acme.Change(ctx, func(tx *models.Writer) error {
					return tx.AddNode(&models.ServiceNode{ServiceID: s.ID, MachineID: m.ID, NetworkID: m.NetworkID, Address: m.Address, Port: 8000 + i, Enabled: true})
				})
			})
			for i, err := range errs {
				switch {
				case i == 3 && err != nil:
					t.Errorf("round %d: the machine's end: %v", round, err)
				case err == nil:
					added++
				case models.FieldsOf(err)["machine"] == "":
					t.Errorf("round %d: a node that came too late: %v", round, err)
				}
			}
			if err := acme.Read(ctx, func(r *models.Reader) error {
				row, err := r.Service(s.ID)
				if err == nil && len(row.Nodes) != 0 {
					t.Errorf("round %d: %d nodes of a machine that is gone", round, len(row.Nodes))
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d nodes were there before their machine went", added-10)
	})
}

// A reserved port is nobody's, however many ask at once, and whatever asks: a
// new service, or one that moves there.
func TestReservedPortsAtOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, "198.51.100.1")
		ctx := context.Background()
		if err := w.System.PutReservedPorts(ctx, []models.ReservedPort{{L4: "udp", Port: models.VPNPort, ForVPN: true}, {L4: "tcp", Port: 9100}}); err != nil {
			t.Fatal(err)
		}
		p := takeIP(t, w, "acme")
		s := makeService(t, w, "web", p, 80)
		acme := w.Scope(t, "admin@acme.example", "acme")
		for i, err := range atOnce(12, func(i int) error {
			return acme.Change(ctx, func(tx *models.Writer) error {
				other := webService(fmt.Sprintf("other-%d", i))
				switch i % 4 {
				case 0:
					return tx.CreateService(&other, models.ServiceEndpoint{PublicIPID: p.ID, Port: 9100})
				case 1:
					return tx.ChangeService(s, models.ServiceEndpoint{PublicIPID: p.ID, Port: 9100})
				case 2:
					other.Protocol = models.ServiceUDP
					return tx.CreateService(&other, models.ServiceEndpoint{PublicIPID: p.ID, Port: models.VPNPort})
				default: // past what the model asks
					err := tx.Gorm().Exec("UPDATE public_endpoints SET port = 9100 WHERE service_id = ?", s.ID).Error
					if err == nil {
						err = tx.Record(models.Event{Action: models.ActionServiceChange, Object: s.Object(), Outcome: models.OutcomeSucceeded})
					}
					return err
				}
			})
		}) {
			if err == nil || i%4 < 3 && models.FieldsOf(err)["port"] == "" {
				t.Errorf("attempt %d: %v", i, err)
			}
		}
		if err := acme.Read(ctx, func(r *models.Reader) error {
			list, err := r.Services()
			if err == nil && (len(list) != 1 || list[0].Port != 80) {
				t.Errorf("services: %+v", list)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// A suspended org's devices are out of its VPN, and back in when it is resumed;
// its services stay where they are.
func TestSuspendedOrgsDevicesAreOut(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		w := &edgeWorld{World: testkit.NewWorld(t, db), t: t}
		ip := vpnOf(t, w.World)
		makeService(t, w.World, "web", ip, 80)
		if err := letIn(w.Scope(t, "user@acme.example", "acme"), "laptop"); err != nil {
			t.Fatal(err)
		}
		w.provider, _ = operator(t, w.World)
		_, gateway := w.register("gw-1", true)
		if err := w.System.EnsureGateways(ctx); err != nil {
			t.Fatal(err)
		}
		tag, orgs := w.carries(gateway)
		before := orgs[w.Acme.ID]
		if len(before.Peers) != 1 || len(before.Services) != 1 || before.VPN == nil {
			t.Fatalf("carried: %+v", before)
		}
		if err := w.provider.SuspendOrg(ctx, "acme", true); err != nil {
			t.Fatal(err)
		}
		out, orgs := w.carries(gateway)
		st := orgs[w.Acme.ID]
		if out == tag || st.Gateway.Generation <= before.Gateway.Generation || len(st.Peers) != 0 || len(st.Services) != 1 || st.VPN == nil {
			t.Errorf("suspended: tag new %t, generation %d after %d, %d devices, %d services", out != tag, st.Gateway.Generation, before.Gateway.Generation, len(st.Peers), len(st.Services))
		}
		if err := w.provider.SuspendOrg(ctx, "acme", false); err != nil {
			t.Fatal(err)
		}
		back, orgs := w.carries(gateway)
		if again := orgs[w.Acme.ID]; back == out || len(again.Peers) != 1 || again.Peers[0].PublicKey != before.Peers[0].PublicKey || again.Peers[0].Address != before.Peers[0].Address ||
			again.VPN.PublicKey != before.VPN.PublicKey || again.Gateway.Generation <= st.Gateway.Generation {
			t.Errorf("resumed: %+v", again.Peers)
		}
	})
}
