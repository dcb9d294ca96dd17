package models

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// OrgGateway is an org's place on a gateway: what it should carry, by
// generation, and how far it has come.
type OrgGateway struct {
	OrgID      OrgID   `gorm:"primaryKey"`
	EdgeID     *EdgeID // nil: no gateway yet
	Key        string  // [a-z0-9]{1,8}: names the org's namespace and interfaces, never reused
	Generation int64   // grows with every change
	Observed   int64   // last seen by the gateway
	Applied    int64   // verified to run there
	Error      string  // why Applied is behind
	Failed     string  // JSON of []Blame
	Drift      string  // what was repaired last
	DriftAt    *time.Time
	// DriftEpoch and DriftSequence are the last of it that was told.
	DriftEpoch    string
	DriftSequence int64
	ReportedAt    *time.Time
	OutboundIPID  *IPID `gorm:"column:outbound_ip_id"`
	OutboundOff   bool  // turned off: no address is given for it by itself
	NextMark      int   // of the next service
	CreatedAt     time.Time
}

// Blame is an object that could not be applied, and why.
type Blame struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// Blames lists what the gateway left out.
func (g *OrgGateway) Blames() []Blame {
	var list []Blame
	_ = json.Unmarshal([]byte(g.Failed), &list)
	return list
}

// BlameOf is why an object was left out; "" if it wasn't.
func (g *OrgGateway) BlameOf(id string) string {
	for _, b := range g.Blames() {
		if b.ID == id {
			return b.Text
		}
	}
	return ""
}

// GatewaySilence is after how long without a report nothing is known any more.
// A gateway reports every few seconds.
const GatewaySilence = 45 * time.Second

// Rollout is how far a change has come. It is derived, never a lock: anything
// may be edited in any of these.
type Rollout string

const (
	RolloutPending  Rollout = "pending"  // the gateway has not seen it yet
	RolloutApplying Rollout = "applying" // seen, not verified yet
	RolloutActive   Rollout = "active"   // verified to run
	RolloutFailed   Rollout = "failed"   // refused by the gateway; the last good one serves
	RolloutDrifted  Rollout = "drifted"  // other hands changed it; being repaired
	RolloutUnknown  Rollout = "unknown"  // no gateway, or one that is silent
)

// Rollout says how far a change of the given generation has come, for an
// object (id) or for the org's network as a whole ("").
func (g *OrgGateway) Rollout(id string, generation int64, now time.Time) Rollout {
	switch {
	case g.EdgeID == nil || g.ReportedAt == nil || now.Sub(*g.ReportedAt) > GatewaySilence:
		return RolloutUnknown
	case g.Observed < generation:
		return RolloutPending
	case id != "" && g.BlameOf(id) != "":
		return RolloutFailed
	case g.Applied < generation && g.Error != "":
		return RolloutFailed
	case g.Applied < generation:
		return RolloutApplying
	case g.DriftAt != nil && now.Sub(*g.DriftAt) < driftShown:
		return RolloutDrifted
	}
	return RolloutActive
}

// driftShown is how long a repaired drift is told beside the state.
const driftShown = 30 * time.Second

// firstGeneration is an org's before anything was changed.
const firstGeneration = 1

// networkChanged raises the org's generation: whatever changes what a gateway
// has to carry calls it first, in the same transaction. The row's lock makes
// changes of one org's network queue.
func (w *Writer) networkChanged(org OrgID) (OrgGateway, error) {
	if org == "" {
		org = w.scope.org
	}
	if org == "" {
		return OrgGateway{}, ErrNoScope
	}
	var g OrgGateway
	done := w.tx.Model(&g).Clauses(clause.Returning{}).Where("org_id = ?", org).Update("generation", exprAdd("generation", 1))
	if done.Error != nil {
		return g, done.Error
	}
	w.touchOf(org, "network", string(org))
	if done.RowsAffected == 1 {
		return g, nil
	}
	g = OrgGateway{OrgID: org, Key: gatewayKey(), Generation: firstGeneration, NextMark: 1, CreatedAt: Now()}
	return g, w.tx.Create(&g).Error
}

// gatewayKey is eight characters that no other org has or had. Eight of 32
// letters: a clash is refused by the database and tried again by the user.
func gatewayKey() string { return strings.ToLower(rand.Text()[:8]) }

// Gateway is the org's. Before anything was changed there is a blank one.
func (r *Reader) Gateway() (OrgGateway, error) {
	var g OrgGateway
	err := r.tx.Limit(1).Find(&g, "org_id = ?", r.scope.org).Error
	return g, err
}

// EnsureGateways gives every org a place on a gateway that serves its clouds,
// where there is one.
func (s *System) EnsureGateways(ctx context.Context) error {
	var orgs []orgRow
	var have []OrgGateway
	err := s.reading(ctx, func(r *Reader) error {
		if err := r.tx.Order("name").Find(&orgs).Error; err != nil {
			return err
		}
		return r.tx.Find(&have).Error
	})
	if err != nil {
		return err
	}
	placed := map[OrgID]bool{}
	known := map[OrgID]bool{}
	for _, g := range have {
		known[g.OrgID] = true
		placed[g.OrgID] = g.EdgeID != nil
	}
	for _, row := range orgs {
		org := OrgID(row.ID)
		if placed[org] {
			continue
		}
		err := s.changing(ctx, func(w *Writer) error {
			edge, err := w.edgeFor(org)
			if err != nil || (edge == "" && known[org]) {
				return err
			}
			if _, err := w.networkChanged(org); err != nil || edge == "" {
				return err
			}
			return w.tx.Model(&OrgGateway{}).Where("org_id = ? AND edge_id IS NULL", org).Update("edge_id", edge).Error
		})
		if err != nil && !errors.Is(err, gorm.ErrDuplicatedKey) { // another node made it at this moment
			return err
		}
	}
	return nil
}

// edgeFor is the gateway for a new org: a live one before one that is silent,
// of these one that serves most of the org's clouds, among equals the one with
// the fewest orgs. One without named clouds serves all. An org that has its
// place stays there, whatever is registered later: two gateways with one
// address would answer for it in turns.
func (r *Reader) edgeFor(org OrgID) (EdgeID, error) {
	var edges []Edges
	if err := r.tx.Where("disabled_at IS NULL").Order("created_at").Find(&edges).Error; err != nil {
		return "", err
	}
	var clouds []CloudID
	if err := r.tx.Model(&Network{}).Where("org_id = ?", org).Distinct().Pluck("cloud_id", &clouds).Error; err != nil {
		return "", err
	}
	best, bestLive, bestClouds, bestOrgs := EdgeID(""), false, -1, int64(0)
	for _, e := range edges {
		var serves []edgeCloud
		if err := r.tx.Where("edge_id = ?", e.ID).Find(&serves).Error; err != nil {
			return "", err
		}
		n := 0
		for _, c := range clouds {
			for _, sv := range serves {
				if sv.CloudID == c {
					n++
				}
			}
		}
		if len(serves) == 0 {
			n = len(clouds)
		} else if n == 0 && len(clouds) > 0 {
			continue
		}
		var orgs int64
		if err := r.tx.Model(&OrgGateway{}).Where("edge_id = ?", e.ID).Count(&orgs).Error; err != nil {
			return "", err
		}
		live := e.SeenAt != nil && Now().Sub(*e.SeenAt) < GatewaySilence
		better := n > bestClouds || (n == bestClouds && orgs < bestOrgs)
		if best == "" || (live && !bestLive) || (live == bestLive && better) {
			best, bestLive, bestClouds, bestOrgs = e.ID, live, n, orgs
		}
	}
	return best, nil
}
