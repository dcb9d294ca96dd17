package models_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// edgeWorld is gateways that are registered and report.
type edgeWorld struct {
	*testkit.World

	t        *testing.T
	provider *models.Provider
}

func (w *edgeWorld) register(name string, live bool, clouds ...models.CloudID) (models.EdgeID, *models.Edge) {
	w.t.Helper()
	ctx := context.Background()
	row, token, err := w.provider.AddEdge(ctx, name, clouds)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := w.System.Edge(ctx, token)
	if err != nil {
		w.t.Fatal(err)
	}
	if live {
		w.reports(e, models.EdgeReport{})
	}
	return row.ID, e
}

func (w *edgeWorld) reports(e *models.Edge, r models.EdgeReport) {
	w.t.Helper()
	if err := e.Report(context.Background(), r, time.Hour); err != nil {
		w.t.Fatal(err)
	}
}

func (w *edgeWorld) carries(e *models.Edge) (tag string, orgs map[models.OrgID]models.NetworkState) {
	w.t.Helper()
	tag, states, err := e.Desired(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	orgs = map[models.OrgID]models.NetworkState{}
	for i := range states {
		orgs[states[i].Gateway.OrgID] = states[i]
	}
	return tag, orgs
}

// A gateway that is gone loses its orgs to one that can carry them: with their
// addresses and services, under a new generation, told in each org's history.
// When it comes back it gets them no more, and its word on them counts no more.
func TestOrgsAreMovedOffAGatewayThatIsGone(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		w := &edgeWorld{World: testkit.NewWorld(t, db), t: t}
		offer(t, w.World, "198.51.100.1", "198.51.100.2", "198.51.100.3")
		w.provider, _ = operator(t, w.World)
		oldID, old := w.register("gw-old", true)
		if err := w.System.EnsureGateways(ctx); err != nil {
			t.Fatal(err)
		}
		ip, spare := takeIP(t, w.World, "acme"), takeIP(t, w.World, "acme")
		shop := makeService(t, w.World, "shop", ip, 443)
		acme := w.Scope(t, "admin@acme.example", "acme")
		gateway := func() (g models.OrgGateway) {
			t.Helper()
			if err := acme.Read(ctx, func(r *models.Reader) (err error) { g, err = r.Gateway(); return err }); err != nil {
				t.Fatal(err)
			}
			return g
		}
		before := generation(t, w.World, w.Acme.ID)
		w.reports(old, models.EdgeReport{Epoch: "old", Orgs: []models.OrgReport{{Org: w.Acme.ID, Observed: before, Applied: before, Error: "some trouble"}}})

		// To whom not.
		silent, _ := w.register("gw-silent", false)
		narrow, _ := w.register("gw-narrow", true, w.Public.ID)
		off, _ := w.register("gw-off", true)
		if err := w.provider.DisableEdge(ctx, off, true); err != nil {
			t.Fatal(err)
		}
		lab, err := w.System.LocalEdge(ctx, "lab")
		if err != nil {
			t.Fatal(err)
		}
		w.reports(lab, models.EdgeReport{})
		for name, c := range map[string]struct {
			to          models.EdgeID
			confirmed   bool
			field, text string
		}{
			"itself":         {oldID, true, "to", "Choose another gateway"},
			"nobody":         {"", true, "to", "Choose another gateway"},
			"an unknown":     {models.NewID[models.EdgeID](), true, "to", "Choose another gateway"},
			"a silent one":   {silent, true, "to", "is silent"},
			"a disabled one": {off, true, "to", "is disabled"},
			"without a leg":  {narrow, true, "to", "has no leg in " + w.Private.Name},
			"the lab's":      {lab.ID(), true, "to", "can't answer for 198.51.100."},
			"not confirmed":  {narrow, false, "off", "Confirm it"},
		} {
			_, _, err := w.provider.MoveOrgs(ctx, oldID, c.to, c.confirmed)
			if text := models.FieldsOf(err)[c.field]; !strings.Contains(text, c.text) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if now := gateway(); now.Generation != before || *now.EdgeID != oldID {
			t.Fatalf("after refusals: %+v", now)
		}

		// It goes, however many operators press the button.
		newID, fresh := w.register("gw-new", true, w.Public.ID, w.Private.ID)
		tagOld, _ := w.carries(old)
		var pressing sync.WaitGroup
		results := make(chan error, 4)
		for range 4 {
			pressing.Go(func() {
				n, _, err := w.provider.MoveOrgs(ctx, oldID, newID, true)
				if err == nil && n != 2 {
					t.Errorf("%d orgs moved", n)
				}
				results <- err
			})
		}
		pressing.Wait()
		close(results)
		done := 0
		for err := range results {
			if err == nil {
				done++
			} else if models.CodeOf(err) != models.CodeConflict {
				t.Errorf("a second mover: %v", err)
			}
		}
		if done != 1 {
			t.Fatalf("moved %d times", done)
		}
		after := gateway()
		if *after.EdgeID != newID || after.Generation != before+1 || after.Observed != 0 || after.Applied != 0 || after.Error != "" || after.ReportedAt != nil {
			t.Errorf("afterwards: %+v", after)
		}
		if roll := after.Rollout(string(shop.ID), before, models.Now()); roll != models.RolloutUnknown {
			t.Errorf("before the new one has said anything the service is %s", roll)
		}
		tag, orgs := w.carries(fresh)
		if st := orgs[w.Acme.ID]; len(orgs) != 2 || len(st.Services) != 1 || st.Services[0].Address != ip.Address || st.Gateway.Key != after.Key {
			t.Errorf("the new one carries %d orgs, acme with %+v (%s)", len(orgs), st.Services, tag)
		}

		// The old one is back: it gets another tag and no org, and what it says is
		// passed over, the end of a release too.
		if tag, orgs := w.carries(old); len(orgs) != 0 || tag == tagOld {
			t.Errorf("the old one still gets %d orgs", len(orgs))
		}
		if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.ReleasePublicIP(spare.ID) }); err != nil {
			t.Fatal(err)
		}
		state := func() models.IPState {
			t.Helper()
			s := models.IPQuarantined
			if err := acme.Read(ctx, func(r *models.Reader) error {
				p, err := r.PublicIP(spare.ID)
				if models.CodeOf(err) == models.CodeNotFound {
					return nil
				}
				s = p.State
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return s
		}
		w.reports(old, models.EdgeReport{Orgs: []models.OrgReport{{Org: w.Acme.ID, Observed: 1 << 40, Applied: 1 << 40, Error: "not mine", Released: []string{spare.Address}}}})
		if g := gateway(); g.ReportedAt != nil || g.Error != "" || state() != models.IPReleasing {
			t.Errorf("the old one's word is kept: %+v, the address is %s", g, state())
		}
		now := gateway().Generation
		w.reports(fresh, models.EdgeReport{Epoch: "new", Orgs: []models.OrgReport{{Org: w.Acme.ID, Observed: now, Applied: now}}})
		if g := gateway(); g.Rollout(string(shop.ID), now, models.Now()) != models.RolloutActive || state() != models.IPQuarantined {
			t.Errorf("the new one's word is not: %+v, the address is %s", g, state())
		}

		for org, admin := range map[string]string{"acme": "admin@acme.example", "globex": "admin@globex.example"} {
			if err := w.Scope(t, admin, org).Read(ctx, func(r *models.Reader) error {
				page, err := r.Events(models.EventFilter{Action: models.ActionEdgeMove})
				if err == nil && (len(page.Rows) != 1 || !strings.Contains(page.Rows[0].Before, "gw-old") || !strings.Contains(page.Rows[0].After, "gw-new")) {
					t.Errorf("history of %s: %+v", org, page.Rows)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := w.provider.MoveOrgs(ctx, oldID, newID, true); models.CodeOf(err) != models.CodeConflict {
			t.Errorf("nothing left to move: %v", err)
		}
	})
}
