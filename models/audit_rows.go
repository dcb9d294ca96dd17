package models

import (
	"database/sql"
	"errors"
	"time"

	"gorm.io/gorm"
)

// What reads a whole history takes its rows by hand: filling in records by
// reflection would take most of its time.

const (
	linkColumns  = "audit_links.sequence, audit_links.event_id, audit_links.previous_hash, audit_links.hash"
	eventColumns = shownColumns + ", audit_events.body"
	// shownColumns are what a page shows of an event.
	shownColumns = "audit_events.id, audit_events.org_id, audit_events.at, audit_events.actor_kind, audit_events.actor_id, audit_events.actor_name, " +
		"audit_events.session_id, audit_events.source, audit_events.action, audit_events.object_kind, audit_events.object_id, audit_events.object_name, " +
		"audit_events.outcome, audit_events.before, audit_events.after, audit_events.request_id"
)

// linkedRows reads linkColumns and eventColumns. Either may be missing, not both.
func (r *Reader) linkedRows(q *gorm.DB, limit int) (list []LinkedEvent, err error) {
	rows, err := q.Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var cells [21]any
	var to [len(cells)]any
	for i := range cells {
		to[i] = &cells[i]
	}
	list = make([]LinkedEvent, 0, min(limit, 4096))
	for rows.Next() {
		if err := rows.Scan(to[:]...); err != nil {
			return nil, err
		}
		l, err := linkedRow(&cells)
		if err != nil {
			return nil, err
		}
		if l.Link.OrgID = r.scope.org; l.Link.EventID == "" {
			l.Link = AuditLink{}
		}
		list = append(list, l)
	}
	return list, rows.Err()
}

// shownRows reads shownColumns.
func (r *Reader) shownRows(q *gorm.DB) (list []AuditEvent, err error) {
	rows, err := q.Select(shownColumns).Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var cells [21]any // what is not asked for stays empty
	var to [16]any
	for i := range to {
		to[i] = &cells[i+4]
	}
	for rows.Next() {
		if err := rows.Scan(to[:]...); err != nil {
			return nil, err
		}
		l, err := linkedRow(&cells)
		if err != nil {
			return nil, err
		}
		list = append(list, *l.Event)
	}
	return list, rows.Err()
}

func linkedRow(cells *[21]any) (l LinkedEvent, err error) {
	if cells[0] != nil {
		n, ok := cells[0].(int64)
		if !ok {
			return l, errors.New("models: a link's sequence is no number")
		}
		l.Link = AuditLink{Sequence: n, EventID: cell[EventID](cells[1]), PreviousHash: cell[string](cells[2]), Hash: cell[string](cells[3])}
	}
	if cells[4] == nil {
		return l, nil
	}
	at, err := cellTime(cells[6])
	if err != nil {
		return l, err
	}
	l.Event = &AuditEvent{
		ID: cell[EventID](cells[4]), OrgID: cell[OrgID](cells[5]), At: at,
		ActorKind: cell[ActorKind](cells[7]), ActorID: cell[string](cells[8]), ActorName: cell[string](cells[9]),
		SessionID: cell[SessionID](cells[10]), Source: cell[string](cells[11]), Action: cell[Action](cells[12]),
		ObjectKind: cell[string](cells[13]), ObjectID: cell[string](cells[14]), ObjectName: cell[string](cells[15]),
		Outcome: cell[Outcome](cells[16]), Before: cell[string](cells[17]), After: cell[string](cells[18]),
		RequestID: cell[string](cells[19]), Body: cell[string](cells[20]),
	}
	return l, nil
}

// cell is a text column's value, "" where there is none.
func cell[T ~string](v any) T {
	switch v := v.(type) {
	case string:
		return T(v)
	case []byte:
		return T(v)
	}
	return ""
}

func cellTime(v any) (time.Time, error) {
	var at sql.NullTime
	err := at.Scan(v)
	return at.Time, err
}
