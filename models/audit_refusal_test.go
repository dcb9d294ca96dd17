package models_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// A hundred refusals of one source in a minute are two events, and none of
// them is lost: neither an unknown account's nor a known one's.
func TestRefusalsOfStrangersAreToldTogether(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := t.Context()
		petra := w.User("user@acme.example")
		refused := func(id, name string) models.Event {
			return models.Event{Action: models.ActionSignInRefused, Outcome: models.OutcomeRefused, Object: models.Object{Kind: "user", ID: id, Name: name}}
		}
		const tries = 100
		for i := range tries {
			actor := models.Actor{Kind: models.ActorNobody, Name: "Somebody", Source: "192.0.2.66"}
			if err := w.System.RefuseStranger(ctx, actor, refused("", fmt.Sprintf("a%d@x.example", i%30))); err != nil {
				t.Fatal(err)
			}
			if err := w.System.RefuseForUser(ctx, petra.ID, actor, refused(string(petra.ID), petra.Name)); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the second finds nothing left
			if err := w.System.TellRefusals(ctx, models.Now().Add(2*time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		for _, org := range []models.OrgID{models.ProviderOrg, w.Acme.ID} {
			err := w.System.Look(ctx, org, func(r *models.Reader) error {
				page, err := r.Events(models.EventFilter{Action: models.ActionSignInRefused})
				// The clock may have passed into another minute meanwhile.
				if err != nil || len(page.Rows) < 2 || len(page.Rows) > 4 {
					t.Errorf("%s: %d events: %v", org, len(page.Rows), err)
				}
				told := 0
				for _, e := range page.Rows {
					if e.Source != "192.0.2.66" || e.ActorKind != models.ActorNobody {
						t.Errorf("%+v", e)
					}
					var after struct {
						Tries    int      `json:"tries"`
						Accounts []string `json:"accounts"`
					}
					if e.After == "" {
						told++
						continue
					}
					if err := json.Unmarshal([]byte(e.After), &after); err != nil {
						t.Error(err)
					}
					if told += after.Tries; len(after.Accounts) > 20 {
						t.Errorf("%d accounts are named", len(after.Accounts))
					}
				}
				if told != tries {
					t.Errorf("%s: %d of %d are told", org, told, tries)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
