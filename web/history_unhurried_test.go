package web

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// An export and a verification take what a long history takes, not what a page
// may take.
func TestWholeHistoryOutlastsAPage(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/orgs/acme/history", "/provider/history"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			p := newPortal(t, testkit.SQLite(t))
			for i := range 200 {
				p.record(fmt.Sprintf("machine-%d", i))
			}
			b := p.as("auditor@acme.example")
			if strings.HasPrefix(path, "/provider") {
				b = p.as("operator@provider.example")
			}
			p.server.patience = 50 * time.Millisecond
			const longer = 600 * time.Millisecond
			t.Run("export", func(t *testing.T) {
				server := p.server.listening()
				server.ReadTimeout = longer / 4
				listener := testkit.NewPipes(t)
				go func() { _ = server.Serve(listener) }()
				defer server.Close()
				client := &http.Client{Transport: &http.Transport{DialContext: listener.Dial, DisableKeepAlives: true}}
				r := b.request(http.MethodGet, path+"/export?org=acme", nil)
				r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", "portal"
				answer, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				time.Sleep(longer) // nothing is read meanwhile, so nothing more is written
				body, err := io.ReadAll(answer.Body)
				if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(body), `"end":true`) {
					t.Errorf("%d, %d bytes: %v", answer.StatusCode, len(body), err)
				}
			})
			t.Run("verify", func(t *testing.T) {
				writing, release := make(chan struct{}), make(chan struct{})
				go func() { // the only writer, for whom the verification waits at its end
					_ = p.System.Within(t.Context(), p.Acme.ID, models.SystemActor, func(w *models.Writer) error {
						close(writing)
						<-release
						return w.Record(powered("last"))
					})
				}()
				<-writing
				time.AfterFunc(longer, func() { close(release) })
				answer := b.post(path+"/verify?org=acme", nil)
				if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "Intact up to event") {
					t.Errorf("%d: %s", answer.Code, answer.Body)
				}
			})
		})
	}
}

func powered(name string) models.Event {
	return models.Event{Action: models.ActionMachinePower, Outcome: models.OutcomeSucceeded,
		Object: models.Object{Kind: "machine", ID: models.NewID[string](), Name: name}}
}

func (p *portal) record(name string) {
	p.t.Helper()
	if err := p.System.RecordIn(p.t.Context(), p.Acme.ID, models.SystemActor, powered(name)); err != nil {
		p.t.Fatal(err)
	}
}

// A refused export is a page that says so, not a file with that page in it; a
// refused one tells no history that it was made.
func TestRefusedExportIsNoFile(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		auditor := p.as("auditor@acme.example")
		for range 2 {
			export, err := p.audit.Export(t.Context(), p.Scope(t, "auditor@acme.example", "acme"), models.EventFilter{}, audit.JSONL)
			if err != nil {
				t.Fatal(err)
			}
			defer export.Close()
		}
		answer := auditor.get("/orgs/acme/history/export")
		if answer.Code != http.StatusTooManyRequests || answer.Header().Get("Content-Disposition") != "" ||
			!strings.HasPrefix(answer.Header().Get("Content-Type"), "text/html") || answer.Header().Get("Retry-After") == "" {
			t.Errorf("%d: %v", answer.Code, answer.Header())
		}
		if told := p.events(models.EventFilter{Action: models.ActionHistoryExport}); len(told) != 2 {
			t.Errorf("told: %+v", told)
		}
		if answer := p.as("operator@provider.example").get("/provider/history/export?org=acme"); answer.Code != http.StatusOK {
			t.Errorf("the provider's people wait: %d", answer.Code)
		}
	})
}

// Who verifies a filtered page has that page before him again.
func TestVerifyKeepsTheFilter(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		p.record("web-1")
		p.record("other-2")
		if err := p.audit.Seal(t.Context(), p.Acme.ID); err != nil {
			t.Fatal(err)
		}
		const query = "?from=2020-01-01&object=web-1&outcome=succeeded&q=web"
		for path, b := range map[string]*browser{
			"/orgs/acme/history" + query: p.as("auditor@acme.example"),
			"/provider/history" + strings.Replace(query, "&outcome", "&org=acme&outcome", 1): p.as("operator@provider.example"),
		} {
			verify := strings.Replace(path, "/history?", "/history/verify?", 1)
			if body := b.get(path).Body.String(); !strings.Contains(body, `action="`+strings.ReplaceAll(verify, "&", "&amp;")+`"`) {
				t.Errorf("%s: Verify leads elsewhere", path)
			}
			answer := b.post(verify, nil)
			body := answer.Body.String()
			if answer.Code != http.StatusOK || !strings.Contains(body, "Intact up to event") || !strings.Contains(body, "web-1") ||
				strings.Contains(body, "other-2") || !strings.Contains(body, `value="2020-01-01"`) {
				t.Errorf("%s: %d: %s", verify, answer.Code, body)
			}
			if answer := b.post(strings.Replace(verify, "2020-01-01", "yesterday", 1), nil); answer.Code != http.StatusUnprocessableEntity {
				t.Errorf("another day: %d", answer.Code)
			}
		}
	})
}
