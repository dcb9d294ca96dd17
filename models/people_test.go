package models_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// The list of an org's people comes in pages by name, whole and once each in
// both directions, though many are called the same; and it is searched.
func TestPeopleComeInPages(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		w := testkit.NewWorld(t, db)
		for i := range 23 {
			u, err := w.System.PutUser(ctx, models.User{Email: fmt.Sprintf("p%02d_x@people.example", i), Name: fmt.Sprintf("Same Name %d", i%3)})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.System.PutMember(ctx, w.Acme.ID, u.ID, []models.Role{models.RoleUser, models.RoleAuditor}[i%2]); err != nil {
				t.Fatal(err)
			}
		}
		s := w.Scope(t, "auditor@acme.example", "acme")
		page := func(f models.PeopleFilter) models.Page[models.Person] {
			var p models.Page[models.Person]
			err := s.Read(ctx, func(r *models.Reader) (err error) {
				p, err = r.People(f)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		var forward, backward []string
		f := models.PeopleFilter{Page: models.Paging{Limit: 4}}
		for {
			p := page(f)
			for _, one := range p.Rows {
				forward = append(forward, one.Email)
			}
			if p.Next == "" {
				f.Page = models.Paging{Before: p.Prev, Limit: 4}
				for i := range p.Rows {
					backward = append(backward, p.Rows[len(p.Rows)-1-i].Email)
				}
				break
			}
			f.Page = models.Paging{After: p.Next, Limit: 4}
		}
		for f.Page.Before != "" {
			p := page(f)
			for i := range p.Rows {
				backward = append(backward, p.Rows[len(p.Rows)-1-i].Email)
			}
			f.Page.Before = p.Prev
		}
		slices.Reverse(backward)
		if all := slices.Compact(slices.Sorted(slices.Values(forward))); len(all) != 26 || len(forward) != 26 || !slices.Equal(forward, backward) {
			t.Errorf("forward %v\nbackward %v", forward, backward)
		}
		for search, want := range map[string]int{"same name 1": 8, "P0": 10, "_x@": 23, "%": 0, "globex": 0, "of acme": 3, "nobody": 0} {
			if got := page(models.PeopleFilter{Search: search, Page: models.Paging{Limit: 200}}); len(got.Rows) != want {
				t.Errorf("%q finds %d, want %d", search, len(got.Rows), want)
			}
		}
		for _, one := range page(models.PeopleFilter{Role: models.RoleAuditor, Search: "same", Page: models.Paging{Limit: 200}}).Rows {
			if one.Role != models.RoleAuditor || !strings.HasPrefix(one.Name, "Same") {
				t.Errorf("found %+v", one)
			}
		}
	})
}
