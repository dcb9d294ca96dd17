package models_test

import (
	"context"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// A full disk has a code of its own, and what was begun is not there.
func TestFullDiskKeepsNothingHalfDone(t *testing.T) {
	t.Parallel()
	db := testkit.SQLite(t)
	w := testkit.NewWorld(t, db)
	m := w.Machine(t, "web-1")
	s := w.Scope(t, "user@acme.example", "acme")
	ctx := context.Background()
	var pages int
	if err := db.SQL().QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if err := db.SQL().QueryRowContext(ctx, "PRAGMA max_page_count = 1").Scan(&pages); err != nil { // as small as it is now
		t.Fatal(err)
	}
	fill := func() error {
		return s.Change(ctx, func(tx *models.Writer) error {
			if err := tx.TakeQuota(models.Amounts{models.ResourceMachines: 1}); err != nil {
				return err
			}
			return tx.Record(models.Event{Action: models.ActionMachinePower, Object: m.Object(), Outcome: models.OutcomeAccepted,
				After: map[string]any{"text": string(make([]byte, 64<<10))}})
		})
	}
	var err error
	for range 100 {
		if err = fill(); err != nil {
			break
		}
	}
	if models.CodeOf(err) != models.CodeDown {
		t.Fatalf("a full disk is told as %v", err)
	}
	err = s.Read(ctx, func(r *models.Reader) error {
		quotas, err := r.Quotas()
		for _, q := range quotas {
			events, eventErr := r.Events(models.EventFilter{Action: models.ActionMachinePower, Page: models.Paging{Limit: 200}})
			if eventErr != nil {
				return eventErr
			}
			if q.Resource == models.ResourceMachines && q.Used != int64(1+len(events.Rows)) {
				t.Errorf("%d used, %d told", q.Used, len(events.Rows))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
