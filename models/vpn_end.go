package models

import (
	"errors"

	"gorm.io/gorm/clause"
)

// DeleteVPN takes the org's end away: every device is shut out, and its public
// IP and port are free again. Another one has another key, so that nothing of
// the old devices' is worth keeping but the history.
func (w *Writer) DeleteVPN() error {
	if _, err := w.networkChanged(w.scope.org); err != nil {
		return err
	}
	v, err := w.VPN()
	if errors.Is(err, ErrNotFound) {
		return Conflict("The VPN is off already.")
	}
	if err != nil {
		return err
	}
	peers, err := w.Peers("")
	if err != nil {
		return err
	}
	for i := range peers {
		if err := w.shutOut(&peers[i]); err != nil {
			return err
		}
	}
	for _, err := range []error{
		w.tx.Where("vpn_id = ?", v.ID).Delete(&VPNPeer{}).Error,
		w.tx.Where("vpn_id = ?", v.ID).Delete(&PublicEndpoint{}).Error,
		w.tx.Where("id = ?", v.ID).Delete(&VPNGateway{}).Error,
	} {
		if err != nil {
			return err
		}
	}
	return w.Record(Event{Action: ActionVPNDelete, Object: Object{Kind: "vpn", ID: string(v.ID), Name: "VPN"}, Outcome: OutcomeSucceeded,
		Before: map[string]any{"public_ip": v.PublicAddress, "port": v.Port, "cidr": v.CIDR, "devices": len(peers)}})
}

// endDevicesOf shuts out the devices of somebody who may not have any more.
func (w *Writer) endDevicesOf(org OrgID, user UserID) error {
	// In turns with a device that is being let in just now. An org without the
	// row has no VPN.
	var g OrgGateway
	if err := w.tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Limit(1).Find(&g, "org_id = ?", org).Error; err != nil {
		return err
	}
	var peers []PeerRow
	err := w.peerRows().Where("vpn_peers.org_id = ? AND vpn_peers.user_id = ? AND vpn_peers.revoked_at IS NULL", org, user).
		Order("vpn_peers.device").Find(&peers).Error
	if err != nil || len(peers) == 0 {
		return err
	}
	if _, err := w.networkChanged(org); err != nil {
		return err
	}
	for i := range peers {
		if err := w.shutOut(&peers[i]); err != nil {
			return err
		}
	}
	return nil
}

// Lacks lists those of the networks that were made after the device was let
// in: its configuration, which only the device has, doesn't lead there.
func (p *PeerRow) Lacks(networks []NetworkRow) []NetworkRow {
	var newer []NetworkRow
	for _, n := range networks {
		if n.CreatedAt.After(p.CreatedAt) {
			newer = append(newer, n)
		}
	}
	return newer
}
