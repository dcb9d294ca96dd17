package models

import (
	"context"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm/clause"
)

// What strangers try is told in two events a minute at most for each source,
// of each account that there is and of all that there are not: the first
// refusal at once, the others together when the minute is over. Somebody who
// tries thousands can't fill a history with them.

// auditRefusal counts what has not been told yet.
type auditRefusal struct {
	OrgID   OrgID     `gorm:"primaryKey"`
	Source  string    `gorm:"primaryKey"`
	Account UserID    `gorm:"primaryKey"` // "" for those that there are not
	Minute  time.Time `gorm:"primaryKey"`
	Tries   int64     // the first, which was told, among them
	Names   string    // of the accounts that were tried after it, a line each
}

func (auditRefusal) TableName() string { return "audit_refusals" }

// refusedNamesMax bounds how many accounts an event names.
const refusedNamesMax = 20

// refuseIn tells the history of a stranger's refusal, or counts it.
func (w *Writer) refuseIn(org OrgID, e Event) error {
	row := auditRefusal{OrgID: org, Source: w.actor.Source, Account: UserID(e.Object.ID), Minute: Now().Truncate(time.Minute), Tries: 1}
	err := w.tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "org_id"}, {Name: "source"}, {Name: "account"}, {Name: "minute"}},
		DoUpdates: clause.Assignments(map[string]any{"tries": exprAdd("audit_refusals.tries", 1)}),
	}, clause.Returning{Columns: []clause.Column{{Name: "tries"}, {Name: "names"}}}).Create(&row).Error
	if err != nil {
		return err
	}
	w.events++ // counted is told
	if row.Tries == 1 {
		return w.recordFor(org, e)
	}
	names := strings.Split(row.Names, "\n")
	if row.Names == "" {
		names = nil
	}
	if slices.Contains(names, e.Object.Name) || len(names) >= refusedNamesMax {
		return nil
	}
	names = append(names, strings.ReplaceAll(e.Object.Name, "\n", " "))
	return w.tx.Model(&auditRefusal{}).Where("org_id = ? AND source = ? AND account = ? AND minute = ?", org, row.Source, row.Account, row.Minute).
		Update("names", strings.Join(names, "\n")).Error
}

// RefuseStranger tells the provider's history of a refused sign-in to no
// account that there is.
func (s *System) RefuseStranger(ctx context.Context, actor Actor, e Event) error {
	return s.db.changing(ctx, scopeValue{all: true}, actor, true, func(w *Writer) error { return w.refuseIn(ProviderOrg, e) })
}

// RefuseForUser tells each history that has to know of the account.
func (s *System) RefuseForUser(ctx context.Context, user UserID, actor Actor, e Event) error {
	return s.db.changing(ctx, scopeValue{all: true}, actor, true, func(w *Writer) error {
		return w.eachHistoryOf(user, func(org OrgID) error { return w.refuseIn(org, e) })
	})
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
			teller := *w
			teller.actor = Actor{Kind: ActorNobody, Name: "Somebody", Source: row.Source}
			after := map[string]any{"tries": row.Tries - 1, "minute": row.Minute.UTC().Format("2006-01-02 15:04 UTC")}
			object := Object{Kind: "user", ID: string(row.Account), Name: row.Names}
			if row.Account == "" {
				object.Name, after["accounts"] = "unknown accounts", strings.Split(row.Names, "\n")
			}
			err := teller.recordFor(row.OrgID, Event{Action: ActionSignInRefused, Outcome: OutcomeRefused,
				Object: object, After: after})
			if err != nil {
				return err
			}
			w.changed = teller.changed
		}
		return nil
	})
}
