package models

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// AuditSegment is a signed file that has the texts of a part of an org's
// history. The links of that part stay in the database, and prove it still.
type AuditSegment struct {
	OrgID         OrgID     `gorm:"primaryKey" json:"org"`
	FirstSequence int64     `json:"first"`
	LastSequence  int64     `gorm:"primaryKey;autoIncrement:false" json:"last"`
	Hash          string    `json:"hash"` // of the last link, which a checkpoint speaks for
	File          string    `json:"file"` // its name, without the folder
	SHA256        string    `gorm:"column:sha256" json:"sha256"`
	KeyID         string    `json:"key_id"`
	At            time.Time `json:"at"`
	Signature     string    `json:"signature"` // Ed25519, base64
}

// Segments returns all of the org's, in order.
func (r *Reader) Segments() ([]AuditSegment, error) {
	var rows []AuditSegment
	err := r.tx.Order("last_sequence").Find(&rows).Error
	for i := range rows {
		rows[i].At = rows[i].At.UTC()
	}
	return rows, err
}

// LastSegment returns the org's newest; its LastSequence is 0 where there is
// none.
func (r *Reader) LastSegment() (AuditSegment, error) { return r.lastSegmentOf(r.scope.org) }

func (r *Reader) lastSegmentOf(org OrgID) (AuditSegment, error) {
	var rows []AuditSegment
	err := r.tx.Where("org_id = ?", org).Order("last_sequence DESC").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return AuditSegment{OrgID: org}, err
	}
	rows[0].At = rows[0].At.UTC()
	return rows[0], nil
}

// archivable are the links of a segment that still have their event.
func (r *Reader) archivable(s AuditSegment) *gorm.DB {
	return r.tx.Model(&AuditLink{}).Joins("JOIN audit_events ON audit_events.id = audit_links.event_id AND audit_events.org_id = audit_links.org_id").
		Where("audit_links.sequence BETWEEN ? AND ?", s.FirstSequence, s.LastSequence)
}

// Holds says whether the database still has any event of the segment.
func (r *Reader) Holds(s AuditSegment) (bool, error) {
	var found []int64
	err := r.archivable(s).Limit(1).Pluck("audit_links.sequence", &found).Error
	return len(found) > 0, err
}

// AppendSegment records a segment that has been written and read back, and
// tells the history.
func (s *System) AppendSegment(ctx context.Context, segment AuditSegment, actor Actor, e Event) error {
	return s.Within(ctx, segment.OrgID, actor, func(w *Writer) error {
		if err := w.tx.Create(&segment).Error; err != nil {
			return taken(err, "This part of the history has been archived meanwhile.")
		}
		return w.Record(e)
	})
}

// archiveAtOnce bounds one deletion on SQLite, where it holds the only writer.
const archiveAtOnce = 1000

// RemoveArchived takes out of the database the events that a recorded segment
// has. The database itself refuses any others. What was removed when a node
// died stays so; calling it again goes on.
func (s *System) RemoveArchived(ctx context.Context, segment AuditSegment) error {
	for more := true; more; {
		err := s.Within(ctx, segment.OrgID, SystemActor, func(w *Writer) error {
			// What the search index says of them goes as well.
			err := w.tx.Where("(block + 1) * ? <= ?", blockSize, segment.LastSequence).Delete(&auditWord{}).Error
			if err != nil {
				return err
			}
			if w.db.kind == PostgreSQL {
				more = false
				return removeSegment(w.tx, segment.OrgID, segment.LastSequence)
			}
			var ids []EventID
			if err := w.archivable(segment).Order("audit_links.sequence").Limit(archiveAtOnce).Pluck("audit_links.event_id", &ids).Error; err != nil {
				return err
			}
			more = len(ids) == archiveAtOnce
			return w.tx.Where("id IN ?", ids).Delete(&AuditEvent{}).Error
		})
		if err != nil {
			return err
		}
	}
	return nil
}
