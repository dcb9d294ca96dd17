package models

import (
	"context"
	"strings"
	"time"
)

// AbandonedNetwork is a deleted network whose port group may still be in the
// cloud: a row of networks that everybody else doesn't see any more.
type AbandonedNetwork struct {
	ID              NetworkID `gorm:"primaryKey"`
	OrgID           OrgID
	Name            string // with the id behind it, since it was deleted
	PortGroup       string
	DeletedAt       *time.Time
	PortGroupGoneAt *time.Time
}

// TableName is that of the networks.
func (AbandonedNetwork) TableName() string { return "networks" }

// AbandonedNetworks lists those of a cloud. Only what is named after the
// network itself is ours to remove; a port group of the operator's own is not.
func (s *System) AbandonedNetworks(ctx context.Context, cloud CloudID) ([]AbandonedNetwork, error) {
	var rows, ours []AbandonedNetwork
	err := s.reading(ctx, func(r *Reader) error {
		return r.tx.Order("deleted_at").Limit(50).
			Find(&rows, "cloud_id = ? AND deleted_at IS NOT NULL AND port_group_gone_at IS NULL AND port_group LIKE ?", cloud, "millwright-%").Error
	})
	for _, n := range rows {
		if strings.HasSuffix(n.PortGroup, "-"+string(n.ID)) {
			ours = append(ours, n)
		}
	}
	return ours, err
}

// PortGroupGone notes that a deleted network left nothing in vSphere. removed
// says that there was something, which is then told in the org's history.
func (s *System) PortGroupGone(ctx context.Context, n AbandonedNetwork, removed bool) error {
	return s.changing(ctx, func(w *Writer) error {
		done := w.tx.Model(&AbandonedNetwork{}).Where("id = ? AND deleted_at IS NOT NULL AND port_group_gone_at IS NULL", n.ID).Update("port_group_gone_at", Now())
		if done.Error != nil || done.RowsAffected == 0 || !removed {
			return done.Error
		}
		was := Object{Kind: "network", ID: string(n.ID), Name: strings.TrimSuffix(n.Name, " "+string(n.ID))}
		return w.recordFor(n.OrgID, Event{Action: ActionNetworkClear, Object: was, Outcome: OutcomeSucceeded, After: map[string]any{"port_group": n.PortGroup}})
	})
}
