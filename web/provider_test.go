package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestLookShowsABannerAndChangesNothing(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		id := string(p.Machine(t, "web-1").ID)
		b := p.as("operator@provider.example")
		if answer := b.get("/orgs/acme/machines"); answer.Code != http.StatusNotFound {
			t.Fatalf("without a look: %d", answer.Code)
		}
		if answer := b.post("/provider/orgs/acme/look", url.Values{"minutes": {"15"}}); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("without a reason: %d", answer.Code)
		}
		if answer := b.post("/provider/orgs/acme/look", url.Values{"minutes": {"15"}, "reason": {"Ticket <b>4711</b>"}}); answer.Code != http.StatusSeeOther {
			t.Fatalf("look: %d", answer.Code)
		}
		for _, path := range []string{"/orgs/acme/", "/orgs/acme/machines", "/orgs/acme/machines/" + id, "/orgs/acme/catalog", "/orgs/acme/tasks", "/orgs/acme/history"} {
			answer := b.get(path)
			if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "Ticket &lt;b&gt;4711&lt;/b&gt;") || !strings.Contains(answer.Body.String(), "End now") {
				t.Errorf("%s: %d, or no banner", path, answer.Code)
			}
			if answer.Header().Get("Refresh") == "" {
				t.Errorf("%s stays open when the look ends", path)
			}
		}
		refused := []string{"/orgs/acme/machines", "/orgs/acme/machines/" + id + "/power", "/orgs/acme/machines/" + id + "/delete", "/orgs/acme/machines/" + id + "/console/ticket"}
		for _, path := range refused {
			if answer := b.post(path, url.Values{"op": {"stop"}, "confirm": {"web-1"}}); answer.Code != http.StatusForbidden {
				t.Errorf("POST %s: %d", path, answer.Code)
			}
		}
		told := p.events(models.EventFilter{Action: models.ActionAccessRefused})
		if len(told) != len(refused) || told[0].ActorName != "Operator of provider" {
			t.Errorf("%d of %d refusals are in the org's history: %+v", len(told), len(refused), told)
		}
		if answer := b.post("/provider/orgs/acme/look/end", nil); answer.Code != http.StatusSeeOther {
			t.Errorf("end: %d", answer.Code)
		}
		if answer := b.get("/orgs/acme/"); answer.Code != http.StatusNotFound {
			t.Errorf("after its end: %d", answer.Code)
		}
	})
}

// A live page of a look ends with it, and one of a suspended org at once.
func TestLiveStreamsEndWithLookAndSuspension(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	ctx := context.Background()
	operator := p.as("operator@provider.example")
	if answer := operator.post("/provider/orgs/acme/look", url.Values{"minutes": {"15"}, "reason": {"Ticket 4711"}}); answer.Code != http.StatusSeeOther {
		t.Fatalf("look: %d", answer.Code)
	}
	ends := func(name string, b *browser, end func()) {
		t.Helper()
		started, ended := make(chan struct{}), make(chan struct{})
		r := b.request(http.MethodGet, "/orgs/acme/events", nil, "Accept", "text/event-stream")
		go func() {
			defer close(ended)
			p.server.Handler().ServeHTTP(&firstFlush{began: started}, r.WithContext(ctx))
		}()
		<-started
		end()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Errorf("%s: the stream goes on", name)
		}
	}
	ends("look", operator, func() { operator.post("/provider/orgs/acme/look/end", nil) })
	member := p.as("user@acme.example")
	ends("suspension", member, func() { p.as("operator@provider.example").post("/provider/orgs/acme/suspend", nil) })
	answer := member.get("/orgs/acme/machines")
	if answer.Code != http.StatusForbidden || !strings.Contains(answer.Body.String(), "suspended by the provider") {
		t.Errorf("its page: %d", answer.Code)
	}
}

// firstFlush is a client that says when the stream has begun.
type firstFlush struct {
	header http.Header
	began  chan struct{}
	done   bool
}

func (f *firstFlush) Header() http.Header {
	if f.header == nil {
		f.header = http.Header{}
	}
	return f.header
}
func (f *firstFlush) Write(b []byte) (int, error)      { return len(b), nil }
func (f *firstFlush) WriteHeader(int)                  {}
func (f *firstFlush) SetReadDeadline(time.Time) error  { return nil }
func (f *firstFlush) SetWriteDeadline(time.Time) error { return nil }
func (f *firstFlush) Flush() {
	if !f.done {
		f.done = true
		close(f.began)
	}
}

// A template that the org is not offered is the same as an invented one.
func TestForeignTemplateIsAnInventedOne(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		operator := p.as("operator@provider.example")
		provider, err := p.System.Provider(operator.who)
		if err != nil {
			t.Fatal(err)
		}
		all, err := provider.Catalogs(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		form := url.Values{"name": {"Default"}, "templates": {string(p.Template.ID)}, "orgs": {string(p.Acme.ID)}}
		if answer := operator.post("/provider/catalogs/"+string(all[0].ID), form); answer.Code != http.StatusSeeOther {
			t.Fatalf("catalog: %d", answer.Code)
		}
		b := p.as("user@globex.example")
		answers := map[string]string{}
		for _, template := range []string{p.Template.Slug, "no-such-template"} {
			answer := b.post("/orgs/globex/machines", url.Values{"name": {"web-1"}, "template": {template}, "instance_type": {"small"}})
			if answer.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s: %d", template, answer.Code)
			}
			answers[template] = strings.ReplaceAll(answer.Body.String(), template, "T")
		}
		if answers[p.Template.Slug] != answers["no-such-template"] {
			t.Error("the answers differ")
		}
		if page := b.get("/orgs/globex/catalog").Body.String(); strings.Contains(page, p.Template.Name) {
			t.Error("the catalog shows it")
		}
	})
}

func TestRefusedPriceComesBackInItsDialog(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("operator@provider.example")
	provider, err := p.System.Provider(b.who)
	if err != nil {
		t.Fatal(err)
	}
	r, err := provider.AddPublicIPRange(t.Context(), models.PublicIPRange{Name: "east", FirstAddress: "198.51.100.1", LastAddress: "198.51.100.2", PricePerHourMicros: 4000})
	if err != nil {
		t.Fatal(err)
	}
	for _, typed := range []string{"a lot", "-1", ""} {
		answer := b.post("/provider/networks/ranges/"+string(r.ID), url.Values{"price": {typed}})
		page := answer.Body.String()
		_, dialog, shown := strings.Cut(page, `id="ask-price-`+string(r.ID)+`"`)
		dialog, _, _ = strings.Cut(dialog, "</dialog>")
		if answer.Code != http.StatusUnprocessableEntity || !shown {
			t.Fatalf("%q: %d", typed, answer.Code)
		}
		for _, want := range []string{"data-dialog-shown", `value="` + typed + `"`, "Enter a price per hour", `aria-invalid="true"`} {
			if !strings.Contains(dialog, want) {
				t.Errorf("%q: the dialog lacks %s", typed, want)
			}
		}
		if answer := b.post("/provider/networks/ranges/"+models.NewID[string](), url.Values{"price": {typed}}); answer.Code != http.StatusNotFound {
			t.Errorf("%q for a range that isn't there: %d", typed, answer.Code)
		}
	}
	if answer := b.post("/provider/networks/ranges/"+string(r.ID), url.Values{"price": {"0.02"}}); answer.Code != http.StatusSeeOther {
		t.Errorf("a good one: %d", answer.Code)
	}
	if page := b.get("/provider/networks").Body.String(); strings.Contains(page, "data-dialog-shown") || !strings.Contains(page, `value="0.02"`) {
		t.Error("the new price isn't shown")
	}
}
