package models_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestZeroScopeRefuses(t *testing.T) {
	t.Parallel()
	var s models.Scope
	if err := s.Read(context.Background(), func(*models.Reader) error { return nil }); !errors.Is(err, models.ErrNoScope) {
		t.Fatalf("read: %v", err)
	}
	if err := s.Change(context.Background(), func(*models.Writer) error { return nil }); !errors.Is(err, models.ErrNoScope) {
		t.Fatalf("change: %v", err)
	}
}

func TestStrangerSeesNothing(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		m := w.Machine(t, "web-1")
		ctx := context.Background()
		mine, theirs := w.Scope(t, "user@acme.example", "acme"), w.Scope(t, "user@globex.example", "globex")
		look := func(s *models.Scope) (machines, events, networks int, err error) {
			err = s.Read(ctx, func(r *models.Reader) error {
				page, err := r.Machines(models.MachineFilter{})
				if err != nil {
					return err
				}
				history, err := r.Events(models.EventFilter{Object: string(m.ID)})
				if err != nil {
					return err
				}
				list, err := r.Networks()
				if err != nil {
					return err
				}
				machines, events, networks = len(page.Rows), len(history.Rows), len(list)
				_, err = r.Machine(m.ID)
				return err
			})
			return machines, events, networks, err
		}
		if machines, events, networks, err := look(mine); err != nil || machines != 1 || events == 0 || networks != 2 {
			t.Errorf("acme sees %d machines, %d events, %d networks: %v", machines, events, networks, err)
		}
		if machines, events, networks, err := look(theirs); !errors.Is(err, models.ErrNotFound) || machines != 0 || events != 0 || networks != 1 {
			t.Errorf("globex sees %d machines, %d events, %d networks: %v", machines, events, networks, err)
		}
		// Writing to it finds nothing to write to.
		err := theirs.Change(ctx, func(tx *models.Writer) error { return tx.MoveMachine(m.ID, models.MachineStopped, nil) })
		if !errors.Is(err, models.ErrConflict) {
			t.Errorf("globex moved acme's machine: %v", err)
		}
		if err := theirs.Change(ctx, func(tx *models.Writer) error { return tx.ReleaseMachine(m.ID) }); !errors.Is(err, models.ErrUnrecorded) {
			t.Errorf("release: %v", err)
		}
	})
}

func TestStrangerHasNoScope(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		who := w.SignedIn(t, "user@globex.example")
		for _, slug := range []string{"acme", "nobody", ""} {
			if _, err := w.System.Scope(context.Background(), who, slug); !errors.Is(err, models.ErrNotFound) {
				t.Errorf("%q: %v", slug, err)
			}
		}
	})
}

func TestChangeWithoutEventIsNotKept(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		m := w.Machine(t, "web-1")
		s := w.Scope(t, "user@acme.example", "acme")
		err := s.Change(context.Background(), func(tx *models.Writer) error {
			return tx.MoveMachine(m.ID, models.MachineStopped, nil)
		})
		if !errors.Is(err, models.ErrUnrecorded) {
			t.Fatalf("got %v", err)
		}
		err = s.Read(context.Background(), func(r *models.Reader) error {
			got, err := r.Machine(m.ID)
			if err == nil && got.State != models.MachineRunning {
				err = fmt.Errorf("state is %s", got.State)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestOneActiveTaskPerMachine(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		m := w.Machine(t, "web-1")
		s := w.Scope(t, "user@acme.example", "acme")
		ask := func() error {
			return s.Change(context.Background(), func(tx *models.Writer) error {
				task := models.Task{MachineID: m.ID, MachineName: m.Name, Kind: models.TaskPower, Op: models.PowerStop}
				if err := tx.InsertTask(&task, []models.StepSpec{{Name: "power", Title: "Power off"}}); err != nil {
					return err
				}
				return tx.Record(models.Event{Action: models.ActionMachinePower, Object: m.Object(), Outcome: models.OutcomeAccepted})
			})
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		if err := ask(); !errors.Is(err, models.ErrConflict) {
			t.Fatalf("second task: %v", err)
		}
	})
}
