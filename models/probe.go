package models

import (
	"slices"
	"time"

	"gorm.io/gorm"
)

// ProbePatience is how long a gateway has to try what it is asked to. It asks
// at once, and gives a node a few seconds.
const ProbePatience = 20 * time.Second

// ProbeFresh is how long an answer counts: a node may come and go at any time,
// and nobody tells of one without a health check.
const ProbeFresh = time.Minute

// ProbesMost bounds what is tried at once: the gateway waits for all of it.
const ProbesMost = 16

// Probe is a connection to a node that the gateway tries once, from inside the
// org, as the service would make it; and what came of it.
type Probe struct {
	ID         ProbeID `gorm:"primaryKey"`
	OrgID      OrgID
	ServiceID  ServiceID
	NodeID     NodeID
	AskedAt    time.Time
	ExpiresAt  time.Time // not answered by then: no answer will come
	AnsweredAt *time.Time
	TriedAt    *time.Time // by the gateway's clock
	OK         bool
	Detail     string // in the gateway's words
}

// TableName says whose it is.
func (Probe) TableName() string { return "service_probes" }

// Waiting says whether the gateway may still answer.
func (p *Probe) Waiting(now time.Time) bool { return p.AnsweredAt == nil && now.Before(p.ExpiresAt) }

// Fresh says whether it was answered of late.
func (p *Probe) Fresh(now time.Time) bool {
	return p.AnsweredAt != nil && now.Sub(*p.AnsweredAt) <= ProbeFresh
}

// ProbeReport is what a gateway says of one.
type ProbeReport struct {
	ID     ProbeID
	At     time.Time
	OK     bool
	Detail string
}

// Probes lists what was last asked of the service's nodes.
func (r *Reader) Probes(id ServiceID) ([]Probe, error) {
	var rows []Probe
	return rows, r.tx.Order("id").Find(&rows, "service_id = ?", id).Error
}

// ProbeService asks the gateway to try the service's enabled nodes, of very
// many the next ProbesMost after those that were tried last.
// One at a time: while it is being tried, asking again is a conflict. Nothing
// that a gateway carries changes by it, and so no generation does.
func (w *Writer) ProbeService(id ServiceID) ([]Probe, error) {
	s, err := w.Service(id)
	if err != nil {
		return nil, err
	}
	if err := w.latch("probe "+string(id), false); err != nil {
		return nil, err
	}
	last, err := w.Probes(id)
	if err != nil {
		return nil, err
	}
	now := Now()
	if slices.ContainsFunc(last, func(p Probe) bool { return p.Waiting(now) }) {
		return nil, Conflict("The gateway is trying this service's nodes already. Wait for what it says.")
	}
	if err := w.tx.Where("service_id = ?", id).Delete(&Probe{}).Error; err != nil {
		return nil, err
	}
	taking := s.Taking()
	if len(taking) > ProbesMost && len(last) > 0 {
		next := slices.IndexFunc(taking, func(n NodeRow) bool { return n.ID == last[len(last)-1].NodeID }) + 1
		taking = slices.Concat(taking[next:], taking[:next])
	}
	var list []Probe
	for _, n := range taking[:min(len(taking), ProbesMost)] {
		list = append(list, Probe{ID: NewID[ProbeID](), OrgID: s.OrgID, ServiceID: id, NodeID: n.ID, AskedAt: now, ExpiresAt: now.Add(ProbePatience)})
	}
	if len(list) == 0 {
		return nil, Conflict("The service has no enabled node that could be tried. Add one, or enable one.")
	}
	if err := w.tx.Create(&list).Error; err != nil {
		return nil, err
	}
	w.touch("probe", string(id))
	return list, w.Record(Event{Action: ActionServiceProbe, Object: s.Object(), Outcome: OutcomeAccepted, After: map[string]any{"nodes": len(list)}})
}

// wantedProbes are those that wait for their gateway, in order.
func wantedProbes(tx *gorm.DB) *gorm.DB {
	return tx.Model(&Probe{}).Where("answered_at IS NULL AND expires_at > ?", Now()).Order("id")
}

// answered stores the first answer to each; a gateway repeats itself until it
// has seen that nobody asks any more.
func (w *Writer) answered(reports []ProbeReport) error {
	for _, p := range reports {
		var have []Probe
		if err := wantedProbes(w.tx).Find(&have, "id = ?", p.ID).Error; err != nil {
			return err
		}
		if len(have) == 0 {
			continue
		}
		err := w.tx.Model(&Probe{}).Where("id = ? AND answered_at IS NULL", p.ID).Updates(map[string]any{
			"answered_at": Now(), "tried_at": p.At.UTC().Truncate(time.Microsecond), "ok": p.OK, "detail": p.Detail}).Error
		if err != nil {
			return err
		}
		w.touch("probe", string(have[0].ServiceID))
	}
	return nil
}
