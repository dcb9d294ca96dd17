package models

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
)

// MoveOrgs gives every org of a gateway to another: for one that is gone, and
// doesn't come back soon. Addresses belong to no gateway: the orgs keep theirs,
// and the other one answers for them. The old one gets these orgs no more, and
// drops them when it can ask again; until then it may go on answering, so that
// the operator has to say that it is off.
func (p *Provider) MoveOrgs(ctx context.Context, from, to EdgeID, off bool) (moved int, target Edges, err error) {
	err = p.changeEdge(ctx, func(w *Writer) error {
		var old Edges
		if err := absent(w.tx.Take(&old, "id = ?", from).Error, "gateway"); err != nil {
			return err
		}
		var gateways []OrgGateway
		if err := w.tx.Order("org_id").Find(&gateways, "edge_id = ?", from).Error; err != nil {
			return err
		}
		if len(gateways) == 0 {
			return Conflict(old.Name + " carries no org: there is nothing to move.")
		}
		wrong := map[string]string{}
		if !off {
			wrong["off"] = "Confirm it: two gateways that answer for the same addresses take each other's traffic in turns."
		}
		if err := w.tx.Limit(1).Find(&target, "id = ?", to).Error; err != nil {
			return err
		}
		names, err := w.orgNames(gateways)
		if err != nil {
			return err
		}
		reason, err := w.cantServe(from, &target, gateways, names)
		if err != nil {
			return err
		}
		if reason != "" {
			wrong["to"] = reason
		}
		if len(wrong) > 0 {
			return Invalid(wrong)
		}
		for _, g := range gateways {
			if _, err := w.networkChanged(g.OrgID); err != nil {
				return err
			}
			// What the old one said of the org is nobody's word any more.
			done := w.tx.Model(&OrgGateway{}).Where("org_id = ? AND edge_id = ?", g.OrgID, from).Updates(map[string]any{
				"edge_id": to, "observed": 0, "applied": 0, "error": "", "failed": "", "drift": "", "drift_at": nil, "reported_at": nil})
			if done.Error != nil {
				return done.Error
			}
			if done.RowsAffected == 0 {
				return Conflict("Somebody moves these orgs just now. Look again.")
			}
			w.touchOf(g.OrgID, "gateway", string(g.OrgID))
			err := w.recordFor(g.OrgID, Event{Action: ActionEdgeMove, Object: Object{Kind: "network", ID: string(g.OrgID), Name: "network edge"},
				Outcome: OutcomeSucceeded, Before: map[string]any{"gateway": old.Name}, After: map[string]any{"gateway": target.Name}})
			if err != nil {
				return err
			}
		}
		moved = len(gateways)
		w.touchOf(ProviderOrg, "edge", string(from))
		w.touchOf(ProviderOrg, "edge", string(to))
		return w.recordFor(ProviderOrg, Event{Action: ActionEdgeMove, Object: old.Object(), Outcome: OutcomeSucceeded,
			After: map[string]any{"to": target.Name, "orgs": moved}})
	})
	return moved, target, err
}

// orgNames are the orgs' by id.
func (r *Reader) orgNames(gateways []OrgGateway) (map[OrgID]string, error) {
	ids := make([]string, len(gateways))
	for i, g := range gateways {
		ids[i] = string(g.OrgID)
	}
	var rows []orgRow
	err := r.tx.Find(&rows, "id IN ?", ids).Error
	names := map[OrgID]string{}
	for _, o := range rows {
		names[OrgID(o.ID)] = o.Name
	}
	return names, err
}

// cantServe says why a gateway can't take the orgs over; "" if it can.
func (r *Reader) cantServe(from EdgeID, target *Edges, gateways []OrgGateway, names map[OrgID]string) (string, error) {
	switch {
	case target.ID == "" || target.ID == from:
		return "Choose another gateway from the list.", nil
	case target.DisabledAt != nil:
		return target.Name + " is disabled. Enable it first.", nil
	case target.SeenAt == nil || Now().Sub(*target.SeenAt) > GatewaySilence:
		return target.Name + " is silent: the orgs would be carried by nobody. Start it first.", nil
	}
	ids := make([]OrgID, len(gateways))
	for i, g := range gateways {
		ids[i] = g.OrgID
	}
	var serves []CloudID
	if err := r.tx.Model(&edgeCloud{}).Where("edge_id = ?", target.ID).Pluck("cloud_id", &serves).Error; err != nil {
		return "", err
	}
	if len(serves) > 0 {
		var lacks []struct {
			OrgID OrgID
			Cloud string
		}
		err := r.tx.Model(&Network{}).Select("DISTINCT networks.org_id, clouds.name AS cloud").Joins("JOIN clouds ON clouds.id = networks.cloud_id").
			Where("networks.org_id IN ? AND networks.cloud_id NOT IN ?", ids, serves).Order("networks.org_id, clouds.name").Find(&lacks).Error
		if err != nil {
			return "", err
		}
		if len(lacks) > 0 {
			return fmt.Sprintf("%s has no leg in %s, where %s has networks.", target.Name, lacks[0].Cloud, names[lacks[0].OrgID]), nil
		}
	}
	// The lab's answers for loopback addresses and no others, a host for all but
	// those.
	var ips []OrgIP
	if err := r.tx.Order("org_id, address").Find(&ips, "org_id IN ? AND state IN ?", ids, []IPState{IPAssigned, IPReleasing}).Error; err != nil {
		return "", err
	}
	odd := slices.IndexFunc(ips, func(p OrgIP) bool {
		a, err := netip.ParseAddr(p.Address)
		return err == nil && a.IsLoopback() != target.Local
	})
	if odd >= 0 {
		return fmt.Sprintf("%s can't answer for %s, a public IP of %s.", target.Name, ips[odd].Address, names[ips[odd].OrgID]), nil
	}
	return "", nil
}
