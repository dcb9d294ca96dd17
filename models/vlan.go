package models

import (
	"context"
	"slices"
)

// networkVLAN is one VLAN that networks of a cloud may have. Its org is a plain
// string: a free one is nobody's, and anybody may take it.
type networkVLAN struct {
	CloudID CloudID `gorm:"primaryKey"`
	VLAN    int     `gorm:"primaryKey;column:vlan"`
	OrgID   *string
	// ReleaseGeneration is the one that is without the network which had it: the
	// gateway's link is there until it has applied that. 0: in use, or free.
	ReleaseGeneration int64
}

func (networkVLAN) TableName() string { return "network_vlans" }

// returnVLAN gives a deleted network's VLAN back: at once where no gateway
// carries the org, else when that has confirmed.
func (w *Writer) returnVLAN(g OrgGateway, cloud CloudID, vlan int) error {
	set := map[string]any{"release_generation": g.Generation}
	if g.EdgeID == nil {
		set = map[string]any{"org_id": nil}
	}
	return w.tx.Model(&networkVLAN{}).Where("cloud_id = ? AND vlan = ? AND org_id = ?", cloud, vlan, g.OrgID).Updates(set).Error
}

// freeVLANs ends the releases that an applied generation proves.
func (w *Writer) freeVLANs(org OrgID, applied int64) error {
	return w.tx.Model(&networkVLAN{}).Where("org_id = ? AND release_generation > 0 AND release_generation <= ?", org, applied).
		Updates(map[string]any{"org_id": nil, "release_generation": 0}).Error
}

// vlanLatch is between those who remove ranges and those who make their VLANs.
const vlanLatch = "vlans"

// SyncVLANs makes a row for every VLAN of the clouds' ranges, and removes free
// ones that are in no range any more.
func (s *System) SyncVLANs(ctx context.Context) error {
	type key struct {
		cloud CloudID
		vlan  int
	}
	settled, err := s.vlansSettled(ctx)
	if err != nil || settled {
		return err
	}
	return s.changing(ctx, func(w *Writer) error {
		// Who removes a range waits, lest its VLANs are made anew behind it.
		if err := w.latch(vlanLatch, false); err != nil {
			return err
		}
		var ranges []VLANRange
		if err := w.tx.Find(&ranges).Error; err != nil {
			return err
		}
		wanted := map[key]bool{}
		for _, r := range ranges {
			for v := r.FirstVLAN; v <= r.LastVLAN; v++ {
				wanted[key{r.CloudID, v}] = true
			}
		}
		var have []networkVLAN
		if err := w.tx.Find(&have).Error; err != nil {
			return err
		}
		var gone []networkVLAN
		for _, row := range have {
			k := key{row.CloudID, row.VLAN}
			if !wanted[k] && row.OrgID == nil {
				gone = append(gone, row)
			}
			delete(wanted, k)
		}
		// Networks of the configuration may have one of their own choice.
		var used []Network
		if err := w.tx.Select("id, org_id, cloud_id, vlan").Where("vlan > 0").Find(&used).Error; err != nil {
			return err
		}
		var fresh []networkVLAN
		for k := range wanted {
			row := networkVLAN{CloudID: k.cloud, VLAN: k.vlan}
			for _, n := range used {
				if n.CloudID == k.cloud && n.VLAN == k.vlan {
					row.OrgID = new(string(n.OrgID))
				}
			}
			fresh = append(fresh, row)
		}
		slices.SortFunc(fresh, func(a, b networkVLAN) int { return a.VLAN - b.VLAN })
		if len(fresh) > 0 {
			if err := w.tx.CreateInBatches(&fresh, 500).Error; err != nil {
				return err
			}
		}
		for _, row := range gone {
			err := w.tx.Where("cloud_id = ? AND vlan = ? AND org_id IS NULL", row.CloudID, row.VLAN).Delete(&networkVLAN{}).Error
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// vlansSettled says whether every range has its rows and no free row is outside
// of all, by counting: this is asked every few seconds, and the answer is yes.
func (s *System) vlansSettled(ctx context.Context) (settled bool, err error) {
	err = s.reading(ctx, func(r *Reader) error {
		var ranges []struct {
			FirstVLAN int `gorm:"column:first_vlan"`
			LastVLAN  int `gorm:"column:last_vlan"`
			Present   int
			Free      int
		}
		err := r.tx.Model(&VLANRange{}).Select(`vlan_ranges.first_vlan, vlan_ranges.last_vlan, COUNT(v.vlan) AS present,
			SUM(CASE WHEN v.vlan IS NOT NULL AND v.org_id IS NULL THEN 1 ELSE 0 END) AS free`).
			Joins("LEFT JOIN network_vlans v ON v.cloud_id = vlan_ranges.cloud_id AND v.vlan BETWEEN vlan_ranges.first_vlan AND vlan_ranges.last_vlan").
			Group("vlan_ranges.id, vlan_ranges.first_vlan, vlan_ranges.last_vlan").Find(&ranges).Error
		if err != nil {
			return err
		}
		var free int64
		if err := r.tx.Model(&networkVLAN{}).Where("org_id IS NULL").Count(&free).Error; err != nil {
			return err
		}
		settled = true
		for _, v := range ranges {
			settled = settled && v.Present == v.LastVLAN-v.FirstVLAN+1
			free -= int64(v.Free)
		}
		settled = settled && free == 0
		return nil
	})
	return settled, err
}
