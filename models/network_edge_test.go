package models_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestOverlappingNetworksOfOneOrgAreRefusedEvenAtOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		if err := w.OfferVLANs(100, 199); err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		if err := w.System.EnsureGateways(ctx); err != nil {
			t.Fatal(err)
		}
		acme, globex := w.Scope(t, "admin@acme.example", "acme"), w.Scope(t, "admin@globex.example", "globex")
		create := func(s *models.Scope, name, cidr, gateway string) error {
			return s.Change(ctx, func(tx *models.Writer) error {
				return tx.CreateNetwork(&models.Network{Name: name, CloudID: w.Public.ID, CIDR: cidr, Gateway: gateway})
			})
		}
		done := 0
		for _, err := range atOnce(20, func(i int) error {
			return create(acme, fmt.Sprintf("n-%d", i), []string{"10.40.0.0/16", "10.40.7.0/24"}[i%2], "")
		}) {
			if err == nil {
				done++
			} else if models.FieldsOf(err)["cidr"] == "" {
				t.Errorf("lost with %v", err)
			}
		}
		if done != 1 && done != 0 {
			t.Errorf("%d networks overlap", done)
		}
		if done == 0 {
			t.Error("nobody got one")
		}
		if err := create(globex, "mine", "10.40.0.0/16", ""); err != nil {
			t.Errorf("another org may use the same range: %v", err)
		}
		for cidr, field := range map[string]string{
			"10.20.4.0/24": "cidr", "127.5.0.0/24": "cidr", "169.254.0.0/16": "cidr", "0.1.0.0/16": "cidr", "224.0.0.0/16": "cidr", "255.255.255.0/24": "cidr",
			"10.50.0.0/30": "cidr", "10.50.0.7/24": "cidr", "nonsense": "cidr", "fd00::/64": "cidr", "0.0.0.0/0": "cidr",
		} {
			if err := create(acme, "bad "+cidr, cidr, ""); models.FieldsOf(err)[field] == "" {
				t.Errorf("%s: %v", cidr, err)
			}
		}
		for _, gateway := range []string{"10.60.0.0", "10.60.0.255", "10.61.0.1"} {
			if err := create(acme, "gw "+gateway, "10.60.0.0/24", gateway); models.FieldsOf(err)["gateway"] == "" {
				t.Errorf("gateway %s: %v", gateway, err)
			}
		}
	})
}

func TestVLANsAreGivenOnceAndComeBack(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		if err := w.OfferVLANs(100, 104); err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		if err := w.System.EnsureGateways(ctx); err != nil {
			t.Fatal(err)
		}
		scopes := []*models.Scope{w.Scope(t, "admin@acme.example", "acme"), w.Scope(t, "admin@globex.example", "globex")}
		var mu sync.Mutex
		given := map[int]bool{}
		var first models.Network
		var owner *models.Scope
		done := 0
		for _, err := range atOnce(20, func(i int) error {
			return scopes[i%2].Change(ctx, func(tx *models.Writer) error {
				n := models.Network{Name: fmt.Sprintf("n-%d", i), CloudID: w.Public.ID, CIDR: fmt.Sprintf("10.%d.0.0/24", 100+i)}
				err := tx.CreateNetwork(&n)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					given[n.VLAN] = true
					first, owner = n, scopes[i%2]
				}
				return err
			})
		}) {
			if err == nil {
				done++
			} else if !errors.Is(err, models.ErrQuota) {
				t.Error(err)
			}
		}
		if done != 5 || len(given) != 5 {
			t.Fatalf("%d networks with the VLANs %v", done, given)
		}
		acme := scopes[0]
		if err := owner.Change(ctx, func(tx *models.Writer) error { return tx.DeleteNetwork(first.ID) }); err != nil {
			t.Fatal(err)
		}
		again := models.Network{Name: first.Name, CloudID: w.Public.ID, CIDR: first.CIDR}
		if err := owner.Change(ctx, func(tx *models.Writer) error { return tx.CreateNetwork(&again) }); err != nil || again.VLAN != first.VLAN {
			t.Errorf("after the delete: VLAN %d, %v", again.VLAN, err)
		}
		// What machines are in stays, and so does the default.
		m := w.Machine(t, "web-1")
		for _, id := range []models.NetworkID{m.NetworkID} {
			if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.DeleteNetwork(id) }); !errors.Is(err, models.ErrConflict) {
				t.Errorf("deleted a network in use: %v", err)
			}
		}
	})
}

func TestHundredAtOnceOnTenAddressesMakeExactlyTen(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		n, err := w.System.PutNetwork(ctx, models.Network{OrgID: w.Acme.ID, CloudID: w.Public.ID, Name: "tiny", CIDR: "10.9.0.0/27", Gateway: "10.9.0.20"})
		if err != nil {
			t.Fatal(err)
		}
		m := w.Machine(t, "web-1")
		// .10 to .30 without .20 are twenty; ten are taken by name first.
		for i := 10; i < 20; i++ {
			err := w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error {
				_, err := tx.TakeThisAddress(n.ID, m.ID, fmt.Sprintf("10.9.0.%d", i))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		given := map[string]bool{}
		done := 0
		for _, err := range atOnce(100, func(int) error {
			return w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error {
				_, a, err := tx.TakeAddress(n.ID, m.ID)
				if err == nil {
					mu.Lock()
					given[a] = true
					mu.Unlock()
				}
				return err
			})
		}) {
			if err == nil {
				done++
			} else if !errors.Is(err, models.ErrQuota) {
				t.Error(err)
			}
		}
		if done != 10 || len(given) != 10 || given[n.Gateway] {
			t.Errorf("%d were given: %v", done, given)
		}
		for _, a := range []string{"10.9.0.0", "10.9.0.31", "10.9.0.20", "10.9.1.1", "127.0.0.1", "169.254.169.254", "10.9.0.11", "x"} {
			err := w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error {
				_, err := tx.TakeThisAddress(n.ID, m.ID, a)
				return err
			})
			if models.FieldsOf(err)["address"] == "" {
				t.Errorf("%s was given: %v", a, err)
			}
		}
	})
}

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

func TestNodesFollowTheirMachine(t *testing.T) {
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
		before := generation(t, w, w.Acme.ID)
		err = acme.Change(ctx, func(tx *models.Writer) error {
			if err := tx.ChangeAddress(m.ID, "10.20.0.99"); err != nil {
				return err
			}
			return tx.Record(models.Event{Action: models.ActionMachineState, Object: m.Object(), Outcome: models.OutcomeSucceeded})
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
		if nodes, inside, ok := look(); len(nodes) != 1 || nodes[0].Address != "10.20.0.99" || inside != "10.20.0.99" || !ok {
			t.Errorf("after the change: %+v, %s", nodes, inside)
		}
		if after := generation(t, w, w.Acme.ID); after <= before {
			t.Error("the gateway isn't told of the new address")
		}
		before = generation(t, w, w.Acme.ID)
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

func TestCountersNeitherBillTwiceNorLose(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, "198.51.100.1")
		ctx := context.Background()
		edge, err := w.System.LocalEdge(ctx, "lab")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.System.EnsureGateways(ctx); err != nil {
			t.Fatal(err)
		}
		s := makeService(t, w, "web", takeIP(t, w, "acme"), 80)
		for _, r := range []struct {
			epoch string
			bytes int64
		}{{"a", 100}, {"a", 250}, {"a", 250}, {"a", 200}, {"b", 10}, {"a", 260}, {"b", 40}, {"c", 0}} {
			err := edge.Report(ctx, models.EdgeReport{Epoch: r.epoch, Orgs: []models.OrgReport{
				{Org: w.Acme.ID, Services: []models.ServiceReport{{ID: s.ID, BytesIn: r.bytes, BytesOut: 2 * r.bytes, Connections: r.bytes / 10}}},
				{Org: w.Globex.ID, Services: []models.ServiceReport{{ID: s.ID, BytesIn: 1 << 40}}}, // not globex's
				{Org: "nobody"},
			}}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
		}
		var row models.ServiceRow
		err = w.System.Look(ctx, w.Acme.ID, func(r *models.Reader) error {
			row, err = r.Service(s.ID)
			return err
		})
		if err != nil || row.BytesIn != 300 || row.BytesOut != 600 || row.Connections != 30 {
			t.Errorf("in %d, out %d, %d connections: %v", row.BytesIn, row.BytesOut, row.Connections, err)
		}
	})
}

func TestRolloutIsDerivedFromGenerations(t *testing.T) {
	t.Parallel()
	now := models.Now()
	edge, late, old := models.EdgeID("e"), now.Add(-2*models.GatewaySilence), now.Add(-time.Second)
	for want, g := range map[models.Rollout]models.OrgGateway{
		models.RolloutUnknown:  {},
		models.RolloutPending:  {EdgeID: &edge, ReportedAt: &old, Observed: 4, Applied: 4},
		models.RolloutApplying: {EdgeID: &edge, ReportedAt: &old, Observed: 5, Applied: 4},
		models.RolloutActive:   {EdgeID: &edge, ReportedAt: &old, Observed: 6, Applied: 5},
		models.RolloutFailed:   {EdgeID: &edge, ReportedAt: &old, Observed: 5, Applied: 4, Error: "haproxy: no"},
		models.RolloutDrifted:  {EdgeID: &edge, ReportedAt: &old, Observed: 5, Applied: 5, DriftAt: &old},
	} {
		if got := g.Rollout("s", 5, now); got != want {
			t.Errorf("%+v: %s, want %s", g, got, want)
		}
	}
	silent := models.OrgGateway{EdgeID: &edge, ReportedAt: &late, Observed: 5, Applied: 5}
	if got := silent.Rollout("s", 5, now); got != models.RolloutUnknown {
		t.Errorf("silent: %s", got)
	}
	blamed := models.OrgGateway{EdgeID: &edge, ReportedAt: &old, Observed: 5, Applied: 5, Failed: `[{"id":"s","text":"no"}]`}
	if got := blamed.Rollout("s", 5, now); got != models.RolloutFailed {
		t.Errorf("blamed: %s", got)
	}
	if got := blamed.Rollout("other", 5, now); got != models.RolloutActive {
		t.Errorf("beside a blamed one: %s", got)
	}
}

func TestRulesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		acme := w.Scope(t, "admin@acme.example", "acme")
		ids := map[string]models.RuleID{}
		for _, name := range []string{"a", "b", "c", "d"} {
			r := models.FirewallRule{Direction: "in", Protocol: "any", Comment: name, Enabled: true}
			if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.AddRule(&r) }); err != nil {
				t.Fatal(err)
			}
			ids[name] = r.ID
		}
		order := func() string {
			var list []string
			err := acme.Read(ctx, func(r *models.Reader) error {
				rules, err := r.FirewallRules()
				for i, rule := range rules {
					if rule.Position != i+1 {
						t.Errorf("%s is at %d", rule.Comment, rule.Position)
					}
					list = append(list, rule.Comment)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(list, "")
		}
		move := func(name string, to int) {
			t.Helper()
			if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.MoveRule(ids[name], to) }); err != nil {
				t.Fatal(err)
			}
		}
		move("d", 1)
		move("a", 4)
		if got := order(); got != "dbca" {
			t.Errorf("order %s", got)
		}
		if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.DeleteRule(ids["b"]) }); err != nil {
			t.Fatal(err)
		}
		if got := order(); got != "dca" {
			t.Errorf("order %s", got)
		}
	})
}
