package web

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// Not even a header tells a foreign machine from an invented one, to a page, a
// script or a part of a page.
func TestForeignAndInventedAnswerWithTheSameHeaders(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		foreign := p.order("web-1")
		for _, header := range [][]string{{"Accept", "text/html"}, {"Accept", "application/json"}, {"HX-Request", "true"}} {
			for _, r := range p.orgRoutes() {
				seen := map[string]string{}
				for name, path := range map[string]string{
					"foreign":  address(r.path, "acme", string(foreign)),
					"invented": address(r.path, "nosuchorg", string(models.NewID[models.MachineID]())),
				} {
					answer := p.as("user@globex.example").send(p.as("user@globex.example").request(r.method, path,
						url.Values{"op": {"stop"}, "confirm": {"web-1"}}, header...))
					h := answer.Header().Clone()
					h.Del("X-Request-Id")
					seen[name] = fmt.Sprint(answer.Code, h, answer.Body.String())
				}
				if seen["foreign"] != seen["invented"] {
					t.Errorf("%s %s: %s\n%s", r.method, r.path, seen["foreign"], seen["invented"])
				}
			}
		}
	})
}

// A method that a page doesn't take is the same for whoever asks.
func TestOtherMethodsTellNothing(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	id := string(p.order("web-1"))
	b := p.as("user@globex.example")
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, http.MethodHead, "TRACE", "PROPFIND"} {
		mine, invented := b.send(b.request(method, "/orgs/acme/machines/"+id, nil, "Sec-Fetch-Site", "same-origin")), b.send(b.request(method, "/orgs/nosuchorg/machines/x", nil, "Sec-Fetch-Site", "same-origin"))
		if mine.Code != invented.Code || mine.Code < 204 || mine.Code == 500 || mine.Body.String() != invented.Body.String() {
			t.Errorf("%s: %d and %d", method, mine.Code, invented.Code)
		}
	}
}
