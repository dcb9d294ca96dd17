package web

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// elements returns every element of a page, in the order of the text.
func elements(t *testing.T, page io.Reader) []*html.Node {
	t.Helper()
	root, err := html.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	var list []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			list = append(list, n)
		}
	}
	return list
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// field is what a form's field holds when the page is shown.
func field(t *testing.T, nodes []*html.Node, name string) string {
	t.Helper()
	for _, n := range nodes {
		own, _ := attr(n, "name")
		kind, _ := attr(n, "type")
		_, checked := attr(n, "checked")
		if own != name || (kind == "radio" && !checked) {
			continue
		}
		if n.Data == "select" {
			for option := range n.Descendants() {
				if _, chosen := attr(option, "selected"); chosen {
					v, _ := attr(option, "value")
					return v
				}
			}
			return ""
		}
		v, _ := attr(n, "value")
		return v
	}
	return "?"
}

func text(nodes []*html.Node) string {
	var b strings.Builder
	for n := range nodes[0].Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
	}
	return b.String()
}

func TestOrderLeadsToTheMachine(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("user@acme.example")
		answer := b.post("/orgs/acme/machines", url.Values{"name": {"web-1"}, "template": {"debian-13"}, "instance_type": {"small"}})
		at := answer.Header().Get("Location")
		if answer.Code != http.StatusSeeOther || !strings.HasPrefix(at, "/orgs/acme/machines/") {
			t.Fatalf("%d %s", answer.Code, at)
		}
		page := b.get(at)
		if page.Code != http.StatusOK {
			t.Fatal(page.Code)
		}
		for _, n := range elements(t, page.Body) {
			state, ok := attr(n, "data-state")
			if !ok {
				continue
			}
			id, _ := attr(n, "data-machine-id")
			task, _ := attr(n, "data-task-state")
			if state != "building" || id != strings.TrimPrefix(at, "/orgs/acme/machines/") || task != "queued" {
				t.Errorf("the first state of the page: %s of %q, task %s", state, id, task)
			}
			return
		}
		t.Error("the page tells no state")
	})
}

func TestSeveralMachinesLeadToTheList(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("user@acme.example")
	answer := b.post("/orgs/acme/machines", url.Values{"name": {"web"}, "template": {"debian-13"}, "instance_type": {"small"}, "count": {"3"}})
	if answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/orgs/acme/machines" {
		t.Fatalf("%d %s", answer.Code, answer.Header().Get("Location"))
	}
	if page := text(elements(t, b.get("/orgs/acme/machines").Body)); !strings.Contains(page, "3 machines are being made.") {
		t.Error("the list doesn't say what has just been asked for")
	}
	if page := text(elements(t, b.get("/orgs/acme/machines").Body)); strings.Contains(page, "3 machines are being made.") {
		t.Error("it says so twice")
	}
}

func TestRefusedOrderKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("user@acme.example")
	network := string(p.AcmeNetworks[p.Private.ID].ID)
	for name, c := range map[string]struct {
		set    url.Values
		status int
		says   string
	}{
		"name":    {url.Values{"name": {"-no_good-"}}, 422, "name"},
		"long":    {url.Values{"name": {strings.Repeat("a", 64)}}, 422, "at most 42 characters"},
		"count":   {url.Values{"count": {"many"}}, 422, "whole number"},
		"over":    {url.Values{"count": {"9999"}}, 422, "machines at once"},
		"size":    {url.Values{"instance_type": {"nosuch"}}, 422, "no such size"},
		"foreign": {url.Values{"network": {string(p.GlobexNetwork.ID)}}, 422, "no such network"},
	} {
		typed := url.Values{"name": {"web-1"}, "template": {"debian-13"}, "instance_type": {"large"}, "cloud": {"private"}, "network": {network}, "count": {"2"}}
		maps.Copy(typed, c.set)
		answer := b.post("/orgs/acme/machines", typed)
		if answer.Code != c.status {
			t.Errorf("%s: %d", name, answer.Code)
			continue
		}
		page := elements(t, answer.Body)
		if !strings.Contains(text(page), c.says) {
			t.Errorf("%s: nothing says %q", name, c.says)
		}
		for k := range typed {
			want := typed.Get(k)
			switch { // a choice that doesn't exist can't be shown as chosen; too long a name is cut
			case k == "instance_type" && name == "size", k == "network" && name == "foreign", name == "long" && k == "name":
				continue
			}
			if got := field(t, page, k); got != want {
				t.Errorf("%s: %s became %q, was %q", name, k, got, want)
			}
		}
	}
}

func TestOrderBeyondTheQuotaSaysSo(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	limits := models.Limits{models.ResourceMachines: 1, models.ResourceVCPUs: 100, models.ResourceMemory: 1 << 20, models.ResourceStorage: 1 << 20}
	if _, err := p.System.PutOrg(t.Context(), "acme", "Acme", limits); err != nil {
		t.Fatal(err)
	}
	b := p.as("user@acme.example")
	p.order("first")
	answer := b.post("/orgs/acme/machines", url.Values{"name": {"second"}, "template": {"debian-13"}, "instance_type": {"small"}})
	if answer.Code != http.StatusConflict {
		t.Fatal(answer.Code)
	}
	page := elements(t, answer.Body)
	if !strings.Contains(text(page), "1 of the org's 1 are taken") || field(t, page, "name") != "second" {
		t.Errorf("page: %.300s", text(page))
	}
}

func TestPlanFollowsTheForm(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("user@acme.example")
	const path = "/orgs/acme/machines/new"
	if answer := b.get(path+"?part=plan", "HX-Request", "true"); !strings.Contains(answer.Body.String(), "once there is a template and a size") {
		t.Errorf("nothing chosen: %s", answer.Body)
	}
	answer := b.get(path+"?part=plan&template=debian-13&instance_type=small&count=2&name=", "HX-Request", "true")
	if body := answer.Body.String(); !strings.Contains(body, "€0.0240") || strings.Contains(body, "<html") {
		t.Errorf("two small ones: %s", body)
	}
	// Without script the form brings the page with the plan in it.
	if page := elements(t, b.get(path+"?template=debian-13&instance_type=small&name=x").Body); field(t, page, "name") != "x" || !strings.Contains(text(page), "€0.0120") {
		t.Error("no plan on the page")
	}
}

func TestPowerAnswersByState(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("user@acme.example")
	id := string(p.Machine(t, "web-1").ID)
	path := "/orgs/acme/machines/" + id
	if answer := b.post(path+"/power", url.Values{"op": {"resume"}}); answer.Code != http.StatusConflict || !strings.Contains(answer.Body.String(), "web-1 is running") {
		t.Errorf("resume: %d", answer.Code)
	}
	if answer := b.post(path+"/power", url.Values{"op": {"explode"}}); answer.Code != http.StatusUnprocessableEntity {
		t.Errorf("explode: %d", answer.Code)
	}
	answer := b.post(path+"/power", url.Values{"op": {"stop"}}, "Referer", "http://example.com/orgs/acme/machines?q=web&sort=name")
	if answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/orgs/acme/machines?q=web&sort=name" {
		t.Errorf("stop: %d %s", answer.Code, answer.Header().Get("Location"))
	}
	answer = b.post(path+"/power", url.Values{"op": {"stop"}}, "Accept", "application/json")
	var told struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &told); err != nil || answer.Code != http.StatusConflict || told.Code != "conflict" || told.Message == "" {
		t.Errorf("again, by script: %d %s", answer.Code, answer.Body)
	}
	if refused := p.events(models.EventFilter{Action: models.ActionMachinePower, Outcome: models.OutcomeRefused}); len(refused) != 2 {
		t.Errorf("%d refusals are told, want 2", len(refused))
	}
	if told := p.events(models.EventFilter{Action: models.ActionMachinePower, Outcome: models.OutcomeAccepted}); len(told) != 1 || told[0].ActorName != "User of acme" || told[0].ObjectName != "web-1" {
		t.Errorf("history: %+v", told)
	}
}

func TestBulkPowerTellsOfEach(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("user@acme.example")
	one, two := string(p.Machine(t, "web-1").ID), string(p.Machine(t, "web-2").ID)
	if answer := b.post("/orgs/acme/machines/"+two+"/power", url.Values{"op": {"stop"}}); answer.Code != http.StatusSeeOther {
		t.Fatal(answer.Code)
	}
	invented := string(models.NewID[models.MachineID]())
	answer := b.post("/orgs/acme/machines/power", url.Values{"op": {"stop"}, "id": {one, two, invented}})
	if answer.Code != http.StatusSeeOther {
		t.Fatal(answer.Code)
	}
	if page := text(elements(t, b.get("/orgs/acme/machines").Body)); !strings.Contains(page, "Asked of 1 machine. 2 refused: ") {
		t.Errorf("page: %.500s", page)
	}
	if answer := b.post("/orgs/acme/machines/power", url.Values{"id": {one}}); answer.Code != http.StatusUnprocessableEntity {
		t.Errorf("without an operation: %d", answer.Code)
	}
}

func TestDeleteAsksForTheName(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("user@acme.example")
	path := "/orgs/acme/machines/" + string(p.Machine(t, "web-1").ID)
	answer := b.post(path+"/delete", url.Values{"confirm": {"web-2"}})
	if answer.Code != http.StatusUnprocessableEntity || field(t, elements(t, answer.Body), "confirm") != "web-2" {
		t.Errorf("wrong name: %d", answer.Code)
	}
	if answer := b.post(path+"/delete", url.Values{"confirm": {"web-1"}}); answer.Code != http.StatusSeeOther {
		t.Errorf("right name: %d", answer.Code)
	}
	if answer := b.post(path+"/delete", url.Values{"confirm": {"web-1"}}); answer.Code != http.StatusConflict {
		t.Errorf("again: %d", answer.Code)
	}
}

func TestTaskIsCancelledOnce(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	b := p.as("admin@acme.example")
	path := "/orgs/acme/tasks/" + string(p.activeTask(p.order("web-1")))
	if answer := b.post(path+"/cancel", nil); answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != path {
		t.Fatalf("%d %s", answer.Code, answer.Header().Get("Location"))
	}
	if answer := b.post(path+"/cancel", nil); answer.Code != http.StatusConflict {
		t.Errorf("again: %d", answer.Code)
	}
	if answer := b.get(path); answer.Code != http.StatusOK {
		t.Errorf("the task of a machine that never was: %d", answer.Code)
	}
}

func TestConsoleTicketIsForTheSocketBeside(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	path := "/orgs/acme/machines/" + string(p.Machine(t, "web-1").ID) + "/console/ticket"
	answer := p.as("user@acme.example").post(path, nil, "Accept", "application/json")
	var ticket struct {
		Ticket  string `json:"ticket"`
		URL     string `json:"url"`
		Mode    string `json:"mode"`
		Expires string `json:"expires"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &ticket); err != nil || answer.Code != http.StatusOK {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	if len(ticket.Ticket) != 43 || ticket.URL != "ws://example.com/console" || ticket.Mode != "operate" || ticket.Expires == "" {
		t.Errorf("ticket %+v", ticket)
	}
	off := "/orgs/acme/machines/" + string(p.order("building")) + "/console/ticket"
	if answer := p.as("user@acme.example").post(off, nil, "Accept", "application/json"); answer.Code != http.StatusConflict {
		t.Errorf("a machine without a screen: %d", answer.Code)
	}
}

func TestHistoryFiltersAreInTheAddress(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	p.Machine(t, "web-1")
	b := p.as("auditor@acme.example")
	today := models.Now().Format("2006-01-02")
	for query, rows := range map[string]bool{
		"action=machine.create": true, "action=machine.delete": false, "object=web-1": true, "object=web-2": false,
		"actor=user+of+acme&action=machine.create": true, "actor=nobody": false, "outcome=succeeded": true, "outcome=failed": false,
		"q=web-1": true, "from=" + today + "&to=" + today: true, "to=2020-01-01": false,
	} {
		answer := b.get("/orgs/acme/history?" + query)
		if found := !strings.Contains(answer.Body.String(), "No event matches"); answer.Code != http.StatusOK || found != rows {
			t.Errorf("%s: %d, found %v", query, answer.Code, found)
		}
	}
}

func TestListsPageByMarksInTheAddress(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	for _, name := range []string{"a1", "b2", "c3"} {
		p.Machine(t, name)
	}
	b := p.as("user@acme.example")
	path, seen := "/orgs/acme/machines?sort=name&limit=2", []string(nil)
	for range 2 {
		next := ""
		for _, n := range elements(t, b.get(path).Body) {
			if _, ok := attr(n, "data-machine-id"); ok {
				for d := range n.Descendants() {
					if d.Data == "a" && d.FirstChild != nil && len(d.FirstChild.Data) == 2 {
						seen = append(seen, d.FirstChild.Data)
					}
				}
			}
			if rel, _ := attr(n, "rel"); rel == "next" {
				next, _ = attr(n, "href")
			}
		}
		if path = next; path == "" {
			break
		}
		path += "&limit=2"
	}
	if !slices.Equal(seen, []string{"a1", "b2", "c3"}) {
		t.Errorf("the pages show %q", seen)
	}
}
