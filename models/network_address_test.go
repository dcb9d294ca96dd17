package models_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

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
		// .1 to .30 without .20 are 29; all but ten are taken by name first.
		for i := 1; i < 20; i++ {
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
