package models

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// AuditLink gives an event its place in its org's chain. What Hash is made of
// is internal/audit's to know.
type AuditLink struct {
	OrgID        OrgID `gorm:"primaryKey"`
	Sequence     int64 `gorm:"primaryKey;autoIncrement:false"` // from 1, without gaps
	EventID      EventID
	PreviousHash string
	Hash         string
}

// AuditCheckpoint is a signed statement: at that time the org's chain had this
// hash at this sequence, and was whole from the checkpoint before.
type AuditCheckpoint struct {
	OrgID     OrgID     `gorm:"primaryKey" json:"org"`
	Sequence  int64     `gorm:"primaryKey;autoIncrement:false" json:"sequence"`
	KeyID     string    `gorm:"primaryKey" json:"key_id"`
	Hash      string    `json:"hash"`
	At        time.Time `json:"at"`
	Signature string    `json:"signature"` // Ed25519, base64
}

// LinkedEvent is a link with its event; Event is nil where there is none any
// more, Link is zero where there is none yet.
type LinkedEvent struct {
	Link  AuditLink
	Event *AuditEvent
}

// noLink picks the events that are not in the chain yet.
const noLink = "NOT EXISTS (SELECT 1 FROM audit_links WHERE audit_links.event_id = audit_events.id)"

// oldestID is the least id that NewID can have made at the time or later.
func oldestID(t time.Time) EventID {
	if t.IsZero() {
		return ""
	}
	ms := max(t.UnixMilli(), 0)
	return EventID(fmt.Sprintf("%08x-%04x-7000-8000-000000000000", ms>>16, ms&0xffff))
}

// EventTime is when NewID made the id.
func EventTime(id EventID) time.Time {
	parsed, err := uuid.Parse(string(id))
	if err != nil {
		return time.Time{}
	}
	return time.Unix(parsed.Time().UnixTime()).UTC()
}

// ChainHead returns the last link; its Sequence is 0 where there is none.
func (r *Reader) ChainHead() (AuditLink, error) {
	var rows []AuditLink
	err := r.tx.Order("sequence DESC").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return AuditLink{OrgID: r.scope.org}, err
	}
	return rows[0], nil
}

// Unlinked returns events that have no link yet, bodies included, in the order
// in which they are to get one. A zero since looks at all of the history.
func (r *Reader) Unlinked(since time.Time, limit int) ([]AuditEvent, error) {
	var rows []AuditEvent
	err := r.tx.Where(r.orgsOwnID()+" >= ?", oldestID(since)).Where(noLink).Order("at, id").Limit(limit).Find(&rows).Error
	return rows, err
}

// Span is a part of an org's events: those behind After, as far as UpTo or, if
// that is "", to the end.
type Span struct{ After, UpTo EventID }

func (r *Reader) within(s Span) *gorm.DB {
	q := r.tx.Model(&AuditEvent{}).Where(r.orgsOwnID()+" > ?", s.After)
	if s.UpTo != "" {
		q = q.Where(r.orgsOwnID()+" <= ?", s.UpTo)
	}
	return q
}

// CountWithin says how many events there are in the span, by an index alone.
func (r *Reader) CountWithin(s Span) (n int64, err error) {
	err = r.within(s).Count(&n).Error
	return n, err
}

// UnlinkedWithin returns the span's first events that have no link, in the
// order of their ids. Each event's link is asked for by itself: the database
// would otherwise go over all of the links.
func (r *Reader) UnlinkedWithin(s Span, limit int) ([]AuditEvent, error) {
	var rows []AuditEvent
	err := r.within(s).Where("(SELECT audit_links.sequence FROM audit_links WHERE audit_links.event_id = audit_events.id) IS NULL").
		Order(r.orgsOwnID()).Limit(limit).Find(&rows).Error
	return rows, err
}

// Links returns the links behind a sequence, in order, with their events.
func (r *Reader) Links(after int64, limit int) ([]LinkedEvent, error) {
	return r.linkedRows(r.linksBehind(after, limit), limit, true)
}

// ShownLinks is Links without the events' bodies.
func (r *Reader) ShownLinks(after int64, limit int) ([]LinkedEvent, error) {
	return r.linkedRows(r.linksBehind(after, limit), limit, false)
}

func (r *Reader) linksBehind(after int64, limit int) *gorm.DB {
	return r.tx.Model(&AuditLink{}).
		Joins("LEFT JOIN audit_events ON audit_events.id = audit_links.event_id AND audit_events.org_id = audit_links.org_id").
		Where("audit_links.sequence > ?", after).Order("audit_links.sequence").Limit(limit)
}

// LinkedBody is a link with its event's text, nil where there is none.
type LinkedBody struct {
	Link AuditLink
	Body *string
}

// Bodies is Links without what only pages need, for an export of everything.
func (r *Reader) Bodies(after int64, limit int) ([]LinkedBody, error) {
	rows, err := r.tx.Model(&AuditLink{}).Select("audit_links.sequence, audit_links.event_id, audit_links.previous_hash, audit_links.hash, e.body").
		Joins("LEFT JOIN audit_events e ON e.id = audit_links.event_id AND e.org_id = audit_links.org_id").
		Where("audit_links.sequence > ?", after).Order("audit_links.sequence").Limit(limit).Rows()
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	list := make([]LinkedBody, 0, limit)
	for rows.Next() {
		l := LinkedBody{Link: AuditLink{OrgID: r.scope.org}}
		if err := rows.Scan(&l.Link.Sequence, &l.Link.EventID, &l.Link.PreviousHash, &l.Link.Hash, &l.Body); err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, rows.Err()
}

// EventsBehind returns the next events behind an id, oldest first, bodies
// included, each with its link where it has one: those that the filter lets
// through, and the id up to which was looked, "" at the end of the history.
// The filter's page counts for nothing.
func (r *Reader) EventsBehind(f EventFilter, after EventID, limit int) ([]LinkedEvent, EventID, error) {
	q := r.tx.Model(&AuditEvent{}).
		Joins("LEFT JOIN audit_links ON audit_links.event_id = audit_events.id AND audit_links.org_id = audit_events.org_id").
		Where(r.orgsOwnID()+" > ?", after)
	if !f.From.IsZero() {
		q = q.Where(r.orgsOwnID()+" >= ?", oldestID(f.From.Add(-skew)))
	}
	if !f.To.IsZero() {
		q = q.Where(r.orgsOwnID()+" < ?", oldestID(f.To.Add(skew)))
	}
	rows, err := r.linkedRows(q.Order(r.orgsOwnID()).Limit(limit), limit, true)
	if err != nil {
		return nil, "", err
	}
	upTo := EventID("")
	if len(rows) == limit {
		upTo = rows[limit-1].Event.ID
	}
	return slices.DeleteFunc(rows, func(l LinkedEvent) bool { return !f.Matches(l.Event) }), upTo, nil
}

func (r *Reader) linksOf(ids []EventID) (map[EventID]AuditLink, error) {
	var links []AuditLink
	if err := r.tx.Where("event_id IN ?", ids).Find(&links).Error; err != nil {
		return nil, err
	}
	byEvent := make(map[EventID]AuditLink, len(links))
	for _, l := range links {
		byEvent[l.EventID] = l
	}
	return byEvent, nil
}

// Sealed says which of the events have their place in the chain.
func (r *Reader) Sealed(events []AuditEvent) (map[EventID]bool, error) {
	sealed := make(map[EventID]bool, len(events))
	var ids []EventID
	for i := range events {
		if events[i].linked {
			sealed[events[i].ID] = true
		} else {
			ids = append(ids, events[i].ID)
		}
	}
	if len(ids) == 0 {
		return sealed, nil
	}
	links, err := r.linksOf(ids)
	for id := range links {
		sealed[id] = true
	}
	return sealed, err
}

// Checkpoints returns all that the database has of the org, in order.
func (r *Reader) Checkpoints() ([]AuditCheckpoint, error) {
	var rows []AuditCheckpoint
	err := r.tx.Order("sequence, at").Find(&rows).Error
	for i := range rows {
		rows[i].At = rows[i].At.UTC()
	}
	return rows, err
}

// LastCheckpoint returns the newest; its Sequence is 0 where there is none.
func (r *Reader) LastCheckpoint() (AuditCheckpoint, error) {
	var rows []AuditCheckpoint
	err := r.tx.Order("sequence DESC, at DESC").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return AuditCheckpoint{OrgID: r.scope.org}, err
	}
	rows[0].At = rows[0].At.UTC()
	return rows[0], nil
}

// UnlinkedOrgs lists the orgs, the provider's history among them, that have
// events without a link. A zero since looks at everything.
func (s *System) UnlinkedOrgs(ctx context.Context, since time.Time) ([]OrgID, error) {
	var orgs []OrgID
	err := s.reading(ctx, func(r *Reader) error {
		// The expression keeps SQLite from going over every event there is by an
		// index that has the orgs in order, for the sake of DISTINCT.
		return r.tx.Model(&AuditEvent{}).Where("id >= ?", oldestID(since)).Where(noLink).
			Select("DISTINCT org_id || '' AS org").Scan(&orgs).Error
	})
	return orgs, err
}

// Histories lists every org that has a chain of its own, the provider's first.
func (s *System) Histories(ctx context.Context) ([]OrgID, error) {
	list := []OrgID{ProviderOrg}
	err := s.reading(ctx, func(r *Reader) error {
		var ids []string
		if err := r.tx.Model(&orgRow{}).Order("id").Pluck("id", &ids).Error; err != nil {
			return err
		}
		for _, id := range ids {
			list = append(list, OrgID(id))
		}
		return nil
	})
	return list, err
}

// Chains is Histories with what the orgs are called.
func (s *System) Chains(ctx context.Context) ([]Org, error) {
	list := []Org{{ID: ProviderOrg, Slug: string(ProviderOrg), Name: "Provider"}}
	err := s.reading(ctx, func(r *Reader) error {
		var rows []orgRow
		if err := r.tx.Order("id").Find(&rows).Error; err != nil {
			return err
		}
		for _, row := range rows {
			list = append(list, row.org())
		}
		return nil
	})
	return list, err
}

// AppendLinks adds to the org's chain. A sequence or an event that has been
// linked meanwhile is ErrConflict, and nothing is kept.
func (s *System) AppendLinks(ctx context.Context, org OrgID, links []AuditLink) error {
	return s.Within(ctx, org, SystemActor, func(w *Writer) error {
		if err := w.tx.Create(&links).Error; err != nil {
			return taken(err, "These events have been sealed meanwhile.")
		}
		w.touch("seal", string(links[len(links)-1].EventID))
		return nil
	})
}

// AppendCheckpoint keeps a checkpoint; one that is there already stays.
func (s *System) AppendCheckpoint(ctx context.Context, c AuditCheckpoint) error {
	err := s.Within(ctx, c.OrgID, SystemActor, func(w *Writer) error {
		return taken(w.tx.Create(&c).Error, "There is a checkpoint already.")
	})
	if CodeOf(err) == CodeConflict {
		return nil
	}
	return err
}

// taken makes a conflict of a key that is there already.
func taken(err error, sentence string) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return Conflict(sentence)
	}
	return err
}
