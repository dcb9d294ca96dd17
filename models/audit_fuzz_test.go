package models_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// fuzzedHistory is acme's and globex's, alike, with and without an index.
func fuzzedHistory(f *testing.F) (look func(t *testing.T, filter models.EventFilter)) {
	f.Helper()
	w := testkit.NewWorld(f, testkit.SQLite(f))
	random := rand.New(rand.NewPCG(3, 4)) // #nosec G404 -- the same in every run
	for _, org := range []models.OrgID{w.Acme.ID, w.Globex.ID} {
		write(f, w, org, 700, random)
		linkShuffled(f, w, org, random)
		if _, err := w.System.IndexHistory(f.Context(), org, 1); err != nil {
			f.Fatal(err)
		}
	}
	return func(t *testing.T, filter models.EventFilter) {
		t.Helper()
		var page models.Page[models.AuditEvent]
		err := w.System.Look(t.Context(), w.Acme.ID, func(r *models.Reader) (err error) {
			page, err = r.Events(filter)
			return err
		})
		if err != nil && models.CodeOf(err) != models.CodeInvalid {
			t.Fatalf("%+v: %v", filter, err)
		}
		for i := range page.Rows {
			if e := &page.Rows[i]; e.OrgID != w.Acme.ID || !filter.Matches(e) {
				t.Fatalf("%+v lets through %+v", filter, e)
			}
		}
	}
}

// Whatever a filter says, its page has the org's own events that it lets
// through, or it is refused as something that was typed wrong.
func FuzzEventFilter(f *testing.F) {
	look := fuzzedHistory(f)
	f.Add("ada", "machine.power", "web-0042", "failed", "zebra", int64(0), int64(0))
	f.Add("", "", "", "", "' OR 1=1 --", int64(1), int64(1<<40))
	f.Add("%", "_", "\x00", "\xff\xfe", "web-00 \\", int64(-1), int64(-1))
	f.Fuzz(func(t *testing.T, actor, action, object, outcome, text string, from, to int64) {
		filter := models.EventFilter{Actor: actor, Action: models.Action(action), Object: object, Outcome: models.Outcome(outcome), Text: text}
		if from != 0 {
			filter.From = time.UnixMilli(from)
		}
		if to != 0 {
			filter.To = time.UnixMilli(to)
		}
		look(t, filter)
	})
}

// Whatever a page mark says, it leads to none but the org's own events.
func FuzzCursor(f *testing.F) {
	look := fuzzedHistory(f)
	f.Add("", "", 50, "web")
	f.Add(models.EventMark("0190a000-0000-7000-8000-000000000001"), "", 1, "")
	f.Add("", models.EventMark("' OR '1'='1"), -1, "absent")
	f.Add("AAAA", "AAAA", 1<<30, "\x00")
	f.Fuzz(func(t *testing.T, after, before string, limit int, text string) {
		look(t, models.EventFilter{Text: text, Page: models.Paging{After: after, Before: before, Limit: limit}})
		look(t, models.EventFilter{Page: models.Paging{After: models.EventMark(models.EventID(after)), Limit: limit}})
	})
}
