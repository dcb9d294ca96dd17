package models_test

import (
	"context"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

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

// Devices are told where the VPN really listens, and its public address again
// once the gateway has it; another org's report changes nothing.
func TestVPNEndpointIsWhereTheGatewayListens(t *testing.T) {
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
		ip := takeIP(t, w, "acme")
		if err := w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error {
			_, err := tx.CreateVPN(ip.ID, "public", "private")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			org          models.OrgID
			mapped, want string
		}{{w.Acme.ID, "", "198.51.100.1:51820"}, {w.Acme.ID, "127.0.0.1:7", "127.0.0.1:7"}, {w.Globex.ID, "127.0.0.1:9", "127.0.0.1:7"}, {w.Acme.ID, "", "198.51.100.1:51820"}} {
			if err := edge.Report(ctx, models.EdgeReport{Orgs: []models.OrgReport{{Org: step.org, VPNMapped: step.mapped}}}, time.Hour); err != nil {
				t.Fatal(err)
			}
			if err := w.System.Look(ctx, w.Acme.ID, func(r *models.Reader) error {
				v, err := r.VPN()
				if got := v.Endpoint(); got != step.want {
					t.Errorf("after a report of %q devices are led to %s", step.mapped, got)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestReportThatSaysNothingNewWritesNothing(t *testing.T) {
	t.Parallel()
	testkit.Counted(t, func(t *testing.T, db *models.DB, s *testkit.Statements) {
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
		m, ip := w.Machine(t, "web-1"), takeIP(t, w, "acme")
		report := models.OrgReport{Org: w.Acme.ID, Observed: 5, Applied: 5}
		send := func() int {
			t.Helper()
			return s.Of(func() {
				if err := edge.Report(ctx, models.EdgeReport{Epoch: "a", Orgs: []models.OrgReport{report}}, time.Hour); err != nil {
					t.Fatal(err)
				}
			})
		}
		since := models.Now().Add(-time.Minute)
		publish := func(name string, port int) {
			service := makeService(t, w, name, ip, port)
			node := models.ServiceNode{ServiceID: service.ID, MachineID: m.ID, NetworkID: m.NetworkID, Address: m.Address, Port: port, Enabled: true}
			err := w.Scope(t, "admin@acme.example", "acme").Change(ctx, func(tx *models.Writer) error { return tx.AddNode(&node) })
			if err != nil {
				t.Fatal(err)
			}
			report.Services = append(report.Services, models.ServiceReport{ID: service.ID, BytesIn: 10, Open: 1, Nodes: []models.NodeReport{{ID: node.ID, State: "up", Since: since}}})
		}
		publish("first", 80)
		first := send()
		one := send()
		if first < one+3 { // a service's figures, its counter, its node
			t.Errorf("%d statements at first, %d for the same again", first, one)
		}
		for i := range 9 {
			publish("more-"+string(rune('a'+i)), 8000+i)
		}
		send()
		if ten := send(); ten != one {
			t.Errorf("the same again costs %d statements for ten services, %d for one", ten, one)
		}
		report.Services[4].Nodes[0].State, report.Services[4].Nodes[0].Reason = "down", "connection refused"
		if moved := send() - one; moved != 1 && moved != 2 { // the row, and where there are several portals the word to them
			t.Errorf("one node's state costs %d statements more than nothing", moved)
		}
		var row models.ServiceRow
		err = w.System.Look(ctx, w.Acme.ID, func(r *models.Reader) error {
			row, err = r.Service(report.Services[4].ID)
			return err
		})
		if err != nil || row.Nodes[0].State != "down" || row.Nodes[0].Reason != "connection refused" || row.BytesIn != 10 {
			t.Errorf("%+v: %v", row, err)
		}
	})
}

// A report that comes again because its answer was lost tells its drift once;
// what is new beside it is told, and so is a new epoch's.
func TestDriftIsToldOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		edge, err := w.System.LocalEdge(ctx, "lab")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.System.EnsureGateways(ctx); err != nil {
			t.Fatal(err)
		}
		told := func() (list []string) {
			t.Helper()
			err := w.Scope(t, "admin@acme.example", "acme").Read(ctx, func(r *models.Reader) error {
				page, err := r.Events(models.EventFilter{Action: models.ActionDrift})
				for _, e := range page.Rows {
					list = append(list, string(e.ID))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		one, two := models.DriftReport{Sequence: 7, Text: "one"}, models.DriftReport{Sequence: 8, Text: "two"}
		for _, step := range []struct {
			epoch string
			drift []models.DriftReport
			want  int
		}{{"a", nil, 0}, {"a", []models.DriftReport{one}, 1}, {"a", []models.DriftReport{one}, 1}, {"a", []models.DriftReport{one, two}, 2}, {"a", []models.DriftReport{one, two}, 2},
			{"a", []models.DriftReport{one}, 2}, {"b", []models.DriftReport{one}, 3}, {"b", []models.DriftReport{one}, 3}, {"b", []models.DriftReport{{Text: "uncounted"}}, 4}} {
			if err := edge.Report(ctx, models.EdgeReport{Epoch: step.epoch, Orgs: []models.OrgReport{{Org: w.Acme.ID, Drift: step.drift}}}, time.Hour); err != nil {
				t.Fatal(err)
			}
			if got := told(); len(got) != step.want {
				t.Errorf("after %+v of %s: told %q", step.drift, step.epoch, got)
			}
		}
	})
}
