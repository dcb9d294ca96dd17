package models_test

import (
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// What reads a whole history gets every text as it is, one with the sign in it
// that stands between them as well.
func TestLinksHaveTheTextsThatWereWritten(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		for _, name := range []string{"web-1", "Édith \"E\"", "two\x1fparts", "\x1f", ""} {
			var event models.AuditEvent
			err := w.System.Within(t.Context(), w.Acme.ID, models.Actor{Kind: models.ActorUser, ID: "someone", Name: name}, func(x *models.Writer) error {
				return x.Record(models.Event{Action: models.ActionMachineCreate, Outcome: models.OutcomeAccepted,
					Object: models.Object{Kind: "machine", ID: name, Name: name}, After: map[string]any{"name": name}})
			})
			if err != nil {
				t.Fatal(err)
			}
			err = w.System.Look(t.Context(), w.Acme.ID, func(r *models.Reader) error {
				page, err := r.Events(models.EventFilter{})
				if err == nil {
					event, err = r.Event(page.Rows[0].ID)
				}
				if err != nil {
					return err
				}
				rows, _, err := r.EventsBehind(models.EventFilter{}, "", 100)
				last := rows[len(rows)-1]
				if last.Link.Sequence != 0 {
					t.Errorf("%q has a link: %+v", name, last.Link)
				}
				got := *last.Event
				if !got.At.Equal(event.At) {
					t.Errorf("%q was at %s, read as %s", name, event.At, got.At)
				}
				if got.At = event.At; got != event || got.ActorName != name || !got.BodyMatches() {
					t.Errorf("%q is read as\n%+v, not\n%+v", name, got, event)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
