package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// A bar that somebody bent in the database is found, told, and set right with
// an event in the org's history.
func TestBentBarIsFoundAndSetRight(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		w.Machine(t, "web-1")
		ctx := context.Background()
		check := func(c checkQuotasCommand) (string, error) {
			var out bytes.Buffer
			err := c.check(ctx, w.System, &out)
			return out.String(), err
		}
		if text, err := check(checkQuotasCommand{}); err != nil || strings.Count(text, "agrees") != 2*len(models.Resources) {
			t.Fatalf("%v\n%s", err, text)
		}
		err := w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error {
			return tx.TakeQuota(models.Amounts{models.ResourceMachines: 2, models.ResourceTasks: 3})
		})
		if err != nil {
			t.Fatal(err)
		}
		text, err := check(checkQuotasCommand{JSON: true})
		var lines []quotaLine
		if err := json.Unmarshal([]byte(text), &lines); err != nil {
			t.Fatal(err)
		}
		differ := map[models.Resource]quotaLine{}
		for _, l := range lines {
			if !l.Agrees {
				differ[l.Resource] = l
			}
		}
		if !errors.Is(err, errQuotasDiffer) || len(differ) != 2 || differ[models.ResourceMachines].Used != 3 || differ[models.ResourceMachines].Counted != 1 || differ[models.ResourceTasks].Org != "acme" {
			t.Fatalf("%v: %+v", err, differ)
		}
		if text, err := check(checkQuotasCommand{Repair: true}); !errors.Is(err, errQuotasDiffer) || strings.Count(text, "DIFFERS, set right") != 2 {
			t.Fatalf("%v\n%s", err, text)
		}
		if text, err := check(checkQuotasCommand{Repair: true}); err != nil || strings.Contains(text, "DIFFERS") {
			t.Fatalf("%v\n%s", err, text)
		}
		err = w.System.Look(ctx, w.Acme.ID, func(r *models.Reader) error {
			page, err := r.Events(models.EventFilter{Action: models.ActionQuotaRepair})
			if err == nil && (len(page.Rows) != 1 || page.Rows[0].Before != `{"machines":3,"tasks":3}` || page.Rows[0].After != `{"machines":1,"tasks":0}`) {
				t.Errorf("told: %+v", page.Rows)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
