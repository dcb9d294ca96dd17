package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// An event that was archived is not gone: its page says where it is and how it
// is read there, to whom it belongs and to nobody else.
func TestArchivedEventSaysWhereItIs(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		p.Machine(t, "web-1")
		event := p.events(models.EventFilter{Object: "web-1"})[0]
		dir := t.TempDir()
		key, err := audit.ReadOrMakeKey(dir + "/checkpoint.key")
		if err != nil {
			t.Fatal(err)
		}
		outside, err := audit.OpenOutside(dir + "/checkpoints.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		service := audit.New(p.System, audit.Options{Key: key, Outside: outside})
		if err := service.Seal(t.Context(), p.Acme.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := service.Checkpoint(t.Context(), p.Acme.ID); err != nil {
			t.Fatal(err)
		}
		made, err := service.Archive(t.Context(), p.Acme, time.Now().Add(time.Hour), dir)
		if err != nil || len(made) != 1 {
			t.Fatalf("%+v: %v", made, err)
		}
		auditor, operator := p.as("auditor@acme.example"), p.as("operator@provider.example")
		for path, who := range map[string]*browser{"/orgs/acme/history/": auditor, "/provider/history/": operator} {
			answer := who.get(path + string(event.ID))
			body := answer.Body.String()
			if answer.Code != http.StatusOK || !strings.Contains(body, "Archived event") || !strings.Contains(body, made[0].File) || !strings.Contains(body, made[0].SHA256) ||
				!strings.Contains(body, "millwright verify "+made[0].File) || !strings.Contains(body, "grep "+string(event.ID)) || strings.Contains(body, "web-1") {
				t.Errorf("%s: %d: %s", path, answer.Code, body)
			}
		}
		if body := auditor.get("/orgs/acme/history").Body.String(); !strings.Contains(body, "data-archived") || !strings.Contains(body, made[0].File) {
			t.Errorf("the list says nothing of it: %s", body)
		}
		stranger := p.as("admin@globex.example")
		foreign, absent := stranger.get("/orgs/globex/history/"+string(event.ID)), stranger.get("/orgs/globex/history/"+models.NewID[string]())
		if foreign.Code != http.StatusNotFound || absent.Code != http.StatusNotFound || strings.Contains(foreign.Body.String(), made[0].File) {
			t.Errorf("a stranger: %d, absent: %d", foreign.Code, absent.Code)
		}
	})
}
