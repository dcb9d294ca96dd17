package models_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestRangeOfVLANsThatNetworksHaveStays(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		p, _ := operator(t, w)
		ctx := context.Background()
		v, err := p.AddVLANRange(ctx, models.VLANRange{CloudID: w.Public.ID, FirstVLAN: 300, LastVLAN: 303})
		if err == nil {
			err = w.System.SyncVLANs(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		acme := w.Scope(t, "admin@acme.example", "acme")
		n := models.Network{CloudID: w.Public.ID, Name: "dmz", CIDR: "10.77.0.0/24"}
		if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.CreateNetwork(&n) }); err != nil {
			t.Fatal(err)
		}
		if err := p.RemoveVLANRange(ctx, v.ID); !errors.Is(err, models.ErrConflict) || !strings.Contains(err.Error(), strconv.Itoa(n.VLAN)) {
			t.Errorf("with a network of it: %v", err)
		}
		if list, err := p.VLANRanges(ctx); err != nil || len(list) != 1 {
			t.Errorf("after the refusal %+v: %v", list, err)
		}
		// Nothing of the refusal stays: the others are there to be had.
		other := models.Network{CloudID: w.Public.ID, Name: "lan", CIDR: "10.78.0.0/24"}
		if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.CreateNetwork(&other) }); err != nil {
			t.Errorf("another network: %v", err)
		}
		for _, id := range []models.NetworkID{n.ID, other.ID} {
			if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.DeleteNetwork(id) }); err != nil {
				t.Fatal(err)
			}
		}
		err = p.RemoveVLANRange(ctx, v.ID)
		if err != nil {
			t.Errorf("free again: %v", err)
		}
	})
}

// Either the range goes and no network has a VLAN of it, or it stays.
func TestRangeOfVLANsIsRemovedOrTakenFromNotBoth(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		p, _ := operator(t, w)
		ctx := context.Background()
		acme := w.Scope(t, "admin@acme.example", "acme")
		for round := range 5 {
			first := 400 + 10*round
			v, err := p.AddVLANRange(ctx, models.VLANRange{CloudID: w.Public.ID, FirstVLAN: first, LastVLAN: first + 3})
			if err == nil {
				err = w.System.SyncVLANs(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
			made := make([]models.Network, 3)
			errs := atOnce(5, func(i int) error {
				switch i {
				case 3:
					return p.RemoveVLANRange(ctx, v.ID)
				case 4:
					return w.System.SyncVLANs(ctx)
				}
				made[i] = models.Network{CloudID: w.Public.ID, Name: fmt.Sprintf("n-%d-%d", round, i), CIDR: fmt.Sprintf("10.%d.%d.0/24", 100+round, i)}
				return acme.Change(ctx, func(tx *models.Writer) error { return tx.CreateNetwork(&made[i]) })
			})
			taken := 0
			for i, err := range errs[:3] {
				switch {
				case err == nil:
					taken++
				case !errors.Is(err, models.ErrQuota):
					t.Errorf("network %d: %v", i, err)
				}
			}
			if errs[4] != nil {
				t.Errorf("sync: %v", errs[4])
			}
			removed := errs[3] == nil
			if !removed && !errors.Is(errs[3], models.ErrConflict) {
				t.Errorf("remove: %v", errs[3])
			}
			if removed && taken > 0 || !removed && taken == 0 {
				t.Errorf("removed: %v, and %d networks have its VLANs", removed, taken)
			}
			for i, err := range errs[:3] {
				if err == nil {
					if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.DeleteNetwork(made[i].ID) }); err != nil {
						t.Fatal(err)
					}
				}
			}
			if !removed {
				if err := p.RemoveVLANRange(ctx, v.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestRangeOfPublicIPsInUseStays(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		p, _ := operator(t, w)
		ctx := context.Background()
		r, err := p.AddPublicIPRange(ctx, models.PublicIPRange{Name: "first", FirstAddress: "203.0.113.10", LastAddress: "203.0.113.13"})
		if err != nil {
			t.Fatal(err)
		}
		acme := w.Scope(t, "admin@acme.example", "acme")
		err = acme.Change(ctx, func(tx *models.Writer) error { _, err := tx.TakePublicIP(1 << 40); return err })
		if err != nil {
			t.Fatal(err)
		}
		if err := p.RemovePublicIPRange(ctx, r.ID); !errors.Is(err, models.ErrConflict) || !strings.Contains(err.Error(), "1 of this range's addresses") {
			t.Errorf("with an address in use: %v", err)
		}
		list, err := p.PublicIPRanges(ctx)
		if err != nil || len(list) != 1 || list[0].Addresses != 4 || list[0].Free != 3 || list[0].Used() != 1 {
			t.Errorf("after the refusal %+v: %v", list, err)
		}
		yes := true
		if err := p.ChangePublicIPRange(ctx, r.ID, nil, &yes); err != nil {
			t.Fatal(err)
		}
		err = acme.Change(ctx, func(tx *models.Writer) error { _, err := tx.TakePublicIP(1 << 40); return err })
		if !errors.Is(err, models.ErrQuota) {
			t.Errorf("from a disabled range: %v", err)
		}
		other, err := p.AddPublicIPRange(ctx, models.PublicIPRange{Name: "second", FirstAddress: "203.0.113.20", LastAddress: "203.0.113.21"})
		if err == nil {
			err = p.RemovePublicIPRange(ctx, other.ID)
		}
		if err != nil {
			t.Errorf("one that is free: %v", err)
		}
	})
}
