package models_test

import (
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// The quick comparison of columns with the text knows every event that the
// portal writes, and lets nothing through that reading the text wouldn't.
func TestColumnsThatSayOtherwiseThanTheTextAreSeen(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		for _, text := range []string{"plain", "", `a "quote" and a \`, "<b>&amp;</b>", "läuft ☃ \u2028", "a\tb\nc\x01", `x","at":"2001-01-01T00:00:00.000000Z`} {
			err := w.System.RecordIn(t.Context(), w.Acme.ID, models.Actor{Kind: models.ActorUser, ID: text, Name: text, Source: text, RequestID: text},
				models.Event{Action: models.ActionMachinePower, Outcome: models.OutcomeSucceeded, Object: models.Object{Kind: "machine", ID: text, Name: text},
					After: map[string]any{text: text, "n": 1.5, "list": []any{text, nil, true}}})
			if err != nil {
				t.Fatal(err)
			}
		}
		err := w.System.Look(t.Context(), w.Acme.ID, func(r *models.Reader) error {
			rows, _, err := r.EventsBehind(models.EventFilter{}, "", 100)
			for _, row := range rows {
				if !row.Event.BodyMatches() || !models.WritesBody(row.Event) {
					t.Errorf("its own text is another's: %+v", row.Event)
				}
				for name, change := range map[string]func(e *models.AuditEvent){
					"id": func(e *models.AuditEvent) { e.ID += "0" }, "org": func(e *models.AuditEvent) { e.OrgID += "0" },
					"at":   func(e *models.AuditEvent) { e.At = e.At.Add(time.Microsecond) },
					"nano": func(e *models.AuditEvent) { e.At = e.At.Add(time.Nanosecond) },
					"kind": func(e *models.AuditEvent) { e.ActorKind = "x" }, "actor": func(e *models.AuditEvent) { e.ActorID += "0" },
					"name": func(e *models.AuditEvent) { e.ActorName += "0" }, "session": func(e *models.AuditEvent) { e.SessionID += "0" },
					"source": func(e *models.AuditEvent) { e.Source += "0" }, "action": func(e *models.AuditEvent) { e.Action += "0" },
					"object kind": func(e *models.AuditEvent) { e.ObjectKind += "0" }, "object": func(e *models.AuditEvent) { e.ObjectID += "0" },
					"object name": func(e *models.AuditEvent) { e.ObjectName += "0" }, "outcome": func(e *models.AuditEvent) { e.Outcome += "0" },
					"before": func(e *models.AuditEvent) { e.Before = `{"x":1}` }, "after": func(e *models.AuditEvent) { e.After = "" },
					"request": func(e *models.AuditEvent) { e.RequestID += "0" },
					"shifted": func(e *models.AuditEvent) { e.After, e.Before = e.After+`,"at":"`, `,"before":`+e.Before },
				} {
					e := *row.Event
					if change(&e); e.BodyMatches() {
						t.Errorf("%s changed, and it is called the same", name)
					}
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
