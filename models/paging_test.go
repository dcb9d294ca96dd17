package models_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestPagesCoverTheListBothWays(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		for i := range 11 {
			w.Machine(t, fmt.Sprintf("web-%02d", 10-i))
		}
		s := w.Scope(t, "user@acme.example", "acme")
		page := func(f models.MachineFilter) models.Page[models.MachineRow] {
			var p models.Page[models.MachineRow]
			err := s.Read(context.Background(), func(r *models.Reader) (err error) {
				p, err = r.Machines(f)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		for _, sort := range models.MachineSorts {
			var forward, backward []string
			f := models.MachineFilter{Sort: sort, Page: models.Paging{Limit: 4}}
			var last models.Page[models.MachineRow]
			for {
				last = page(f)
				for _, m := range last.Rows {
					forward = append(forward, m.Name)
				}
				if last.Next == "" {
					break
				}
				f.Page.After = last.Next
			}
			if len(forward) != 11 || len(last.Rows) != 3 {
				t.Fatalf("%s: %d rows, last page %d", sort, len(forward), len(last.Rows))
			}
			f.Page = models.Paging{Limit: 4, Before: last.Prev}
			for {
				p := page(f)
				names := make([]string, 0, 8)
				for _, m := range p.Rows {
					names = append(names, m.Name)
				}
				backward = append(names, backward...)
				if p.Prev == "" {
					break
				}
				f.Page.Before = p.Prev
			}
			if got, want := fmt.Sprint(backward), fmt.Sprint(forward[:8]); got != want {
				t.Errorf("%s backward: %s, want %s", sort, got, want)
			}
			if sort == models.SortName && forward[0] != "web-00" {
				t.Errorf("by name begins with %s", forward[0])
			}
		}
		if p := page(models.MachineFilter{Search: "WEB-03"}); len(p.Rows) != 1 {
			t.Errorf("search found %d", len(p.Rows))
		}
		if p := page(models.MachineFilter{Search: "%"}); len(p.Rows) != 0 {
			t.Errorf("a percent sign found %d", len(p.Rows))
		}
	})
}
