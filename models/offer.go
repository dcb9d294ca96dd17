package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

// ipRangeRow and newIPRow are ranges and addresses as the configuration makes
// them: nobody's.
type ipRangeRow struct {
	ID                 string `gorm:"primaryKey"`
	Name               string
	FirstAddress       string
	LastAddress        string
	PricePerHourMicros int64
	CreatedAt          time.Time
}

func (ipRangeRow) TableName() string { return "public_ip_ranges" }

type newIPRow struct {
	ID        IPID `gorm:"primaryKey"`
	RangeID   string
	Address   string
	Position  int64
	State     IPState
	CreatedAt time.Time
}

func (newIPRow) TableName() string { return "public_ips" }

// PutPublicIPs makes a range of public addresses by its name. One that is
// there stays as it is. Idempotent.
func (s *System) PutPublicIPs(ctx context.Context, name string, addresses []string, priceMicros int64) error {
	if len(addresses) == 0 {
		return nil
	}
	return s.changing(ctx, func(w *Writer) error {
		var have ipRangeRow
		err := w.tx.Take(&have, "name = ?", name).Error
		if !errors.Is(err, gorm.ErrRecordNotFound) {
			return err
		}
		row := ipRangeRow{ID: NewID[string](), Name: name, FirstAddress: addresses[0], LastAddress: addresses[len(addresses)-1],
			PricePerHourMicros: priceMicros, CreatedAt: Now()}
		if err := w.tx.Create(&row).Error; err != nil {
			return err
		}
		ips := make([]newIPRow, len(addresses))
		for i, a := range addresses {
			ips[i] = newIPRow{ID: NewID[IPID](), RangeID: row.ID, Address: a, Position: int64(i), State: IPFree, CreatedAt: row.CreatedAt}
		}
		if err := w.tx.CreateInBatches(&ips, 500).Error; err != nil {
			return err
		}
		return w.configured(Object{Kind: "public_ip_range", ID: row.ID, Name: name}, nil, map[string]any{
			"first_address": row.FirstAddress, "last_address": row.LastAddress, "price_per_hour_micros": priceMicros})
	})
}

// PutVLANs gives a cloud a range of VLANs for networks, where it has none.
// Idempotent.
func (s *System) PutVLANs(ctx context.Context, cloud CloudID, first, last int) error {
	err := s.changing(ctx, func(w *Writer) error {
		var n int64
		if err := w.tx.Model(&VLANRange{}).Where("cloud_id = ?", cloud).Count(&n).Error; err != nil || n > 0 {
			return err
		}
		row := VLANRange{ID: NewID[VLANRangeID](), CloudID: cloud, FirstVLAN: first, LastVLAN: last, CreatedAt: Now()}
		if err := w.tx.Create(&row).Error; err != nil {
			return err
		}
		return w.configured(row.object(), nil, row.words())
	})
	if err != nil {
		return err
	}
	return s.SyncVLANs(ctx)
}
