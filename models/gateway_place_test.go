package models_test

import (
	"context"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// A gateway that is registered beside another takes nobody from it: neither the
// orgs, nor a word on them, nor the end of a release. Who comes new goes to the
// one that lives, and of two that live to the emptier.
func TestSecondGatewayTakesNobodysTraffic(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, "198.51.100.1", "198.51.100.2", "198.51.100.3")
		ctx := context.Background()
		provider, _ := operator(t, w)
		register := func(name string) *models.Edge {
			t.Helper()
			_, token, err := provider.AddEdge(ctx, name, nil)
			if err != nil {
				t.Fatal(err)
			}
			e, err := w.System.Edge(ctx, token)
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		carries := func(e *models.Edge) map[models.OrgID]bool {
			t.Helper()
			_, states, err := e.Desired(ctx)
			if err != nil {
				t.Fatal(err)
			}
			set := map[models.OrgID]bool{}
			for i := range states {
				set[states[i].Gateway.OrgID] = true
			}
			return set
		}
		settle := func() {
			t.Helper()
			if err := w.System.EnsureGateways(ctx); err != nil {
				t.Fatal(err)
			}
		}
		live := func(e *models.Edge) {
			t.Helper()
			if err := e.Report(ctx, models.EdgeReport{}, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		first := register("gw-1")
		settle()
		if got := carries(first); len(got) != 2 || !got[w.Acme.ID] || !got[w.Globex.ID] {
			t.Fatalf("the only gateway carries %v", got)
		}
		live(first)
		takeIP(t, w, "acme") // what its machines are seen from
		ip := takeIP(t, w, "acme")
		before := generation(t, w, w.Acme.ID)
		second := register("gw-2")
		settle()
		if got := carries(second); len(got) != 0 || len(carries(first)) != 2 {
			t.Errorf("the second gateway carries %v", got)
		}
		if after := generation(t, w, w.Acme.ID); after != before {
			t.Errorf("a second gateway changed acme's generation from %d to %d", before, after)
		}

		// A release ends by what the org's own gateway says, not another.
		acme := w.Scope(t, "admin@acme.example", "acme")
		if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.ReleasePublicIP(ip.ID) }); err != nil {
			t.Fatal(err)
		}
		stranger := models.EdgeReport{Orgs: []models.OrgReport{{Org: w.Acme.ID, Observed: before + 9, Applied: before + 9, Error: "not mine", Released: []string{ip.Address}}}}
		if err := second.Report(ctx, stranger, time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := acme.Read(ctx, func(r *models.Reader) error {
			p, err := r.PublicIP(ip.ID)
			if err == nil && p.State != models.IPReleasing {
				t.Errorf("another gateway's word made the address %s", p.State)
			}
			g, err2 := r.Gateway()
			if g.Error != "" || g.Applied > before {
				t.Errorf("another gateway's word is kept: applied %d, %q", g.Applied, g.Error)
			}
			if err == nil {
				err = err2
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}

		// New orgs: both gateways live, and the second is empty; the third was
		// never heard of.
		register("gw-3")
		if _, err := w.System.PutOrg(ctx, "initech", "Initech", testkit.RoomyLimits); err != nil {
			t.Fatal(err)
		}
		settle()
		if len(carries(second)) != 1 || len(carries(first)) != 2 {
			t.Errorf("the new org is on neither of the two that live: %v, %v", carries(first), carries(second))
		}
	})
}
