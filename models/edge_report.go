package models

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
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
	Drift    []DriftReport
	Released []string
	Services []ServiceReport
	// VPNMapped is where the org's VPN really listens, if elsewhere.
	VPNMapped string
	Peers     []PeerReport
	Probes    []ProbeReport
}

// DriftReport is what was repaired. Sequence grows within the epoch; 0: the
// gateway keeps none.
type DriftReport struct {
	Sequence int64
	Text     string
}

// driftMost bounds what is kept of one report's. Bytes.
const driftMost = 1000

// fresh is the drift that was not told before, in words, and the highest
// sequence of it.
func (g *OrgGateway) fresh(epoch string, list []DriftReport) (words string, sequence int64) {
	if g.DriftEpoch == epoch {
		sequence = g.DriftSequence
	}
	known := sequence
	var texts []string
	for _, d := range list {
		if d.Sequence == 0 || d.Sequence > known {
			texts = append(texts, d.Text)
			sequence = max(sequence, d.Sequence)
		}
	}
	words = strings.Join(texts, "; ")
	if len(words) > driftMost {
		words = strings.ToValidUTF8(words[:driftMost], "")
	}
	return words, sequence
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
		carried := false
		errs = append(errs, e.db.changing(ctx, scopeValue{org: o.Org}, actor, false, func(w *Writer) (err error) {
			carried, err = w.reported(e.id, rep.Epoch, o)
			return err
		}))
		if carried {
			errs = append(errs, e.confirm(ctx, o, rest))
		}
	}
	return errors.Join(append(errs, err)...)
}

// confirm ends the releases that the report proves.
func (e *Edge) confirm(ctx context.Context, o *OrgReport, rest time.Duration) error {
	var waiting int64
	err := e.db.reading(ctx, scopeValue{org: o.Org}, func(r *Reader) error {
		return r.tx.Model(&OrgIP{}).Select("COUNT(*) + (SELECT COUNT(*) FROM network_vlans v WHERE v.org_id = ? AND v.release_generation > 0)", o.Org).
			Where("state = ?", IPReleasing).Scan(&waiting).Error
	})
	if err != nil || waiting == 0 {
		return err
	}
	return e.db.System().quarantine(ctx, o.Org, o.Released, o.Applied, rest)
}

// reported stores an org's part, if the gateway still carries the org: it may
// have been moved to another while the report was under way.
func (w *Writer) reported(edge EdgeID, epoch string, o *OrgReport) (carried bool, err error) {
	var g OrgGateway
	if err := w.tx.Limit(1).Find(&g, "edge_id = ?", edge).Error; err != nil || g.OrgID == "" {
		return false, err
	}
	failed, err := json.Marshal(o.Failed)
	if err != nil {
		return false, err
	}
	now := Now()
	set := map[string]any{"observed": o.Observed, "applied": o.Applied, "error": o.Error, "failed": string(failed), "reported_at": now}
	drift, sequence := g.fresh(epoch, o.Drift)
	if drift != "" {
		set["drift"], set["drift_at"], set["drift_epoch"], set["drift_sequence"] = drift, now, epoch, sequence
		err := w.Record(Event{Action: ActionDrift, Object: Object{Kind: "network", ID: string(o.Org), Name: "network edge"},
			Outcome: OutcomeSucceeded, After: map[string]any{"repaired": drift}})
		if err != nil {
			return false, err
		}
	}
	// A report says nothing of generations: it must not make one. The row's lock
	// makes reports of one org queue.
	stored := w.tx.Model(&OrgGateway{}).Where("edge_id = ?", edge).Updates(set)
	if stored.Error != nil || stored.RowsAffected == 0 {
		return false, stored.Error
	}
	served, err := w.reportedServices(epoch, o.Services, now)
	if err != nil {
		return false, err
	}
	peers, err := w.reportedPeers(o.Peers)
	if err != nil {
		return false, err
	}
	moved := w.tx.Model(&VPNGateway{}).Where("mapped <> ?", o.VPNMapped).Update("mapped", o.VPNMapped)
	if moved.Error != nil {
		return false, moved.Error
	}
	if err := w.answered(o.Probes); err != nil {
		return false, err
	}
	same := g.Observed == o.Observed && g.Applied == o.Applied && g.Error == o.Error && g.Failed == string(failed) && drift == "" &&
		g.ReportedAt != nil && now.Sub(*g.ReportedAt) < GatewaySilence
	if !same || served || peers || moved.RowsAffected > 0 || len(o.Probes) > 0 { // pages need not look again for nothing
		w.touch("gateway", string(o.Org))
	}
	return true, nil
}
