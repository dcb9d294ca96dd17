package models

import (
	"context"
)

// Menu lists every instance type, retired ones among them.
func (p *Provider) Menu(ctx context.Context) (list []InstanceType, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		return r.tx.Order("position, price_per_hour_micros").Find(&list).Error
	})
	return list, err
}

// InstanceTypeDetail is a menu row's page.
type InstanceTypeDetail struct {
	InstanceType
	Machines int // that were ordered as it, each at the price of its order
}

// InstanceType returns one menu row.
func (p *Provider) InstanceType(ctx context.Context, id InstanceTypeID) (d InstanceTypeDetail, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		if err := r.tx.Take(&d.InstanceType, "id = ?", id).Error; err != nil {
			return absent(err, "instance type")
		}
		var n int64
		err := r.tx.Model(&Machine{}).Where("instance_type_id = ? AND state <> 'deleted'", id).Count(&n).Error
		d.Machines = int(n)
		return err
	})
	return d, err
}

func (t *InstanceType) faults() map[string]string {
	faults := named(t.Slug, t.Name)
	if t.VCPUs < 1 || t.VCPUs > 768 {
		faults["vcpus"] = "Enter 1 to 768 vCPUs."
	}
	if t.MemoryMiB < 128 || t.MemoryMiB > 24<<20 || t.MemoryMiB%4 != 0 {
		faults["memory_mib"] = "Enter 128 to 25165824 MiB, a multiple of 4."
	}
	if t.DiskGiB < 1 || t.DiskGiB > 62<<10 {
		faults["disk_gib"] = "Enter 1 to 63488 GiB."
	}
	if t.PricePerHourMicros < 0 || t.PricePerHourMicros > 1_000_000_000_000 {
		faults["price"] = "Enter a price from 0 to 1000000 per hour."
	}
	return faults
}

// AddInstanceType puts a row at the end of the menu.
func (p *Provider) AddInstanceType(ctx context.Context, t InstanceType) (InstanceType, error) {
	if faults := t.faults(); len(faults) > 0 {
		return t, Invalid(faults)
	}
	err := p.change(ctx, func(w *Writer) error {
		var last struct{ Position int }
		if err := w.tx.Model(&InstanceType{}).Select("COALESCE(MAX(position), 0) AS position").Scan(&last).Error; err != nil {
			return err
		}
		t.ID, t.CreatedAt, t.ManagedBy, t.Position = NewID[InstanceTypeID](), Now(), ManagedByPortal, last.Position+1
		if err := w.tx.Create(&t).Error; err != nil {
			return duplicate(err, "slug", "Another size has this short name.")
		}
		return w.told(ActionConfigChange, t.object(), nil, t.configuration())
	})
	return t, err
}

// EditInstanceType changes a row. Machines keep size and price of their order.
func (p *Provider) EditInstanceType(ctx context.Context, t InstanceType) error {
	return p.change(ctx, func(w *Writer) error {
		var have InstanceType
		if err := w.tx.Take(&have, "id = ?", t.ID).Error; err != nil {
			return absent(err, "instance type")
		}
		t.Slug = have.Slug
		if faults := t.faults(); len(faults) > 0 {
			return Invalid(faults)
		}
		err := w.tx.Model(&InstanceType{}).Where("id = ?", t.ID).Updates(map[string]any{
			"name": t.Name, "vcpus": t.VCPUs, "memory_mib": t.MemoryMiB, "disk_gib": t.DiskGiB,
			"price_per_hour_micros": t.PricePerHourMicros, "managed_by": ManagedByPortal,
		}).Error
		if err != nil {
			return err
		}
		return w.told(ActionConfigChange, t.object(), have.configuration(), t.configuration())
	})
}

// RetireInstanceType takes a row off the menu, or puts it back.
func (p *Provider) RetireInstanceType(ctx context.Context, id InstanceTypeID, retire bool) error {
	return p.change(ctx, func(w *Writer) error {
		var t InstanceType
		if err := w.tx.Take(&t, "id = ?", id).Error; err != nil {
			return absent(err, "instance type")
		}
		if err := w.retire(&InstanceType{}, string(id), retire); err != nil {
			return err
		}
		return w.told(ActionConfigChange, t.object(), map[string]any{"retired": !retire}, map[string]any{"retired": retire})
	})
}

// retire sets or clears retired_at of a menu's record; one that is so already
// is a conflict.
func (w *Writer) retire(model any, id string, retire bool) error {
	q, set := w.tx.Model(model).Where("id = ? AND retired_at IS NOT NULL", id), map[string]any{"retired_at": nil}
	if retire {
		q, set = w.tx.Model(model).Where("id = ? AND retired_at IS NULL", id), map[string]any{"retired_at": Now()}
	}
	done := q.Updates(set)
	if done.Error == nil && done.RowsAffected == 0 {
		return Conflict("Somebody was quicker: this is so already.")
	}
	return done.Error
}

// MoveInstanceType moves a row up or down the menu by one.
func (p *Provider) MoveInstanceType(ctx context.Context, id InstanceTypeID, up bool) error {
	return p.change(ctx, func(w *Writer) error {
		var list []InstanceType
		if err := w.tx.Order("position, price_per_hour_micros, id").Find(&list).Error; err != nil {
			return err
		}
		at := -1
		for i, t := range list {
			if t.ID == id {
				at = i
			}
		}
		if at < 0 {
			return NotFound("instance type")
		}
		to := at + 1
		if up {
			to = at - 1
		}
		if to < 0 || to >= len(list) {
			return Conflict("It stands at this end of the menu already.")
		}
		list[at], list[to] = list[to], list[at]
		for i, t := range list { // positions of the file may be equal or have gaps
			if t.Position == i+1 {
				continue
			}
			err := w.tx.Model(&InstanceType{}).Where("id = ?", t.ID).
				Updates(map[string]any{"position": i + 1, "managed_by": ManagedByPortal}).Error
			if err != nil {
				return err
			}
		}
		return w.told(ActionConfigChange, list[to].object(), map[string]any{"place": at + 1}, map[string]any{"place": to + 1})
	})
}
