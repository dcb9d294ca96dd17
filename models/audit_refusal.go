package models

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm/clause"
)

// What strangers try is told in two events a minute at most for each source,
// of each thing that there is and of all that there are not: the first refusal
// at once, the others together when the minute is over. Somebody who tries
// thousands can't fill a history with them.

// auditRefusal counts what has not been told yet.
type auditRefusal struct {
	OrgID    OrgID     `gorm:"primaryKey"`
	Minute   time.Time `gorm:"primaryKey"`
	Source   string    `gorm:"primaryKey"` // a network; "" for all beyond refusalRowsMax
	Action   Action    `gorm:"primaryKey"`
	ObjectID string    `gorm:"primaryKey"` // "" for those that there are not
	Tries    int64     // the first, which was told, among them
	Names    string    // of the objects that were tried after it, a line each
}

func (auditRefusal) TableName() string { return "audit_refusals" }

const (
	// refusedNamesMax bounds how many objects an event names.
	refusedNamesMax = 20
	// refusalRowsMax bounds what a history has of one minute, from however
	// many networks it comes: those beyond are counted as one.
	refusalRowsMax = 200
)

// refusalKinds says how the refusals that are told together are worded: of
// what kind their object is, what several are called, and under what the event
// lists their names, "" for those that have none of their own.
var refusalKinds = map[Action]struct{ kind, several, list string }{
	ActionSignInRefused: {"user", "unknown accounts", "accounts"},
	ActionTokenRefused:  {"token", "unknown tokens", ""},
	ActionInviteRefused: {"invitation", "unknown invitations", ""},
	ActionEdgeRefused:   {"edge", "unknown gateways", ""},
	ActionSiteRefused:   {"page", "forms of the portal", "forms"},
	ActionConsoleRefuse: {"machine", "machines", "machines"},
}

// SourceNetwork is what counts as one source: an IPv4 address, or the /64 that
// one subscriber of IPv6 has, or they would have 2^64 tries for one.
func SourceNetwork(source string) string {
	a, err := netip.ParseAddr(source)
	if err != nil {
		return source
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64) // fails for no IPv6 address
	return p.String()
}

// refuseIn tells the history of a stranger's refusals, or counts them.
func (w *Writer) refuseIn(org OrgID, e Event, tries int64) error {
	row := auditRefusal{OrgID: org, Minute: Now().Truncate(time.Minute), Source: SourceNetwork(w.actor.Source),
		Action: e.Action, ObjectID: e.Object.ID, Tries: tries}
	if err := w.roomForRefusal(&row); err != nil {
		return err
	}
	err := w.tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "org_id"}, {Name: "minute"}, {Name: "source"}, {Name: "action"}, {Name: "object_id"}},
		DoUpdates: clause.Assignments(map[string]any{"tries": exprAdd("audit_refusals.tries", tries)}),
	}, clause.Returning{Columns: []clause.Column{{Name: "tries"}, {Name: "names"}}}).Create(&row).Error
	if err != nil {
		return err
	}
	w.events++ // counted is told
	if row.Tries == tries {
		if err := w.recordFor(org, e); err != nil || tries == 1 {
			return err
		}
	}
	names := strings.Split(row.Names, "\n")
	if row.Names == "" {
		names = nil
	}
	if row.Source == "" || slices.Contains(names, e.Object.Name) || len(names) >= refusedNamesMax {
		return nil
	}
	names = append(names, strings.ReplaceAll(e.Object.Name, "\n", " "))
	return w.tx.Model(&auditRefusal{}).
		Where("org_id = ? AND minute = ? AND source = ? AND action = ? AND object_id = ?", org, row.Minute, row.Source, row.Action, row.ObjectID).
		Update("names", strings.Join(names, "\n")).Error
}

// roomForRefusal puts a row that is one too many in this minute to the others
// that were.
func (w *Writer) roomForRefusal(row *auditRefusal) error {
	var have struct{ All, Mine int64 }
	err := w.tx.Model(&auditRefusal{}).
		Select(`COUNT(*) AS "all", COUNT(CASE WHEN source = ? AND action = ? AND object_id = ? THEN 1 END) AS mine`, row.Source, row.Action, row.ObjectID).
		Where("org_id = ? AND minute = ?", row.OrgID, row.Minute).Scan(&have).Error
	if err == nil && have.All >= refusalRowsMax && have.Mine == 0 {
		row.Source, row.ObjectID = "", ""
	}
	return err
}

// TellRefusals tells what was counted in the minutes that are over. The count
// goes in the transaction of its event.
func (s *System) TellRefusals(ctx context.Context, now time.Time) error {
	return s.changing(ctx, func(w *Writer) error {
		var rows []auditRefusal
		err := w.tx.Clauses(clause.Returning{}).Where("minute < ?", now.UTC().Truncate(time.Minute)).Delete(&rows).Error
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Tries < 2 {
				continue
			}
			w.actor = Actor{Kind: ActorNobody, Name: "Somebody", Source: row.Source}
			if err := w.recordFor(row.OrgID, row.event()); err != nil {
				return err
			}
		}
		return nil
	})
}

// event tells of all refusals but the first, which was told.
func (row *auditRefusal) event() Event {
	kind := refusalKinds[row.Action]
	object := Object{Kind: kind.kind, ID: row.ObjectID, Name: row.Names}
	after := map[string]any{"tries": row.Tries - 1, "minute": row.Minute.UTC().Format("2006-01-02 15:04 UTC")}
	if row.Source == "" {
		after["sources"] = "many"
	}
	if row.ObjectID == "" {
		object.Name = kind.several
		if kind.list != "" && row.Names != "" {
			after[kind.list] = strings.Split(row.Names, "\n")
		}
	}
	return Event{Action: row.Action, Outcome: OutcomeRefused, Object: object, After: after}
}
