package models_test

import (
	"context"
	"errors"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestEndedTaskIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		m := w.Machine(t, "web-1")
		s := w.Scope(t, "user@acme.example", "acme")
		ctx := context.Background()
		task := models.Task{MachineID: m.ID, MachineName: m.Name, Kind: models.TaskPower, Op: models.PowerStop}
		change := func(fn func(tx *models.Writer) error) error {
			return s.Change(ctx, func(tx *models.Writer) error {
				if err := fn(tx); err != nil {
					return err
				}
				return tx.Record(models.Event{Action: models.ActionMachinePower, Object: m.Object(), Outcome: models.OutcomeAccepted})
			})
		}
		err := change(func(tx *models.Writer) error {
			if err := tx.InsertTask(&task, []models.StepSpec{{Name: "power", Title: "Power off"}}); err != nil {
				return err
			}
			if err := tx.MoveTask(&task, models.TaskRunning, nil); err != nil {
				return err
			}
			return tx.MoveTask(&task, models.TaskSucceeded, map[string]any{"percent": 100})
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, write := range map[string]func(tx *models.Writer) error{
			"task": func(tx *models.Writer) error {
				return tx.SetTask(&task, map[string]any{"error_text": "x", "percent": 3})
			},
			"step": func(tx *models.Writer) error {
				return tx.SetStep(&task, 0, map[string]any{"state": models.StepFailed})
			},
			"log": func(tx *models.Writer) error { return tx.LogTask(&task, "late") },
		} {
			if err := change(write); !errors.Is(err, models.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
