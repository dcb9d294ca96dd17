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

func TestSettledVLANsAreOnlyCounted(t *testing.T) {
	t.Parallel()
	testkit.Counted(t, func(t *testing.T, db *models.DB, s *testkit.Statements) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		if err := w.OfferVLANs(100, 3000); err != nil {
			t.Fatal(err)
		}
		sync := func() int {
			return s.Of(func() {
				if err := w.System.SyncVLANs(ctx); err != nil {
					t.Fatal(err)
				}
			})
		}
		sync()
		if again := sync(); again > 4 {
			t.Errorf("%d statements where nothing is to do", again)
		}
		n := models.Network{Name: "annex", CloudID: w.Public.ID, CIDR: "10.91.0.0/24"}
		if err := w.Scope(t, "admin@acme.example", "acme").Change(ctx, func(tx *models.Writer) error { return tx.CreateNetwork(&n) }); err != nil {
			t.Fatal(err)
		}
		if again := sync(); again > 4 {
			t.Errorf("%d statements with a VLAN taken", again)
		}
	})
}
