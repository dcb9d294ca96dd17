package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

// PortalNode is one process that serves.
type PortalNode struct {
	ID        string `gorm:"primaryKey"` // as configured: stable and unique
	Address   string // where it listens
	Version   string
	StartedAt time.Time
	SeenAt    time.Time
	StoppedAt *time.Time // by its own will
}

// NodeSilence is after how long a node that says nothing counts as lost: three
// of its heartbeats and a little.
const NodeSilence = 35 * time.Second

// Lost says whether the node ended without a word.
func (n *PortalNode) Lost() bool { return n.StoppedAt == nil && Now().Sub(n.SeenAt) > NodeSilence }

// BeatNode notes that a node serves. The first beat of a process makes or
// renews its row.
func (s *System) BeatNode(ctx context.Context, n PortalNode) error {
	return s.changing(ctx, func(w *Writer) error {
		var have PortalNode
		err := w.tx.Take(&have, "id = ?", n.ID).Error
		n.SeenAt, n.StoppedAt = Now(), nil
		if errors.Is(err, gorm.ErrRecordNotFound) {
			w.touchOf(ProviderOrg, "health", n.ID)
			return w.tx.Create(&n).Error
		}
		if err != nil {
			return err
		}
		if have.StoppedAt != nil || !have.StartedAt.Equal(n.StartedAt) || have.Lost() {
			w.touchOf(ProviderOrg, "health", n.ID)
		}
		return w.tx.Model(&PortalNode{}).Where("id = ?", n.ID).Updates(map[string]any{
			"address": n.Address, "version": n.Version, "started_at": n.StartedAt, "seen_at": n.SeenAt, "stopped_at": nil}).Error
	})
}

// StopNode notes that a node ends by its own will.
func (s *System) StopNode(ctx context.Context, id string) error {
	return s.changing(ctx, func(w *Writer) error {
		w.touchOf(ProviderOrg, "health", id)
		return w.tx.Model(&PortalNode{}).Where("id = ?", id).Updates(map[string]any{"stopped_at": Now(), "seen_at": Now()}).Error
	})
}

// riverJob is the job queue's table, for counting alone.
type riverJob struct{}

func (riverJob) TableName() string { return "river_job" }

// QueueDepth is how much work waits, and how much is being done.
type QueueDepth struct {
	Queue     string
	Waiting   int // ready for a worker
	Running   int
	Scheduled int // comes again later: waits for a cloud, or to be tried again
}

// Health is the portal's: clouds, nodes, queues.
type Health struct {
	Clouds []Cloud
	Nodes  []PortalNode
	Queues []QueueDepth
	// OldestWaiting is when the first of the waiting tasks was asked for.
	OldestWaiting *time.Time
}

// Health reads all of it.
func (p *Provider) Health(ctx context.Context) (h Health, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		if err := r.tx.Order("name").Find(&h.Clouds).Error; err != nil {
			return err
		}
		if err := r.tx.Order("id").Find(&h.Nodes).Error; err != nil {
			return err
		}
		if h.Queues, err = r.queueDepths(); err != nil {
			return err
		}
		var first []Task
		if err := r.tx.Select("created_at").Where("state = ?", TaskQueued).Order("id").Limit(1).Find(&first).Error; err != nil {
			return err
		}
		if len(first) > 0 {
			h.OldestWaiting = &first[0].CreatedAt
		}
		return nil
	})
	return h, err
}

func (r *Reader) queueDepths() ([]QueueDepth, error) {
	var counts []struct {
		Queue string
		State string
		N     int
	}
	err := r.tx.Model(&riverJob{}).Select("queue, state, COUNT(*) AS n").
		Where("state IN ?", []string{"available", "running", "scheduled", "retryable", "pending"}).
		Group("queue, state").Order("queue").Find(&counts).Error
	var list []QueueDepth
	for _, c := range counts {
		if len(list) == 0 || list[len(list)-1].Queue != c.Queue {
			list = append(list, QueueDepth{Queue: c.Queue})
		}
		d := &list[len(list)-1]
		switch c.State {
		case "available":
			d.Waiting += c.N
		case "running":
			d.Running += c.N
		default:
			d.Scheduled += c.N
		}
	}
	return list, err
}
