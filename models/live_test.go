package models_test

import (
	"context"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestGapInListeningIsTold(t *testing.T) {
	t.Parallel()
	url := testkit.PostgresURL(t)
	db, kill := testkit.Open(t, url), killer(t, url)
	w := testkit.NewWorld(t, db)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan struct{})
	go func() { defer close(ended); db.Listen(ctx) }()
	changes, stop := w.Scope(t, "user@acme.example", "acme").Watch()
	defer stop()
	// Until the listener hears something, it may not be there yet.
	deadline := time.After(20 * time.Second)
	for heard := false; !heard; {
		w.Machine(t, string("m"+models.NewID[string]()[28:]))
		select {
		case <-changes:
			heard = true
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			t.Fatal("nothing was heard")
		}
	}
	kill("query LIKE 'LISTEN%'")
	for {
		select {
		case c := <-changes:
			if c.Kind == "all" {
				cancel()
				<-ended
				return
			}
		case <-deadline:
			t.Fatal("the gap was never told")
		}
	}
}

func TestSlowSubscriberHearsOfWhatItMissed(t *testing.T) {
	t.Parallel()
	db := testkit.SQLite(t)
	w := testkit.NewWorld(t, db)
	s := w.Scope(t, "user@acme.example", "acme")
	mine, stop := s.Watch()
	defer stop()
	all, stopAll := w.System.Watch()
	defer stopAll()
	for range 400 {
		err := s.Change(context.Background(), func(tx *models.Writer) error {
			return tx.Record(models.Event{Action: models.ActionMachinePower, Outcome: models.OutcomeAccepted})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, changes := range map[string]<-chan models.Change{"org": mine, "system": all} {
		told := false
		for len(changes) > 0 {
			c := <-changes
			told = told || c.Kind == "all"
			if c.Kind == "all" && name == "system" && c.Org != "" {
				t.Errorf("what the system missed is told of %s alone", c.Org)
			}
		}
		if !told {
			t.Errorf("%s: nothing tells that changes were missed", name)
		}
	}
}
