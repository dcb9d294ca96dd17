package models

import (
	"context"
	"time"
)

// ActiveTasks lists the Tasks of every org that have not ended, oldest first:
// each must have a job behind it.
func (s *System) ActiveTasks(ctx context.Context) ([]Task, error) {
	var rows []Task
	err := s.reading(ctx, func(r *Reader) error {
		return r.tx.Where("state IN ?", ActiveTaskStates).Order("id").Find(&rows).Error
	})
	return rows, err
}

// Leftovers returns those of the machines that have no business in vCenter any
// more: deleted, or failed and undone. A clone whose answer was lost can bring
// one up after its Task has ended.
func (s *System) Leftovers(ctx context.Context, cloud CloudID, ids []MachineID) ([]Machine, error) {
	const atOnce = 500 // bound parameters of one statement
	var found []Machine
	err := s.reading(ctx, func(r *Reader) error {
		for start := 0; start < len(ids); start += atOnce {
			var rows []Machine
			err := r.tx.Where("cloud_id = ? AND id IN ?", cloud, ids[start:min(start+atOnce, len(ids))]).
				Where("(state = ? OR (state = ? AND reserved = ?))", MachineDeleted, MachineFailed, false).
				Find(&rows).Error
			if err != nil {
				return err
			}
			found = append(found, rows...)
		}
		return nil
	})
	return found, err
}

// TaskState returns a Task's state and nothing else: what a worker asks while
// it waits.
func (r *Reader) TaskState(id TaskID) (TaskState, error) {
	var t Task
	err := r.tx.Select("state").Take(&t, "id = ?", id).Error
	return t.State, absent(err, "task")
}

// TakenNames returns those of the names that another machine of the org has.
func (r *Reader) TakenNames(names []string) ([]string, error) {
	var taken []string
	err := r.tx.Model(&Machine{}).Where("name IN ? AND state <> ?", names, MachineDeleted).
		Order("name").Pluck("name", &taken).Error
	return taken, err
}

// OrgRecord returns the org that this transaction is confined to.
func (r *Reader) OrgRecord() (Org, error) {
	var row orgRow
	err := r.tx.Take(&row, "id = ?", string(r.scope.org)).Error
	return row.org(), absent(err, "organisation")
}

// RecentlyMoved returns those of the cloud's machines whose state was changed
// after the given time, and which no Task holds. ids narrows it; nil doesn't.
func (s *System) RecentlyMoved(ctx context.Context, cloud CloudID, ids []MachineID, after time.Time) (map[MachineID]bool, error) {
	const atOnce = 500 // more than these are found quicker by looking at all
	observable := []MachineState{MachineRunning, MachineStopped, MachineSuspended, MachineMissing}
	var found []MachineID
	err := s.reading(ctx, func(r *Reader) error {
		q := r.tx.Model(&Machine{}).Where("cloud_id = ? AND updated_at > ? AND state IN ?", cloud, after, observable).
			Where(`NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.machine_id = machines.id AND tasks.state IN ?)`, ActiveTaskStates)
		if ids != nil && len(ids) <= atOnce {
			q = q.Where("id IN ?", ids)
		}
		return q.Pluck("id", &found).Error
	})
	moved := make(map[MachineID]bool, len(found))
	for _, id := range found {
		moved[id] = true
	}
	return moved, err
}
