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
	CloudID         CloudID
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

// networkClearPause is how long a Task that failed keeps the sweep from
// beginning another.
const networkClearPause = 10 * time.Minute

// AbandonedNetworksToClear lists those of a cloud for which a Task is due: none
// is active, and the last didn't end just now.
func (s *System) AbandonedNetworksToClear(ctx context.Context, cloud CloudID) ([]AbandonedNetwork, error) {
	all, err := s.AbandonedNetworks(ctx, cloud)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	busy := map[NetworkID]bool{}
	err = s.reading(ctx, func(r *Reader) error {
		ids := make([]NetworkID, len(all))
		for i, n := range all {
			ids[i] = n.ID
		}
		var list []NetworkID
		err := r.tx.Model(&Task{}).Where("network_id IN ? AND (state IN ? OR finished_at > ?)", ids, ActiveTaskStates, Now().Add(-networkClearPause)).
			Distinct().Pluck("network_id", &list).Error
		for _, id := range list {
			busy[id] = true
		}
		return err
	})
	var due []AbandonedNetwork
	for _, n := range all {
		if !busy[n.ID] {
			due = append(due, n)
		}
	}
	return due, err
}

// Object is how the history names the network that was.
func (n *AbandonedNetwork) Object() Object {
	return Object{Kind: "network", ID: string(n.ID), Name: n.WasCalled()}
}

// WasCalled is its name before it was deleted.
func (n *AbandonedNetwork) WasCalled() string {
	return strings.TrimSuffix(n.Name, " "+string(n.ID))
}

// AbandonedNetwork returns a deleted network, or ErrNotFound.
func (r *Reader) AbandonedNetwork(id NetworkID) (AbandonedNetwork, error) {
	var n AbandonedNetwork
	return n, absent(r.tx.Take(&n, "id = ? AND deleted_at IS NOT NULL", id).Error, "network")
}

// LatestClear returns the newest Task on what is left of the network, or
// ErrNotFound.
func (r *Reader) LatestClear(id NetworkID) (TaskDetail, error) {
	var t Task
	if err := r.tx.Where("network_id = ?", id).Order("id DESC").Take(&t).Error; err != nil {
		return TaskDetail{}, absent(err, "task")
	}
	return r.Task(t.ID)
}

// PortGroupGone notes that a deleted network has nothing in vSphere any more.
func (w *Writer) PortGroupGone(id NetworkID) error {
	n, err := w.AbandonedNetwork(id)
	if err != nil {
		return err
	}
	done := w.tx.Model(&AbandonedNetwork{}).Where("id = ? AND deleted_at IS NOT NULL AND port_group_gone_at IS NULL", id).Update("port_group_gone_at", Now())
	if done.Error != nil || done.RowsAffected == 0 { // told before
		return done.Error
	}
	return w.Record(Event{Action: ActionNetworkClear, Object: n.Object(), Outcome: OutcomeSucceeded, After: map[string]any{"port_group": n.PortGroup}})
}
