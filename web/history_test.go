package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestAuditorExportsAndVerifies(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		p.Machine(t, "web-1")
		auditor, user := p.as("auditor@acme.example"), p.as("user@acme.example")
		for path, want := range map[string]struct{ kind, name, text string }{
			"/orgs/acme/history/export":                           {"application/jsonl", "acme-history-2", `"complete":true`},
			"/orgs/acme/history/export?format=jsonl&object=web-1": {"application/jsonl", "acme-history-partial-2", `"complete":false`},
			"/orgs/acme/history/export?format=csv":                {"text/csv", ".csv", "web-1"},
		} {
			answer := auditor.get(path)
			name := answer.Header().Get("Content-Disposition")
			if answer.Code != http.StatusOK || !strings.HasPrefix(answer.Header().Get("Content-Type"), want.kind) ||
				!strings.Contains(name, "attachment") || !strings.Contains(name, want.name) || !strings.Contains(answer.Body.String(), want.text) {
				t.Errorf("%s: %d, %s, %s", path, answer.Code, name, answer.Body)
			}
			if answer := user.get(path); answer.Code != http.StatusForbidden {
				t.Errorf("%s for a user: %d", path, answer.Code)
			}
		}
		if answer := auditor.get("/orgs/acme/history/export?format=xml"); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("another format: %d", answer.Code)
		}
		answer := auditor.post("/orgs/acme/history/verify", nil)
		if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "Intact up to event") || !strings.Contains(answer.Body.String(), "data-unsealed") {
			t.Errorf("verify: %d: %s", answer.Code, answer.Body)
		}
		if told := p.events(models.EventFilter{Action: models.ActionHistoryVerify}); len(told) != 1 || told[0].Outcome != models.OutcomeSucceeded {
			t.Errorf("told: %+v", told)
		}
		if told := p.events(models.EventFilter{Action: models.ActionHistoryExport}); len(told) != 3 {
			t.Errorf("told: %+v", told)
		}
	})
}
