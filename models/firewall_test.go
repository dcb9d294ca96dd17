package models_test

import (
	"context"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestRulesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		acme := w.Scope(t, "admin@acme.example", "acme")
		ids := map[string]models.RuleID{}
		for _, name := range []string{"a", "b", "c", "d"} {
			r := models.FirewallRule{Direction: "in", Protocol: "any", Comment: name, Enabled: true}
			if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.AddRule(&r) }); err != nil {
				t.Fatal(err)
			}
			ids[name] = r.ID
		}
		order := func() string {
			var list []string
			err := acme.Read(ctx, func(r *models.Reader) error {
				rules, err := r.FirewallRules()
				for i, rule := range rules {
					if rule.Position != i+1 {
						t.Errorf("%s is at %d", rule.Comment, rule.Position)
					}
					list = append(list, rule.Comment)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(list, "")
		}
		move := func(name string, to int) {
			t.Helper()
			if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.MoveRule(ids[name], to) }); err != nil {
				t.Fatal(err)
			}
		}
		move("d", 1)
		move("a", 4)
		if got := order(); got != "dbca" {
			t.Errorf("order %s", got)
		}
		if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.DeleteRule(ids["b"]) }); err != nil {
			t.Fatal(err)
		}
		if got := order(); got != "dca" {
			t.Errorf("order %s", got)
		}
	})
}
