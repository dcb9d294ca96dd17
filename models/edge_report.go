package models

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// EdgeReport is what a gateway says of itself and of the orgs that it carries.
type EdgeReport struct {
	Agent    string
	Epoch    string
	Problem  string
	Features []EdgeFeature
	Orgs     []OrgReport
}

// OrgReport is one org's part.
type OrgReport struct {
	Org      OrgID
	Observed int64
	Applied  int64
	Error    string
	Failed   []Blame
	Drift    string // "" none since the last report
	Released []string
	Services []ServiceReport
	// VPNMapped is where the org's VPN really listens, if elsewhere.
	VPNMapped string
	Peers     []PeerReport
	Probes    []ProbeReport
}

// ServiceReport is a service's live figures, cumulative within the epoch.
type ServiceReport struct {
	ID          ServiceID
	Mapped      string
	BytesIn     int64
	BytesOut    int64
	Connections int64
	Open        int
	Nodes       []NodeReport
}

// NodeReport is a node's.
type NodeReport struct {
	ID          NodeID
	State       string
	Since       time.Time
	Reason      string
	Open        int
	Connections int64
	BytesIn     int64
	BytesOut    int64
}

// PeerReport is a device's.
type PeerReport struct {
	ID            PeerID
	LastHandshake *time.Time
	BytesIn       int64
	BytesOut      int64
}

// NodeStatus is what the gateway last said of a node.
type NodeStatus struct {
	NodeID      NodeID `gorm:"primaryKey"`
	OrgID       OrgID
	State       string
	Since       time.Time
	Reason      string
	OpenNow     int
	Connections int64
	BytesIn     int64
	BytesOut    int64
	ReportedAt  time.Time
}

// TableName spells the singular that gorm would make a plural of.
func (NodeStatus) TableName() string { return "node_status" }

// ServiceStatus is what the gateway last said of a service.
type ServiceStatus struct {
	ServiceID  ServiceID `gorm:"primaryKey"`
	OrgID      OrgID
	Mapped     string
	OpenNow    int
	ReportedAt time.Time
}

// TableName spells the singular that gorm would make a plural of.
func (ServiceStatus) TableName() string { return "service_status" }

// ServiceCounter is the most that was reported of a service in one epoch.
type ServiceCounter struct {
	ServiceID   ServiceID `gorm:"primaryKey"`
	Epoch       string    `gorm:"primaryKey"`
	OrgID       OrgID
	BytesIn     int64
	BytesOut    int64
	Connections int64
	BeganAt     time.Time
	ReportedAt  time.Time
}

// Report stores what the gateway says. Orgs that it does not carry, and
// objects that are not the org's, are passed over: a report may be older than
// the last change. rest is how long a released address is quarantined.
func (e *Edge) Report(ctx context.Context, rep EdgeReport, rest time.Duration) error {
	features, err := json.Marshal(rep.Features)
	if err != nil {
		return err
	}
	known := map[OrgID]bool{}
	err = e.db.changing(ctx, scopeValue{all: true}, SystemActor, false, func(w *Writer) error {
		var orgs []OrgID
		if err := w.tx.Model(&OrgGateway{}).Where("edge_id = ?", e.id).Pluck("org_id", &orgs).Error; err != nil {
			return err
		}
		for _, o := range orgs {
			known[o] = true
		}
		w.touchOf(ProviderOrg, "edge", string(e.id))
		return w.tx.Model(&Edges{}).Where("id = ?", e.id).Updates(map[string]any{
			"seen_at": Now(), "agent": rep.Agent, "epoch": rep.Epoch, "problem": rep.Problem, "features": string(features)}).Error
	})
	var errs []error
	for i := range rep.Orgs {
		o := &rep.Orgs[i]
		if err != nil {
			return err
		}
		if !known[o.Org] {
			continue
		}
		// One org's trouble is not the others'.
		actor := Actor{Kind: ActorSystem, ID: string(e.id), Name: "gateway " + e.name}
		errs = append(errs, e.db.changing(ctx, scopeValue{org: o.Org}, actor, false, func(w *Writer) error {
			return w.reported(e.id, rep.Epoch, o)
		}))
		errs = append(errs, e.confirm(ctx, o, rest))
	}
	return errors.Join(append(errs, err)...)
}

// confirm ends the releases that the report proves.
func (e *Edge) confirm(ctx context.Context, o *OrgReport, rest time.Duration) error {
	var waiting int64
	err := e.db.reading(ctx, scopeValue{org: o.Org}, func(r *Reader) error {
		return r.tx.Model(&OrgIP{}).Where("state = ?", IPReleasing).Count(&waiting).Error
	})
	if err != nil || waiting == 0 {
		return err
	}
	return e.db.System().quarantine(ctx, o.Org, o.Released, o.Applied, rest)
}

func (w *Writer) reported(edge EdgeID, epoch string, o *OrgReport) error {
	var g OrgGateway
	if err := w.tx.Take(&g, "edge_id = ?", edge).Error; err != nil {
		return absent(err, "gateway")
	}
	failed, err := json.Marshal(o.Failed)
	if err != nil {
		return err
	}
	now := Now()
	set := map[string]any{"observed": o.Observed, "applied": o.Applied, "error": o.Error, "failed": string(failed), "reported_at": now}
	if o.Drift != "" {
		set["drift"], set["drift_at"] = o.Drift, now
		err := w.Record(Event{Action: ActionDrift, Object: Object{Kind: "network", ID: string(o.Org), Name: "network edge"},
			Outcome: OutcomeSucceeded, After: map[string]any{"repaired": o.Drift}})
		if err != nil {
			return err
		}
	}
	// A report says nothing of generations: it must not make one.
	if err := w.tx.Model(&OrgGateway{}).Where("edge_id = ?", edge).Updates(set).Error; err != nil {
		return err
	}
	w.touch("gateway", string(o.Org))
	for i := range o.Services {
		if err := w.reportedService(epoch, &o.Services[i], now); err != nil {
			return err
		}
	}
	if err := w.tx.Model(&VPNGateway{}).Where("mapped <> ?", o.VPNMapped).Update("mapped", o.VPNMapped).Error; err != nil {
		return err
	}
	for _, p := range o.Peers {
		err := w.tx.Model(&VPNPeer{}).Where("id = ? AND (last_handshake IS NULL OR bytes_in <> ? OR bytes_out <> ?)", p.ID, p.BytesIn, p.BytesOut).
			Updates(map[string]any{"last_handshake": p.LastHandshake, "bytes_in": p.BytesIn, "bytes_out": p.BytesOut}).Error
		if err != nil {
			return err
		}
	}
	return w.answered(o.Probes)
}

func (w *Writer) reportedService(epoch string, s *ServiceReport, now time.Time) error {
	var nodes []ServiceNode
	if err := w.tx.Find(&nodes, "service_id = ?", s.ID).Error; err != nil {
		return err
	}
	var have int64
	if err := w.tx.Model(&InternetService{}).Where("id = ?", s.ID).Count(&have).Error; err != nil || have == 0 {
		return err // deleted since
	}
	err := w.put(&ServiceStatus{}, "service_id = ?", s.ID, map[string]any{"mapped": s.Mapped, "open_now": s.Open, "reported_at": now},
		&ServiceStatus{ServiceID: s.ID, Mapped: s.Mapped, OpenNow: s.Open, ReportedAt: now})
	if err != nil {
		return err
	}
	if err := w.count(epoch, s, now); err != nil {
		return err
	}
	mine := map[NodeID]bool{}
	for _, n := range nodes {
		mine[n.ID] = true
	}
	for _, n := range s.Nodes {
		if !mine[n.ID] {
			continue
		}
		since := n.Since.UTC().Truncate(time.Microsecond)
		set := map[string]any{"state": n.State, "since": since, "reason": n.Reason, "open_now": n.Open, "connections": n.Connections,
			"bytes_in": n.BytesIn, "bytes_out": n.BytesOut, "reported_at": now}
		err := w.put(&NodeStatus{}, "node_id = ?", n.ID, set, &NodeStatus{NodeID: n.ID, State: n.State, Since: since, Reason: n.Reason,
			OpenNow: n.Open, Connections: n.Connections, BytesIn: n.BytesIn, BytesOut: n.BytesOut, ReportedAt: now})
		if err != nil {
			return err
		}
	}
	return nil
}

// put updates a row, or makes it.
func (w *Writer) put(model any, where string, id any, set map[string]any, fresh any) error {
	done := w.tx.Model(model).Where(where, id).Updates(set)
	if done.Error != nil || done.RowsAffected > 0 {
		return done.Error
	}
	return w.tx.Create(fresh).Error
}

// count keeps the highest of each epoch, whatever the order in which reports
// come: the same one twice, or a late one, changes nothing.
func (w *Writer) count(epoch string, s *ServiceReport, now time.Time) error {
	var c ServiceCounter
	err := w.tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&c, "service_id = ? AND epoch = ?", s.ID, epoch).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return w.tx.Create(&ServiceCounter{ServiceID: s.ID, Epoch: epoch, BytesIn: max(s.BytesIn, 0), BytesOut: max(s.BytesOut, 0),
			Connections: max(s.Connections, 0), BeganAt: now, ReportedAt: now}).Error
	}
	if err != nil {
		return err
	}
	return w.tx.Model(&ServiceCounter{}).Where("service_id = ? AND epoch = ?", s.ID, epoch).Updates(map[string]any{
		"bytes_in": max(c.BytesIn, s.BytesIn), "bytes_out": max(c.BytesOut, s.BytesOut),
		"connections": max(c.Connections, s.Connections), "reported_at": now}).Error
}
