package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestProvidersTasksAreFiltered(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		for org, name := range map[string]string{"acme": "apple", "globex": "gherkin"} {
			form := url.Values{"name": {name}, "template": {p.Template.Slug}, "instance_type": {p.Small.Slug}}
			if answer := p.as("user@"+org+".example").post("/orgs/"+org+"/machines", form); answer.Code != http.StatusSeeOther {
				t.Fatalf("order: %d", answer.Code)
			}
		}
		b := p.as("operator@provider.example")
		for query, want := range map[string]string{
			"": "apple gherkin", "?org=acme": "apple", "?org=globex": "gherkin", "?org=nobody": "", "?q=gherk": "gherkin", "?q=%25": "",
			"?state=active": "apple gherkin", "?state=queued": "apple gherkin", "?state=failed": "", "?kind=machine.create&org=acme": "apple", "?kind=machine.delete": "",
			"?org=globex&part=list": "gherkin",
		} {
			answer := b.get("/provider/tasks" + query)
			if answer.Code != http.StatusOK {
				t.Errorf("%q: %d", query, answer.Code)
			}
			for _, name := range []string{"apple", "gherkin"} {
				if shown := strings.Contains(answer.Body.String(), name+"</span>"); shown != strings.Contains(want, name) {
					t.Errorf("%q: %s is shown: %v", query, name, shown)
				}
			}
		}
		if answer := b.get("/provider/tasks?state=nonsense"); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("an invented state: %d", answer.Code)
		}
	})
}

func TestHealthShowsNodesThatServeStopAndFallSilent(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		ctx := context.Background()
		b := p.as("operator@provider.example")
		node := models.PortalNode{ID: "node-7", Address: "10.0.0.7:8443", Version: "1.2.3", StartedAt: models.Now()}
		shows := func(word string) {
			t.Helper()
			page := b.get("/provider/health?part=live").Body.String()
			if _, row, found := strings.Cut(page, "node-7"); !found || !strings.Contains(row, word) {
				t.Errorf("the node isn't shown as %s", word)
			}
		}
		beat := func() {
			t.Helper()
			if err := p.System.BeatNode(ctx, node); err != nil {
				t.Fatal(err)
			}
		}
		beat()
		shows("Serving")
		execRaw(t, db, "UPDATE portal_nodes SET seen_at = '2020-01-01 00:00:00.000000+00:00'")
		shows("Silent")
		beat()
		shows("Serving")
		if err := p.System.StopNode(ctx, node.ID); err != nil {
			t.Fatal(err)
		}
		shows("Stopped")
		node.StartedAt, node.Version = models.Now(), "1.2.4"
		beat()
		shows("1.2.4")
	})
}

// The operators' stream tells of every org, and ends with the operator's role.
func TestProvidersEventsTellOfEveryOrg(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	p.server.recheck = 20 * time.Millisecond
	site := httptest.NewServer(p.server.Handler())
	t.Cleanup(site.Close)
	if answer := p.as("admin@acme.example").get("/provider/events"); answer.Code != http.StatusNotFound {
		t.Errorf("for an org's admin: %d", answer.Code)
	}
	b := p.as("operator@provider.example")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL+"/provider/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "millwright", Value: b.token})
	stream, err := http.DefaultClient.Do(r)
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatalf("stream: %v", err)
	}
	defer func() { _ = stream.Body.Close() }()
	heard, ended := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, 1024)
		for {
			n, err := stream.Body.Read(buffer)
			if n > 0 {
				heard <- string(buffer[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	first := <-heard
	if !strings.HasPrefix(first, "retry:") {
		t.Errorf("begins with %q", first)
	}
	wait := func(text string) {
		t.Helper()
		deadline := time.After(patience)
		for {
			select {
			case got := <-heard:
				if strings.Contains(got, text) {
					return
				}
			case <-deadline:
				t.Fatalf("never heard of %s", text)
			}
		}
	}
	for _, org := range []string{"acme", "globex"} {
		wait(string(p.MachineOf(t, org, "new").ID))
	}
	u := p.User("operator@provider.example")
	execRaw(t, p.DB, "UPDATE users SET provider_role = '' WHERE id = '"+string(u.ID)+"'")
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the stream outlives the role")
	}
}

func TestSizeIsOrderedUntilRetiredAndAgainWhenRestored(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b, user := p.as("operator@provider.example"), p.as("user@acme.example")
		form := url.Values{"name": {"Huge"}, "slug": {"huge"}, "vcpus": {"4"}, "memory_mib": {"4096"}, "disk_gib": {"40"}, "price": {"0.25"}}
		if answer := b.post("/provider/menu", form); answer.Code != http.StatusSeeOther {
			t.Fatalf("add: %d", answer.Code)
		}
		if answer := b.post("/provider/menu", form); answer.Code != http.StatusUnprocessableEntity || !strings.Contains(answer.Body.String(), "Another size") {
			t.Errorf("twice: %d", answer.Code)
		}
		provider, err := p.System.Provider(b.who)
		if err != nil {
			t.Fatal(err)
		}
		menu, err := provider.Menu(t.Context())
		if err != nil || menu[len(menu)-1].Slug != "huge" || menu[len(menu)-1].PricePerHourMicros != 250_000 {
			t.Fatalf("menu %+v: %v", menu, err)
		}
		at := "/provider/menu/" + string(menu[len(menu)-1].ID)
		order := func(name string) int {
			return user.post("/orgs/acme/machines", url.Values{"name": {name}, "template": {p.Template.Slug}, "instance_type": {"huge"}}).Code
		}
		if code := order("one"); code != http.StatusSeeOther {
			t.Errorf("order: %d", code)
		}
		if answer := b.post(at+"/retire", nil); answer.Code != http.StatusSeeOther {
			t.Fatalf("retire: %d", answer.Code)
		}
		if code := order("two"); code != http.StatusUnprocessableEntity {
			t.Errorf("order of a retired size: %d", code)
		}
		if page := user.get("/orgs/acme/machines/new").Body.String(); strings.Contains(page, "Huge") {
			t.Error("the order form offers it")
		}
		if page := b.get(at).Body.String(); !strings.Contains(page, "1 machine") {
			t.Error("its page doesn't count the machine that is there")
		}
		if answer := b.post(at+"/restore", nil); answer.Code != http.StatusSeeOther {
			t.Fatalf("restore: %d", answer.Code)
		}
		if code := order("two"); code != http.StatusSeeOther {
			t.Errorf("order of a restored size: %d", code)
		}
	})
}
