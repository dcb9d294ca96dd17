package web

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

var (
	memberRow = regexp.MustCompile(`data-member-id="`)
	nextPage  = regexp.MustCompile(`href="([^"]+)"[^>]*rel="next"|rel="next"[^>]*href="([^"]+)"`)
)

// A large org's people come in pages; search and role stay in the address from
// page to page, and in the address that the list renews itself by.
func TestPeopleArePagedAndSearched(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		for i := range 120 {
			u, err := p.System.PutUser(t.Context(), models.User{Email: fmt.Sprintf("clone%03d@people.example", i), Name: fmt.Sprintf("Clone %03d", i)})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.System.PutMember(t.Context(), p.Acme.ID, u.ID, models.RoleUser); err != nil {
				t.Fatal(err)
			}
		}
		b := p.as("auditor@acme.example")
		seen, pages := 0, 0
		for path := "/orgs/acme/people?q=clone&role=user"; path != ""; pages++ {
			page := b.get(path)
			body := page.Body.String()
			if page.Code != http.StatusOK || !strings.Contains(body, `value="clone"`) || !strings.Contains(body, "part=list&amp;q=clone&amp;role=user") {
				t.Fatalf("%s: %d", path, page.Code)
			}
			seen += len(memberRow.FindAllString(body, -1))
			next := nextPage.FindStringSubmatch(body)
			path = ""
			if next != nil {
				path = strings.ReplaceAll(next[1]+next[2], "&amp;", "&")
				if !strings.Contains(path, "q=clone") || !strings.Contains(path, "role=user") {
					t.Errorf("the next page forgets the filter: %s", path)
				}
			}
		}
		if seen != 120 || pages != 3 {
			t.Errorf("%d people on %d pages", seen, pages)
		}
		if page := b.get("/orgs/acme/people?q=nobody-here").Body.String(); !strings.Contains(page, "Nobody matches") || !strings.Contains(page, "Show everybody") {
			t.Error("nothing says that nobody matches")
		}
		if page := b.get("/orgs/acme/people?q=auditor").Body.String(); strings.Count(page, ">You<") != 1 {
			t.Error("the reader's own row doesn't say so")
		}
		for _, bad := range []string{"role=operator", "role=x", "after=%21", "limit=-1"} {
			if page := b.get("/orgs/acme/people?" + bad); page.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s: %d", bad, page.Code)
			}
		}
	})
}
