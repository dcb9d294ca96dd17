package models_test

import (
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// What a page shows of an event is what its sealed text says, whatever signs
// are in it.
func TestColumnsSayWhatTheBodySays(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		names := []string{"", "a\"b\\c", "<b>&amp;</b>", "läuft \u2028 日本", "line\nfeed\ttab"}
		if db.Kind() == models.SQLite {
			names = append(names, "broken \xff\xfe") // PostgreSQL refuses these
		}
		for _, name := range names {
			err := w.System.RecordIn(t.Context(), w.Acme.ID, models.Actor{Kind: models.ActorUser, Name: name}, models.Event{
				Action: models.ActionMachinePower, Outcome: models.OutcomeFailed, Object: models.Object{Kind: "machine", Name: name},
				Before: map[string]any{"name": name, "n": 1.5}, After: map[string]any{}})
			if err != nil {
				t.Fatal(err)
			}
		}
		err := w.System.Look(t.Context(), w.Acme.ID, func(r *models.Reader) error {
			events, _, err := r.EventsBehind(models.EventFilter{}, "", 100)
			if len(events) != len(names) {
				t.Errorf("%d events", len(events))
			}
			for _, e := range events {
				if !e.Event.BodyMatches() {
					t.Errorf("%q: %s", e.Event.ObjectName, e.Event.Body)
				}
				e.Event.Source = "192.0.2.99"
				if e.Event.BodyMatches() {
					t.Errorf("%q: another source goes unseen", e.Event.ObjectName)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestRowSecurityKeepsChainsApart(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		scope := w.Scope(t, "admin@acme.example", "acme")
		link := models.AuditLink{OrgID: w.Acme.ID, Sequence: 1, EventID: models.NewID[models.EventID](), Hash: "h"}
		if err := w.System.AppendLinks(t.Context(), w.Acme.ID, []models.AuditLink{link}); err != nil {
			t.Fatal(err)
		}
		err := w.System.AppendLinks(t.Context(), w.Globex.ID, []models.AuditLink{{OrgID: w.Acme.ID, Sequence: 2, EventID: models.NewID[models.EventID]()}})
		if err == nil {
			t.Error("globex's transaction linked in acme's chain")
		}
		if err := w.System.AppendLinks(t.Context(), w.Acme.ID, []models.AuditLink{link}); models.CodeOf(err) != models.CodeConflict {
			t.Errorf("a place taken twice: %v", err)
		}
		read := func(s *models.Scope) (head models.AuditLink, rows []models.LinkedEvent) {
			err := s.Read(t.Context(), func(r *models.Reader) error {
				var err error
				if head, err = r.ChainHead(); err != nil {
					return err
				}
				rows, err = r.Links(0, 10)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return head, rows
		}
		if head, rows := read(scope); head != link || len(rows) != 1 || rows[0].Event != nil {
			t.Errorf("acme sees %+v, %+v", head, rows)
		}
		if head, rows := read(w.Scope(t, "admin@globex.example", "globex")); head.Sequence != 0 || len(rows) != 0 {
			t.Errorf("globex sees %+v, %+v", head, rows)
		}
	})
}
