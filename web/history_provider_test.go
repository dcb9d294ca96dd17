package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// The provider's people see every history and each one's chain; nobody else
// sees that page.
func TestProviderReadsEveryHistory(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		p.Machine(t, "web-1")
		operator := p.as("operator@provider.example")
		for path, want := range map[string][]string{
			"/provider/history":                                                  {"Acme", "Order machine", "Sign in", "Choose one history"},
			"/provider/history?org=acme&q=web-1":                                 {"Order machine", "Export filtered CSV"},
			"/provider/history?org=acme&q=order":                                 {`hx-get="/provider/history?org=acme&amp;part=list&amp;q=order"`, `"/provider/events"`}, // it renews itself
			"/provider/history?q=unicorn":                                        {"No event matches"},
			"/provider/history?org=provider":                                     {"Export CSV"},
			"/provider/history/export?org=acme":                                  {`"slug":"acme"`, "web-1", `"complete":true`},
			"/provider/history/export?org=acme&format=csv&action=machine.create": {"machine.create"},
			"/provider/history/export?org=provider":                              {`"slug":"provider"`},
		} {
			answer := operator.get(path)
			if answer.Code != http.StatusOK {
				t.Errorf("%s: %d", path, answer.Code)
			}
			for _, text := range want {
				if !strings.Contains(answer.Body.String(), text) {
					t.Errorf("%s has no %q", path, text)
				}
			}
		}
		if part := operator.get("/provider/history?org=acme&part=list", "HX-Request", "true"); part.Code != http.StatusOK || !strings.HasPrefix(strings.TrimSpace(part.Body.String()), `<div id="events"`) || !strings.Contains(part.Body.String(), "web-1") {
			t.Errorf("the part that renews itself: %d", part.Code)
		}
		if body := operator.get("/provider/history?org=globex").Body.String(); strings.Contains(body, "web-1") {
			t.Error("globex's history has acme's machine")
		}
		for path, want := range map[string]int{"/provider/history?org=nobody": http.StatusNotFound, "/provider/history/export": http.StatusUnprocessableEntity,
			"/provider/history?action=nothing": http.StatusUnprocessableEntity, "/provider/history?after=!": http.StatusUnprocessableEntity} {
			if answer := operator.get(path); answer.Code != want {
				t.Errorf("%s: %d", path, answer.Code)
			}
		}
		if answer := operator.post("/provider/history/verify?org=acme", nil); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "Intact up to event") {
			t.Errorf("verify: %d", answer.Code)
		}
		// The org's own history has that the provider took it away.
		if told := p.events(models.EventFilter{Action: models.ActionHistoryExport}); len(told) != 2 || told[0].ActorName != "Operator of provider" {
			t.Errorf("told: %+v", told)
		}
		if answer := p.as("admin@acme.example").get("/provider/history"); answer.Code != http.StatusNotFound {
			t.Errorf("an org's admin: %d", answer.Code)
		}
	})
}

// An event's page shows before and after, and its place in the chain.
func TestEventsPageShowsBeforeAndAfter(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		err := p.System.RecordIn(t.Context(), p.Acme.ID, models.VSphereActor, models.Event{Action: models.ActionMachineState, Outcome: models.OutcomeSucceeded,
			Object: models.Object{Kind: "machine", ID: "m-1", Name: "web-1 <b>"}, Before: map[string]any{"state": "running"}, After: map[string]any{"state": "missing"}})
		if err != nil {
			t.Fatal(err)
		}
		told := p.events(models.EventFilter{Action: models.ActionMachineState})
		if len(told) != 1 {
			t.Fatalf("told: %+v", told)
		}
		path := "/history/" + string(told[0].ID)
		body := p.as("user@acme.example").get("/orgs/acme" + path).Body.String()
		for _, text := range []string{"<del>running</del>", "<ins>missing</ins>", "web-1 &lt;b&gt;", string(told[0].ID), "Not sealed yet"} {
			if !strings.Contains(body, text) {
				t.Errorf("the page has no %q", text)
			}
		}
		if answer := p.as("user@globex.example").get("/orgs/globex" + path); answer.Code != http.StatusNotFound {
			t.Errorf("a stranger gets %d", answer.Code)
		}
		if answer := p.as("operator@provider.example").get("/provider" + path); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "Acme") {
			t.Errorf("the provider gets %d", answer.Code)
		}
	})
}
