package models_test

import (
	"context"
	"errors"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestGatewaysAddressIsNeverGiven(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		n, err := w.System.PutNetwork(ctx, models.Network{OrgID: w.Acme.ID, CloudID: w.Public.ID, Name: "tiny", CIDR: "10.9.0.0/28", Gateway: "10.9.0.12"})
		if err != nil {
			t.Fatal(err)
		}
		m := w.Machine(t, "web-1")
		var given []string
		for {
			err := w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error {
				_, a, err := tx.TakeAddress(n.ID, m.ID)
				given = append(given, a)
				return err
			})
			if errors.Is(err, models.ErrQuota) {
				break
			}
			if err != nil || len(given) > 20 {
				t.Fatal(given, err)
			}
		}
		for _, a := range given {
			if a == n.Gateway {
				t.Errorf("a machine was given the gateway's address: %v", given)
			}
		}
		if len(given) != 5 { // .10, .11, .13, .14, and the refusal
			t.Errorf("given: %v", given)
		}
	})
}
