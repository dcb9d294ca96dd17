package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/viewer"
	"github.com/millwright/millwright/models"
)

var (
	consoleRow      = regexp.MustCompile(`data-console-id="([^"]+)"`)
	laterConsoles   = regexp.MustCompile(`href="([^"]+)" rel="next"`)
	earlierConsoles = regexp.MustCompile(`href="([^"]+)" rel="prev"`)
	liveList        = regexp.MustCompile(`id="consoles" hx-get="([^"]+)"`)
)

// listed returns the consoles that an answer shows, in its order.
func listed(t *testing.T, answer *httptest.ResponseRecorder) (ids []string) {
	t.Helper()
	if answer.Code != http.StatusOK {
		t.Fatalf("the list answers %d", answer.Code)
	}
	for _, m := range consoleRow.FindAllStringSubmatch(answer.Body.String(), -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// linked is where a link or the live list of an answer leads.
func linked(of *regexp.Regexp, answer *httptest.ResponseRecorder) string {
	m := of.FindStringSubmatch(answer.Body.String())
	if m == nil {
		return ""
	}
	return strings.ReplaceAll(m[1], "&amp;", "&")
}

func TestOpenConsolesAreSearchedAndPaged(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		limits := maps.Clone(testkit.RoomyLimits)
		limits[models.ResourceConsoles] = 100
		if _, err := p.System.PutOrg(context.Background(), "acme", "Acme", limits); err != nil {
			t.Fatal(err)
		}
		var web []string
		for i := range 53 { // more than a page has
			web = append(web, p.openConsole(p.Machine(t, fmt.Sprintf("web-%02d", i)), "user@acme.example"))
		}
		other := p.openConsole(p.Machine(t, "db-1"), "admin@acme.example")
		foreign := p.openConsole(p.MachineOf(t, "globex", "web-shop"), "user@globex.example")
		admin, operator := p.as("admin@acme.example"), p.as("operator@provider.example")

		for _, c := range []struct {
			by    *browser
			query string
			want  []string
		}{
			{admin, "/orgs/acme/consoles?q=WEB-0", web[:10]},
			{admin, "/orgs/acme/consoles?q=db-", []string{other}},
			{admin, "/orgs/acme/consoles?q=admin+of+acme", []string{other}},
			{admin, "/orgs/acme/consoles?q=admin%40acme", []string{other}},
			{admin, "/orgs/acme/consoles?q=web-shop", nil}, // globex's
			{admin, "/orgs/acme/consoles?q=%25", nil},
			{operator, "/provider/consoles?q=web-shop", []string{foreign}},
			{operator, "/provider/consoles?q=globex", []string{foreign}},
			{operator, "/provider/consoles?q=db-1", []string{other}},
		} {
			answer := c.by.get(c.query)
			if got := listed(t, answer); strings.Join(got, " ") != strings.Join(c.want, " ") {
				t.Errorf("%s shows %d consoles, want %d", c.query, len(got), len(c.want))
			}
			if len(c.want) == 0 && !strings.Contains(answer.Body.String(), "Show all consoles") {
				t.Errorf("%s does not say what to do next", c.query)
			}
			// The live part asks for what the page shows.
			if got := listed(t, c.by.get(linked(liveList, answer))); strings.Join(got, " ") != strings.Join(c.want, " ") {
				t.Errorf("the live part of %s shows %d consoles, want %d", c.query, len(got), len(c.want))
			}
		}

		for _, c := range []struct {
			by    *browser
			path  string
			total int
		}{{admin, "/orgs/acme/consoles", 54}, {admin, "/orgs/acme/consoles?q=web", 53}, {operator, "/provider/consoles", 55}} {
			first := c.by.get(c.path)
			if got := listed(t, first); len(got) != 50 || linked(earlierConsoles, first) != "" {
				t.Fatalf("%s shows %d consoles first", c.path, len(got))
			}
			second := c.by.get(linked(laterConsoles, first))
			if got := listed(t, second); len(got) != c.total-50 || linked(laterConsoles, second) != "" {
				t.Errorf("the second page of %s shows %d consoles, want %d", c.path, len(got), c.total-50)
			}
			if got := listed(t, c.by.get(linked(liveList, second))); len(got) != c.total-50 {
				t.Errorf("the live part of the second page of %s shows %d consoles", c.path, len(got))
			}
			if got := listed(t, c.by.get(linked(earlierConsoles, second))); len(got) != 50 {
				t.Errorf("back on the first page of %s are %d consoles", c.path, len(got))
			}
		}
		if answer := admin.get("/orgs/acme/consoles?after=nonsense"); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("a page mark that is none: %d", answer.Code)
		}
	})
}

// Over a cap the ticket's route says so in a sentence, and when to come again.
func TestTicketOverTheCapIs429(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	m := p.Machine(t, "web-1")
	for range 20 { // as many as a machine may have
		p.openConsole(m, "admin@acme.example")
	}
	answer := p.as("user@acme.example").post("/orgs/acme/machines/"+string(m.ID)+"/console/ticket", url.Values{"mode": {"view"}}, "Accept", "application/json")
	var told struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &told); err != nil || answer.Code != http.StatusTooManyRequests {
		t.Fatalf("it answers %d %s", answer.Code, answer.Body)
	}
	if after, err := strconv.Atoi(answer.Header().Get("Retry-After")); err != nil || after < 1 {
		t.Errorf("Retry-After is %q", answer.Header().Get("Retry-After"))
	}
	if want := "A machine may have 20 consoles open at once, and this one has. Try again when somebody has left."; told.Message != want {
		t.Errorf("it says %q, want %q", told.Message, want)
	}
	if strings.Contains(answer.Body.String(), "ticket\":") {
		t.Errorf("there is a ticket in %s", answer.Body)
	}
}

// The command line finds a machine by its exact name, however many there are
// that the search finds as well.
func TestCommandLineFindsItsMachineAmongMany(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	oldest := p.Machine(t, "web")
	for i := range 210 { // newer, so before it on a list
		p.Machine(t, fmt.Sprintf("web-%03d", i))
	}
	site := httptest.NewServer(p.server.Handler())
	t.Cleanup(site.Close)
	token := models.APIToken{Name: "viewer", Role: models.RoleUser, ExpiresAt: models.Now().Add(time.Hour)}
	text := "mw_" + strings.Repeat("x", 43-36) + models.NewID[string]()
	sum := sha256.Sum256([]byte(text))
	token.TokenHash = hex.EncodeToString(sum[:])
	u := p.User("user@acme.example")
	err := p.System.Within(context.Background(), p.Acme.ID, models.Actor{Kind: models.ActorUser, ID: string(u.ID), Name: u.Name},
		func(w *models.Writer) error { return w.InsertAPIToken(&token) })
	if err != nil {
		t.Fatal(err)
	}
	client, err := viewer.New(viewer.Options{URL: site.URL, Token: text, Mode: "view"})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := client.Find(context.Background(), "acme", "web"); err != nil || id != string(oldest.ID) {
		t.Errorf("web is %q, %v; want %s", id, err, oldest.ID)
	}
	for _, absent := range []string{"we", "web-", "WEB", "web-999", "%"} {
		var failure *viewer.FailureError
		if _, err := client.Find(context.Background(), "acme", absent); !errors.As(err, &failure) || failure.Exit != viewer.ExitNotFound || !strings.Contains(failure.Sentence, absent) {
			t.Errorf("%q: %v", absent, err)
		}
	}
}
