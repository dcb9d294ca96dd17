package models_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// A deleted network's VLAN is nobody's to take until the gateway has applied
// the state without it: its link would carry another org's packets.
func TestVLANIsFreeWhenTheGatewayConfirmed(t *testing.T) {
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
		if err := w.OfferVLANs(500, 500); err != nil {
			t.Fatal(err)
		}
		acme, globex := w.Scope(t, "admin@acme.example", "acme"), w.Scope(t, "admin@globex.example", "globex")
		create := func(s *models.Scope) (models.Network, error) {
			n := models.Network{CloudID: w.Public.ID, Name: "lan", CIDR: "10.77.0.0/24"}
			return n, s.Change(ctx, func(tx *models.Writer) error { return tx.CreateNetwork(&n) })
		}
		report := func(org models.OrgID, applied int64) {
			t.Helper()
			if err := edge.Report(ctx, models.EdgeReport{Orgs: []models.OrgReport{{Org: org, Observed: applied, Applied: applied}}}, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		n, err := create(acme)
		if err != nil || n.VLAN != 500 {
			t.Fatalf("VLAN %d: %v", n.VLAN, err)
		}
		before := generation(t, w, w.Acme.ID)
		if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.DeleteNetwork(n.ID) }); err != nil {
			t.Fatal(err)
		}
		taken := func(when string) {
			t.Helper()
			for name, s := range map[string]*models.Scope{"acme": acme, "globex": globex} {
				if _, err := create(s); !errors.Is(err, models.ErrQuota) {
					t.Errorf("%s: taken by %s: %v", when, name, err)
				}
			}
		}
		taken("nothing is reported")
		report(w.Acme.ID, before)
		taken("the gateway knows nothing of it")
		report(w.Globex.ID, before+100)
		taken("another org's report")
		if err := w.System.QuarantineUnserved(ctx, time.Hour); err != nil {
			t.Fatal(err)
		}
		taken("the org is served")
		report(w.Acme.ID, generation(t, w, w.Acme.ID))
		if n, err := create(globex); err != nil || n.VLAN != 500 {
			t.Errorf("confirmed: VLAN %d, %v", n.VLAN, err)
		}
	})
}
