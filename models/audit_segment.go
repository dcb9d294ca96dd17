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

// archiveAtOnce is how many places of the chain one step of a removal goes
// over: on SQLite it holds the only writer, and on PostgreSQL a transaction
// that is open for long keeps the dead rows of every other.
const archiveAtOnce = 1000

// RemoveArchived takes out of the database the events that a recorded segment
// has, and what the search index says of them. The database itself refuses any
// others. What was removed when a node died stays so; calling it again goes on.
func (s *System) RemoveArchived(ctx context.Context, segment AuditSegment) error {
	for from := max(segment.FirstSequence, 1); from <= segment.LastSequence; from += archiveAtOnce {
		to := min(from+archiveAtOnce-1, segment.LastSequence)
		err := s.Within(ctx, segment.OrgID, SystemActor, func(w *Writer) error {
			// A block goes with its last event.
			err := w.tx.Where("org_id = ? AND block BETWEEN ? AND ?", segment.OrgID, (from+blockSize-1)/blockSize-1, to/blockSize-1).Delete(&auditWord{}).Error
			if err != nil {
				return err
			}
			if w.db.kind == PostgreSQL {
				return removeSegment(w.tx, segment.OrgID, segment.LastSequence, from, to)
			}
			var ids []EventID
			step := AuditSegment{OrgID: segment.OrgID, FirstSequence: from, LastSequence: to}
			if err := w.archivable(step).Pluck("audit_links.event_id", &ids).Error; err != nil || len(ids) == 0 {
				return err
			}
			return w.tx.Where("id IN ?", ids).Delete(&AuditEvent{}).Error
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ArchivedEvent is what the database still has of an event that was moved out
// of it: its place in the chain, and the segment that has its text.
type ArchivedEvent struct {
	Link    AuditLink
	Segment AuditSegment
}

// ArchivedEvent finds an event that is in no table any more.
func (r *Reader) ArchivedEvent(id EventID) (ArchivedEvent, error) {
	links, err := r.linksOf([]EventID{id})
	if err != nil {
		return ArchivedEvent{}, err
	}
	link, found := links[id]
	if !found {
		return ArchivedEvent{}, NotFound("event")
	}
	var segments []AuditSegment
	err = r.tx.Where("org_id = ? AND first_sequence <= ? AND last_sequence >= ?", link.OrgID, link.Sequence, link.Sequence).Limit(1).Find(&segments).Error
	if err != nil {
		return ArchivedEvent{}, err
	}
	if len(segments) == 0 {
		return ArchivedEvent{}, NotFound("event")
	}
	segments[0].At = segments[0].At.UTC()
	return ArchivedEvent{Link: link, Segment: segments[0]}, nil
}

// ArchivedEvent finds one of any history.
func (p *Provider) ArchivedEvent(ctx context.Context, id EventID) (e ArchivedEvent, err error) {
	err = p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		e, err = r.ArchivedEvent(id)
		return err
	})
	return e, err
}
