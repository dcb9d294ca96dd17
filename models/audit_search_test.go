package models_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// write records n events of many kinds.
func write(t testing.TB, w *testkit.World, org models.OrgID, n int, random *rand.Rand) {
	t.Helper()
	names := []string{"Ada Lovelace", "Grace Hopper", "Édith Clarke", "root@10.0.0.7"}
	for start := 0; start < n; start += 200 {
		err := w.System.Within(t.Context(), org, models.SystemActor, func(x *models.Writer) error {
			for i := start; i < min(start+200, n); i++ {
				e := models.Event{Action: models.Actions[random.IntN(4)], Outcome: models.Outcomes[random.IntN(4)],
					Object: models.Object{Kind: "machine", ID: string(models.NewID[models.MachineID]()), Name: fmt.Sprintf("web-%04d", random.IntN(300))},
					After:  map[string]any{"state": "running", "by": names[random.IntN(len(names))]}}
				if i == 700 {
					e.After["note"] = "Once only: zebra/stripes"
				}
				if err := x.Record(e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// linkShuffled links what there is, some of it later than its id would have
// it, as transactions that took long do.
func linkShuffled(t testing.TB, w *testkit.World, org models.OrgID, random *rand.Rand) {
	t.Helper()
	var links []models.AuditLink
	err := w.System.Look(t.Context(), org, func(r *models.Reader) error {
		events, err := r.Unlinked(time.Time{}, 10_000)
		for i := 0; i < len(events); i += 50 {
			j := min(i+random.IntN(900), len(events)-1)
			events[i], events[j] = events[j], events[i]
		}
		for i, e := range events {
			links = append(links, models.AuditLink{OrgID: org, Sequence: int64(i + 1), EventID: e.ID})
		}
		return err
	})
	if err == nil {
		for batch := range slices.Chunk(links, 500) {
			err = errors.Join(err, w.System.AppendLinks(t.Context(), org, batch))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A search finds what looking at every event finds, in both directions, page
// by page, with and without an index.
func TestSearchFindsWhatLookingAtAllFinds(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		random := rand.New(rand.NewPCG(1, 2)) // #nosec G404 -- the same in every run
		org := w.Acme.ID
		write(t, w, org, 1700, random)
		linkShuffled(t, w, org, random)
		write(t, w, org, 40, random)
		var all []models.AuditEvent
		look := func(fn func(r *models.Reader) error) {
			t.Helper()
			if err := w.System.Look(t.Context(), org, fn); err != nil {
				t.Fatal(err)
			}
		}
		look(func(r *models.Reader) error {
			rows, upTo, err := r.EventsBehind(models.EventFilter{}, "", 5000)
			for _, row := range rows {
				all = append(all, *row.Event)
			}
			if upTo != "" {
				t.Error("there is more")
			}
			return err
		})
		slices.Reverse(all)
		some := all[len(all)/2]
		filters := []models.EventFilter{
			{}, {Action: some.Action}, {Outcome: some.Outcome}, {Action: some.Action, Outcome: some.Outcome},
			{Text: "web-0042"}, {Text: "0042"}, {Text: "WEB"}, {Text: "zebra"}, {Text: "stripes"}, {Text: "absent"}, {Text: "lovelace web-01"},
			{Text: "édith"}, {Text: "10.0.0.7"}, {Text: "%"}, {Text: `_`}, {Text: "' OR 1=1 --"}, {Text: some.ObjectID}, {Text: string(some.ID)},
			{Object: some.ObjectID}, {Object: "web-00"}, {Object: some.ObjectName, Outcome: some.Outcome}, {Actor: "millw"}, {Actor: "nobody"}, {Actor: "web-0042"},
			{From: some.At, Text: "web"}, {To: some.At}, {From: all[len(all)-200].At, To: some.At, Action: some.Action}, {To: some.At, Text: "hopper", Object: "web-02"},
		}
		check := func(state string) {
			for _, f := range filters {
				var want []models.EventID
				for i := range all {
					if f.Matches(&all[i]) {
						want = append(want, all[i].ID)
					}
				}
				f.Page.Limit = 130
				var got, back []models.EventID
				look(func(r *models.Reader) error {
					for {
						page, err := r.Events(f)
						if err != nil {
							return err
						}
						for _, e := range page.Rows {
							got = append(got, e.ID)
						}
						if page.Next == "" {
							break
						}
						f.Page.After = page.Next
					}
					last := f.Page.After
					if last == "" {
						back = got
						return nil
					}
					page, err := r.Events(f)
					if err != nil {
						return err
					}
					for back = ids(page.Rows); page.Prev != ""; back = append(ids(page.Rows), back...) {
						f.Page.After, f.Page.Before = "", page.Prev
						if page, err = r.Events(f); err != nil {
							return err
						}
					}
					return nil
				})
				f.Page = models.Paging{}
				if !slices.Equal(got, want) {
					t.Errorf("%s: %+v finds %d, there are %d", state, f, len(got), len(want))
				}
				if !slices.Equal(back, want) {
					t.Errorf("%s: %+v backwards finds %d, there are %d", state, f, len(back), len(want))
				}
			}
		}
		check("without an index")
		made, err := w.System.IndexHistory(t.Context(), org, 2)
		if err != nil || made != 2 {
			t.Fatalf("%d blocks: %v", made, err)
		}
		check("half indexed")
		if made, err = w.System.IndexHistory(t.Context(), org, 100); err != nil || made != 1 {
			t.Fatalf("%d more blocks: %v", made, err)
		}
		check("indexed")
		look(func(r *models.Reader) error {
			page, err := r.Events(models.EventFilter{Text: "zebra"})
			if len(page.Rows) != 1 {
				t.Errorf("zebra: %+v", page.Rows)
			}
			return err
		})
		// Another org's search has nothing of it.
		err = w.System.Look(t.Context(), w.Globex.ID, func(r *models.Reader) error {
			page, err := r.Events(models.EventFilter{Text: "web"})
			if len(page.Rows) != 0 {
				t.Errorf("globex finds %+v", page.Rows)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func ids(rows []models.AuditEvent) []models.EventID {
	list := make([]models.EventID, len(rows))
	for i, e := range rows {
		list[i] = e.ID
	}
	return list
}
