package models

import (
	"time"

	"gorm.io/gorm/clause"
)

// reportRows is what is stored of an org's services, before a report.
type reportRows struct {
	services map[ServiceID]bool
	status   map[ServiceID]ServiceStatus
	counters map[ServiceID]ServiceCounter // of the report's epoch
	nodes    map[NodeID]ServiceID
	health   map[NodeID]NodeStatus
}

// reportedServices stores what is new in a report, and says whether anything
// is. A gateway reports every few seconds, and mostly the same: what is stored
// is read in five statements whatever the number of services, and only what
// differs is written.
func (w *Writer) reportedServices(epoch string, list []ServiceReport, now time.Time) (changed bool, err error) {
	if len(list) == 0 {
		return false, nil
	}
	have, err := w.reportRows(epoch)
	if err != nil {
		return false, err
	}
	for i := range list {
		s := &list[i]
		if !have.services[s.ID] { // deleted since, or not the org's
			continue
		}
		for _, store := range []func() (bool, error){
			func() (bool, error) { return w.putServiceStatus(have, s, now) },
			func() (bool, error) { return w.count(have, epoch, s, now) },
			func() (bool, error) { return w.putNodes(have, s, now) },
		} {
			wrote, err := store()
			if err != nil {
				return changed, err
			}
			changed = changed || wrote
		}
	}
	return changed, nil
}

func (w *Writer) reportRows(epoch string) (reportRows, error) {
	have := reportRows{services: map[ServiceID]bool{}, status: map[ServiceID]ServiceStatus{}, counters: map[ServiceID]ServiceCounter{},
		nodes: map[NodeID]ServiceID{}, health: map[NodeID]NodeStatus{}}
	var services []ServiceID
	if err := w.tx.Model(&InternetService{}).Pluck("id", &services).Error; err != nil {
		return have, err
	}
	var status []ServiceStatus
	if err := w.tx.Find(&status).Error; err != nil {
		return have, err
	}
	var counters []ServiceCounter
	if err := w.tx.Clauses(clause.Locking{Strength: "UPDATE"}).Find(&counters, "epoch = ?", epoch).Error; err != nil {
		return have, err
	}
	var nodes []ServiceNode
	if err := w.tx.Select("id, org_id, service_id").Find(&nodes).Error; err != nil {
		return have, err
	}
	var health []NodeStatus
	if err := w.tx.Find(&health).Error; err != nil {
		return have, err
	}
	for _, id := range services {
		have.services[id] = true
	}
	for _, s := range status {
		have.status[s.ServiceID] = s
	}
	for _, c := range counters {
		have.counters[c.ServiceID] = c
	}
	for _, n := range nodes {
		have.nodes[n.ID] = n.ServiceID
	}
	for _, h := range health {
		have.health[h.NodeID] = h
	}
	return have, nil
}

func (w *Writer) putServiceStatus(have reportRows, s *ServiceReport, now time.Time) (bool, error) {
	old, there := have.status[s.ID]
	if !there {
		row := ServiceStatus{ServiceID: s.ID, Mapped: s.Mapped, OpenNow: s.Open, ReportedAt: now}
		have.status[s.ID] = row
		return true, w.tx.Create(&row).Error
	}
	if old.Mapped == s.Mapped && old.OpenNow == s.Open {
		return false, nil
	}
	return true, w.tx.Model(&ServiceStatus{}).Where("service_id = ?", s.ID).
		Updates(map[string]any{"mapped": s.Mapped, "open_now": s.Open, "reported_at": now}).Error
}

// count keeps the highest of each epoch, whatever the order in which reports
// come: the same one twice, or a late one, changes nothing.
func (w *Writer) count(have reportRows, epoch string, s *ServiceReport, now time.Time) (bool, error) {
	old, there := have.counters[s.ID]
	next := ServiceCounter{ServiceID: s.ID, Epoch: epoch, BytesIn: max(old.BytesIn, s.BytesIn), BytesOut: max(old.BytesOut, s.BytesOut),
		Connections: max(old.Connections, s.Connections), BeganAt: now, ReportedAt: now}
	switch {
	case !there:
		have.counters[s.ID] = next
		return true, w.tx.Create(&next).Error
	case next.BytesIn == old.BytesIn && next.BytesOut == old.BytesOut && next.Connections == old.Connections:
		return false, nil
	}
	return true, w.tx.Model(&ServiceCounter{}).Where("service_id = ? AND epoch = ?", s.ID, epoch).Updates(map[string]any{
		"bytes_in": next.BytesIn, "bytes_out": next.BytesOut, "connections": next.Connections, "reported_at": now}).Error
}

func (w *Writer) putNodes(have reportRows, s *ServiceReport, now time.Time) (changed bool, err error) {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if have.nodes[n.ID] != s.ID {
			continue
		}
		next := NodeStatus{NodeID: n.ID, State: n.State, Since: n.Since.UTC().Truncate(time.Microsecond), Reason: n.Reason, OpenNow: n.Open,
			Connections: n.Connections, BytesIn: n.BytesIn, BytesOut: n.BytesOut, ReportedAt: now}
		old, there := have.health[n.ID]
		if !there {
			have.health[n.ID] = next
			if err := w.tx.Create(&next).Error; err != nil {
				return changed, err
			}
			changed = true
			continue
		}
		same := old.State == next.State && old.Since.Equal(next.Since) && old.Reason == next.Reason && old.OpenNow == next.OpenNow &&
			old.Connections == next.Connections && old.BytesIn == next.BytesIn && old.BytesOut == next.BytesOut
		if same {
			continue
		}
		changed = true
		err := w.tx.Model(&NodeStatus{}).Where("node_id = ?", n.ID).Updates(map[string]any{"state": next.State, "since": next.Since, "reason": next.Reason,
			"open_now": next.OpenNow, "connections": next.Connections, "bytes_in": next.BytesIn, "bytes_out": next.BytesOut, "reported_at": now}).Error
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// reportedPeers stores what is new of the devices.
func (w *Writer) reportedPeers(list []PeerReport) (changed bool, err error) {
	if len(list) == 0 {
		return false, nil
	}
	var rows []VPNPeer
	if err := w.tx.Find(&rows).Error; err != nil {
		return false, err
	}
	have := make(map[PeerID]VPNPeer, len(rows))
	for _, p := range rows {
		have[p.ID] = p
	}
	for _, p := range list {
		old, there := have[p.ID]
		at := p.LastHandshake
		if at == nil { // a gateway that began anew has seen none yet
			at = old.LastHandshake
		} else {
			at = new(at.UTC().Truncate(time.Microsecond))
		}
		if !there || (old.BytesIn == p.BytesIn && old.BytesOut == p.BytesOut && (at == nil || old.LastHandshake != nil && old.LastHandshake.Equal(*at))) {
			continue
		}
		changed = true
		err := w.tx.Model(&VPNPeer{}).Where("id = ?", p.ID).Updates(map[string]any{"last_handshake": at, "bytes_in": p.BytesIn, "bytes_out": p.BytesOut}).Error
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}
