package models

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
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

// unit stands between the texts of one column that has them all. A driver
// takes longer over twenty columns than the database over the rows.
const unit = "\x1f"

var (
	linkTexts  = []string{"audit_links.event_id", "audit_links.previous_hash", "audit_links.hash"}
	eventTexts = []string{"audit_events.id", "audit_events.org_id", "audit_events.actor_kind", "audit_events.actor_id", "audit_events.actor_name",
		"audit_events.session_id", "audit_events.source", "audit_events.action", "audit_events.object_kind", "audit_events.object_id", "audit_events.object_name",
		"audit_events.outcome", "audit_events.before", "audit_events.after", "audit_events.request_id"}
)

// joined is one column of these texts, NULL where any is.
func (r *Reader) joined(texts []string) string {
	if r.db.kind == PostgreSQL {
		return strings.Join(texts, " || chr(31) || ")
	}
	// One function call: each || would copy all that stands before it.
	return "CASE WHEN " + texts[0] + " IS NOT NULL THEN concat_ws(char(31), " + strings.Join(texts, ", ") + ") END"
}

// linkedRows reads links with their events, with the events' bodies or
// without. Either may be missing, not both.
func (r *Reader) linkedRows(q *gorm.DB, limit int, bodies bool) ([]LinkedEvent, error) {
	list, ok, err := r.joinedRows(q.Session(&gorm.Session{}), limit, bodies)
	if ok || err != nil {
		return list, err
	}
	// One of the texts has the sign in it that is between them.
	return r.separateRows(q.Session(&gorm.Session{}), limit)
}

func (r *Reader) joinedRows(q *gorm.DB, limit int, bodies bool) (list []LinkedEvent, ok bool, err error) {
	texts := eventTexts
	if bodies {
		texts = append(slices.Clone(texts), "audit_events.body")
	}
	rows, err := q.Select("audit_links.sequence, " + r.joined(linkTexts) + ", audit_events.at, " + r.joined(texts)).Rows()
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	list = make([]LinkedEvent, 0, min(limit, 4096))
	events := make([]AuditEvent, 0, min(limit, 4096)) // all at once
	for rows.Next() {
		var (
			sequence    sql.NullInt64
			link, event sql.NullString
			at          sql.NullTime
			parts       [16]string
		)
		if err := rows.Scan(&sequence, &link, &at, &event); err != nil {
			return nil, false, err
		}
		var l LinkedEvent
		if link.Valid {
			if !split(link.String, parts[:len(linkTexts)]) {
				return nil, false, nil
			}
			l.Link = AuditLink{OrgID: r.scope.org, Sequence: sequence.Int64, EventID: EventID(parts[0]), PreviousHash: parts[1], Hash: parts[2]}
		}
		if event.Valid {
			if !split(event.String, parts[:len(texts)]) {
				return nil, false, nil
			}
			events = append(events, AuditEvent{
				ID: EventID(parts[0]), OrgID: OrgID(parts[1]), At: at.Time, ActorKind: ActorKind(parts[2]), ActorID: parts[3], ActorName: parts[4],
				SessionID: SessionID(parts[5]), Source: parts[6], Action: Action(parts[7]), ObjectKind: parts[8], ObjectID: parts[9], ObjectName: parts[10],
				Outcome: Outcome(parts[11]), Before: parts[12], After: parts[13], RequestID: parts[14],
			})
			l.Event = &events[len(events)-1]
			if bodies {
				l.Event.Body = parts[15]
			}
		}
		list = append(list, l)
	}
	return list, true, rows.Err()
}

// split cuts a joined column into as many texts as there are parts, and says
// whether it has just so many.
func split(text string, parts []string) bool {
	last := len(parts) - 1
	for i := range last {
		var found bool
		if parts[i], text, found = strings.Cut(text, unit); !found {
			return false
		}
	}
	parts[last] = text
	return !strings.Contains(text, unit)
}

// separateRows reads linkColumns and eventColumns.
func (r *Reader) separateRows(q *gorm.DB, limit int) (list []LinkedEvent, err error) {
	rows, err := q.Select(linkColumns + ", " + eventColumns).Rows()
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
