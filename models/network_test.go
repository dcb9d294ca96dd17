package models_test

import (
	"context"
	"errors"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// Every address but the gateway's is given, those that are kept for gateways
// last, and then the network is full.
func TestNetworkGivesEveryAddressButTheGateways(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		m := w.Machine(t, "web-1")
		if err := w.OfferVLANs(100, 109); err != nil {
			t.Fatal(err)
		}
		for cidr, c := range map[string]struct {
			gateway, first string
			room           int
		}{
			"10.9.0.0/28": {"10.9.0.12", "10.9.0.10", 13},
			"10.9.1.0/29": {"10.9.1.1", "10.9.1.2", 5},
			"10.9.2.0/29": {"10.9.2.6", "10.9.2.2", 5},
			"10.9.3.0/24": {"10.9.3.1", "10.9.3.10", 253},
		} {
			n := models.Network{CloudID: w.Public.ID, Name: c.gateway, CIDR: cidr, Gateway: c.gateway}
			given := map[string]bool{}
			err := w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error {
				if err := tx.CreateNetwork(&n); err != nil {
					return err
				}
				for {
					_, a, err := tx.TakeAddress(n.ID, m.ID)
					if err != nil {
						return err
					}
					if len(given) == 0 && a != c.first {
						t.Errorf("%s: the first is %s", cidr, a)
					}
					if given[a] || a == c.gateway || len(given) > c.room {
						t.Fatalf("%s: %s after %v", cidr, a, given)
					}
					given[a] = true
				}
			})
			if !errors.Is(err, models.ErrQuota) || len(given) != c.room {
				t.Errorf("%s: %d given, want %d: %v", cidr, len(given), c.room, err)
			}
		}
	})
}
