package models

import (
	"context"
	"time"
)

// Observation is what the feed saw of one VM.
type Observation struct {
	InstanceUUID string
	Ref          string
	Power        string // poweredOn, poweredOff, suspended
	Address      string
	Host         string
	ToolsRunning bool
	Gone         bool
}

var observedStates = map[string]MachineState{
	"poweredOn": MachineRunning, "poweredOff": MachineStopped, "suspended": MachineSuspended,
}

// observed is a machine as far as the feed cares.
type observed struct {
	Machine
	Busy bool // has an active Task, which alone may move it, or had until just now
}

// Observe stores what the feed saw of a cloud at the given time. A full batch
// is the whole inventory: a settled machine that is not in it is missing. With
// no active Task, a difference in power becomes a transition by vSphere, but
// not for a machine that moved after asked: whoever moved it knew better.
func (s *System) Observe(ctx context.Context, cloud CloudID, full bool, at, asked time.Time, seen []Observation) error {
	byUUID := make(map[string]Observation, len(seen))
	ids := make([]string, 0, len(seen))
	for _, o := range seen {
		byUUID[o.InstanceUUID] = o
		ids = append(ids, o.InstanceUUID)
	}
	var rows []observed
	err := s.reading(ctx, func(r *Reader) error {
		q := r.tx.Model(&Machine{}).Select(`machines.*, tasks.id IS NOT NULL AS busy`).
			Joins("LEFT JOIN tasks ON tasks.machine_id = machines.id AND tasks.state IN ('queued', 'running', 'cancelling')").
			Where("cloud_id = ? AND machines.state <> 'deleted'", cloud)
		if !full {
			q = q.Where("machines.id IN ?", ids)
		}
		return q.Order("machines.id").Find(&rows).Error // in one order, so that two writers never wait for each other
	})
	if err != nil {
		return err
	}
	var batch []observed
	for _, m := range rows {
		m.Busy = m.Busy || m.UpdatedAt.After(asked)
		o, there := byUUID[m.ID.InstanceUUID()]
		if !there {
			if !full || m.Busy || m.UpdatedAt.After(at) {
				continue
			}
			o = Observation{Gone: true}
		}
		if m.differs(o) {
			batch = append(batch, m)
		}
	}
	const perTransaction = 200 // keeps the writer free for people's changes
	for start := 0; start < len(batch); start += perTransaction {
		part := batch[start:min(start+perTransaction, len(batch))]
		err := s.db.changing(ctx, scopeValue{all: true}, VSphereActor, false, func(w *Writer) error {
			for _, m := range part {
				o, there := byUUID[m.ID.InstanceUUID()]
				o.Gone = o.Gone || !there
				if err := w.observe(m, o); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *observed) wanted(o Observation) MachineState {
	switch m.State {
	case MachineRunning, MachineStopped, MachineSuspended, MachineMissing:
	default:
		return m.State
	}
	if m.Busy {
		return m.State
	}
	if o.Gone {
		return MachineMissing
	}
	if to, ok := observedStates[o.Power]; ok {
		return to
	}
	return m.State
}

func (m *observed) differs(o Observation) bool {
	if m.wanted(o) != m.State {
		return true
	}
	return !o.Gone && (m.ObservedPower != o.Power || m.ObservedAddress != o.Address || m.Host != o.Host ||
		m.ToolsRunning != o.ToolsRunning || m.VMRef != o.Ref)
}

func (w *Writer) observe(m observed, o Observation) error {
	values := map[string]any{"observed_at": Now()}
	if o.Gone {
		values["observed_power"], values["observed_address"], values["tools_running"] = "", "", false
	} else {
		values["observed_power"], values["observed_address"], values["host"] = o.Power, o.Address, o.Host
		values["tools_running"], values["vm_ref"] = o.ToolsRunning, o.Ref
	}
	w.touchOf(m.OrgID, "machine", string(m.ID))
	err := w.tx.Model(&Machine{}).Where("id = ?", m.ID).Updates(values).Error
	to := m.wanted(o)
	if err != nil || to == m.State {
		return err
	}
	// Only where neither a Task nor another state came in between.
	done := w.tx.Model(&Machine{}).Where(`id = ? AND state = ? AND NOT EXISTS (SELECT 1 FROM tasks
		WHERE tasks.machine_id = machines.id AND tasks.state IN ('queued', 'running', 'cancelling'))`, m.ID, m.State).
		Updates(map[string]any{"state": to, "updated_at": Now()})
	if done.Error != nil || done.RowsAffected == 0 {
		return done.Error
	}
	return w.recordFor(m.OrgID, Event{
		Action: ActionMachineState, Object: m.Object(), Outcome: OutcomeSucceeded,
		Before: map[string]any{"state": m.State}, After: map[string]any{"state": to},
	})
}
