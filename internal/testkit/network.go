package testkit

import (
	"context"

	"github.com/millwright/millwright/models"
)

// OfferPublicIPs makes a range of the given addresses, free, at 0.004 an hour.
func (w *World) OfferPublicIPs(addresses ...string) error {
	ctx := context.Background()
	tx, err := w.DB.SQL().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if w.DB.Kind() == models.PostgreSQL {
		if _, err := tx.ExecContext(ctx, "SELECT set_config('millwright.system', 'on', true)"); err != nil {
			return err
		}
	}
	now := models.Now()
	id := models.NewID[string]()
	_, err = tx.ExecContext(ctx, `INSERT INTO public_ip_ranges (id, name, first_address, last_address, price_per_hour_micros, created_at) VALUES ($1, $2, $3, $4, 4000, $5)`,
		id, "range "+id, addresses[0], addresses[len(addresses)-1], now)
	for i, a := range addresses {
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO public_ips (id, range_id, address, position, state, created_at) VALUES ($1, $2, $3, $4, 'free', $5)`,
			models.NewID[string](), id, a, i, now)
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

// OfferVLANs gives Public a range of VLANs.
func (w *World) OfferVLANs(first, last int) error {
	ctx := context.Background()
	tx, err := w.DB.SQL().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if w.DB.Kind() == models.PostgreSQL {
		if _, err := tx.ExecContext(ctx, "SELECT set_config('millwright.system', 'on', true)"); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO vlan_ranges (id, cloud_id, first_vlan, last_vlan, created_at) VALUES ($1, $2, $3, $4, $5)`,
		models.NewID[string](), string(w.Public.ID), first, last, models.Now())
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return w.System.SyncVLANs(ctx)
}
