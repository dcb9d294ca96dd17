package models_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestFeedMovesIdleMachinesOnly(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		off, busy, gone := w.Machine(t, "off"), w.Machine(t, "busy"), w.Machine(t, "gone")
		s := w.Scope(t, "user@acme.example", "acme")
		err := s.Change(ctx, func(tx *models.Writer) error {
			task := models.Task{MachineID: busy.ID, MachineName: busy.Name, Kind: models.TaskPower, Op: models.PowerReset}
			if err := tx.InsertTask(&task, []models.StepSpec{{Name: "power", Title: "Reset"}}); err != nil {
				return err
			}
			return tx.Record(models.Event{Action: models.ActionMachinePower, Object: busy.Object(), Outcome: models.OutcomeAccepted})
		})
		if err != nil {
			t.Fatal(err)
		}
		seen := []models.Observation{
			{InstanceUUID: off.ID.InstanceUUID(), Power: "poweredOff", Ref: "vm-1", Host: "esx-1"},
			{InstanceUUID: busy.ID.InstanceUUID(), Power: "poweredOff", Ref: "vm-2", Host: "esx-1"},
		}
		if err := w.System.Observe(ctx, w.Public.ID, true, time.Now().Add(time.Second), time.Now().Add(time.Second), seen); err != nil {
			t.Fatal(err)
		}
		want := map[models.MachineID]models.MachineState{off.ID: models.MachineStopped, busy.ID: models.MachineRunning, gone.ID: models.MachineMissing}
		err = s.Read(ctx, func(r *models.Reader) error {
			for id, state := range want {
				m, err := r.Machine(id)
				if err != nil {
					return err
				}
				if m.State != state {
					t.Errorf("%s is %s, want %s", m.Name, m.State, state)
				}
			}
			events, err := r.Events(models.EventFilter{Action: models.ActionMachineState})
			if err == nil && len(events.Rows) != 2 {
				t.Errorf("%d events tell of it, want 2", len(events.Rows))
			}
			for _, e := range events.Rows {
				if e.ActorKind != models.ActorVSphere {
					t.Errorf("actor is %s", e.ActorKind)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		// The machine that comes back is seen again; the same sight twice changes nothing.
		back := append(slices.Clone(seen), models.Observation{InstanceUUID: gone.ID.InstanceUUID(), Power: "poweredOn", Ref: "vm-3"})
		for range 2 {
			if err := w.System.Observe(ctx, w.Public.ID, true, time.Now().Add(time.Second), time.Now().Add(time.Second), back); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.Read(ctx, func(r *models.Reader) error {
			events, err := r.Events(models.EventFilter{Action: models.ActionMachineState, Object: string(gone.ID)})
			if err != nil || len(events.Rows) != 2 {
				t.Errorf("%d events of the lost machine: %v", len(events.Rows), err)
			}
			return nil
		})
	})
}

// A delivery says what was. A machine that a Task has moved since it was asked
// for stays as the Task left it.
func TestDeliveryDoesNotOverruleALaterMove(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		m := w.Machine(t, "web-1") // running, as of now
		off := []models.Observation{{InstanceUUID: m.ID.InstanceUUID(), Ref: "vm-1", Power: "poweredOff"}}
		state := func() (s models.MachineState) {
			t.Helper()
			err := w.System.Look(ctx, w.Acme.ID, func(r *models.Reader) error {
				row, err := r.Machine(m.ID)
				s = row.State
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		for _, full := range []bool{true, false} {
			if err := w.System.Observe(ctx, w.Public.ID, full, time.Now(), time.Now().Add(-time.Minute), off); err != nil {
				t.Fatal(err)
			}
			if got := state(); got != models.MachineRunning {
				t.Fatalf("full %v: what was seen before the move made it %s", full, got)
			}
		}
		if err := w.System.Observe(ctx, w.Public.ID, false, time.Now(), time.Now().Add(time.Second), off); err != nil {
			t.Fatal(err)
		}
		if got := state(); got != models.MachineStopped {
			t.Errorf("what was seen after the move leaves it %s", got)
		}
	})
}
