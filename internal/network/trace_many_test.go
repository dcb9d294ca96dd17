package network_test

import (
	"context"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// Of very many nodes some are tried at a time: what came of them is not said of
// the others, and trying again goes on with those.
func TestTraceTriesManyNodesInTurns(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		const nodes = models.ProbesMost + 5
		r := &traceRig{T: t, w: testkit.NewWorld(t, db), source: "192.0.2.9"}
		m := r.w.Machine(t, "web-1")
		r.must(r.w.OfferPublicIPs("198.51.100.1"))
		r.service = models.InternetService{Name: "shop", Protocol: models.ServiceTCP, Balancing: models.BalanceLeast, MonitorKind: "tcp", IdleTimeoutSeconds: 60, Sources: "192.0.2.0/24", Enabled: true}
		r.change(func(w *models.Writer) error {
			var err error
			if r.ip, err = w.TakePublicIP(1 << 40); err != nil {
				return err
			}
			if err := w.CreateService(&r.service, models.ServiceEndpoint{PublicIPID: r.ip.ID, Port: 443}); err != nil {
				return err
			}
			for i := range nodes {
				n := models.ServiceNode{ServiceID: r.service.ID, MachineID: m.ID, NetworkID: m.NetworkID, Address: m.Address, Port: 8000 + i, Enabled: true}
				if err := w.AddNode(&n); err != nil {
					return err
				}
			}
			return nil
		})
		var err error
		r.room = network.New(r.w.System, network.Options{})
		r.feed, err = r.room.Lab(context.Background())
		r.must(err)
		r.must(r.room.Settle(context.Background()))
		tried := map[models.NodeID]int{}
		ask := func() network.TraceFacts {
			t.Helper()
			r.change(func(w *models.Writer) error {
				_, err := w.ProbeService(r.service.ID)
				return err
			})
			f := r.facts()
			for i := range f.Probes {
				tried[f.Probes[i].NodeID]++
				f.Probes[i].AnsweredAt, f.Probes[i].Detail = new(f.Now), "connection refused"
			}
			return f
		}
		f := ask()
		if len(f.Probes) != models.ProbesMost {
			t.Fatalf("%d are tried at once", len(f.Probes))
		}
		if s := step(network.Walk(f), network.TraceListener); s.State != network.StepUnchecked || !strings.Contains(s.Text, "none of 16 nodes answers; of the other 5 nothing is known") {
			t.Errorf("of 16 of %d: %+v", nodes, s)
		}
		// What waits is tried first.
		r.report(func(o *edge.OrgStatus) {
			for _, p := range r.acme().Probes {
				o.Probes = append(o.Probes, edge.ProbeResult{ID: p.ID, At: f.Now, Detail: "connection refused"})
			}
		})
		ask()
		if len(tried) != nodes {
			t.Errorf("twice %d tried %d of %d nodes", models.ProbesMost, len(tried), nodes)
		}
		// All that there is was tried.
		f.Service.Nodes = f.Service.Nodes[:models.ProbesMost]
		if s := step(network.Walk(f), network.TraceListener); s.State != network.StepFailed || !strings.Contains(s.Text, "no node answers") {
			t.Errorf("of all: %+v", s)
		}
	})
}
