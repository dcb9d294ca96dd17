package viewer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/viewer"
)

// portal answers everything in one way, and notes what it was asked.
func portal(t *testing.T, status int, contentType, body string) (*viewer.Client, *[]http.Request) {
	t.Helper()
	var asked []http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, *r)
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	client, err := viewer.New(viewer.Options{URL: server.URL + "/", Token: "mw_secret", Mode: "operate"})
	if err != nil {
		t.Fatal(err)
	}
	return client, &asked
}

const machine = "01a21cd2-de05-786b-ad2c-97990d59fa46"

// What the portal refuses is told in its own sentence, where it has one, and
// by an exit code that a script can tell apart.
func TestRefusalsAreToldInWordsAndByExitCode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status   int
		body     string
		exit     int
		sentence string
	}{
		"token unknown":         {401, `{"code":"wrong_token","message":"This token is not known here."}`, viewer.ExitRefused, "This token is not known here."},
		"token unknown, silent": {401, "", viewer.ExitRefused, "does not know this token"},
		"role too weak":         {403, `{"message":"Your role in this org does not open consoles."}`, viewer.ExitRefused, "does not open consoles"},
		"no such machine":       {404, "<html>Nothing here</html>", viewer.ExitNotFound, "no such org or machine"},
		"machine off":           {409, `{"code":"conflict","message":"web-1 is stopped. Start it to see its screen."}`, viewer.ExitConflict, "web-1 is stopped. Start it"},
		"occupied":              {409, `{"code":"occupied","message":"Uma operates this machine's console. Watch, or take over."}`, viewer.ExitConflict, "Uma operates"},
		"too many":              {429, `{"message":"One person may have 50 consoles open at once, and you have."}`, viewer.ExitLater, "50 consoles"},
		"too many, silent":      {429, "", viewer.ExitLater, "try again"},
		"host away":             {503, `{"message":"The host of web-1 does not answer just now."}`, viewer.ExitLater, "The host of web-1"},
		"portal broken":         {500, "", viewer.ExitFailed, "answers 500"},
		"redirected":            {302, "", viewer.ExitFailed, "answers 302"},
		"not a portal":          {200, "<html>It works!</html>", viewer.ExitFailed, "no ticket"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, asked := portal(t, c.status, "application/json", c.body)
			_, err := client.Ticket(context.Background(), "acme", machine)
			var failure *viewer.FailureError
			if !errors.As(err, &failure) || failure.ExitCode() != c.exit || !strings.Contains(failure.Sentence, c.sentence) {
				t.Fatalf("it says %v, want exit code %d and %q", err, c.exit, c.sentence)
			}
			if strings.Contains(failure.Sentence, "mw_secret") {
				t.Error("the token is in the words")
			}
			if len(*asked) != 1 || (*asked)[0].Header.Get("Authorization") != "Bearer mw_secret" || (*asked)[0].URL.Path != "/orgs/acme/machines/"+machine+"/console/ticket" {
				t.Errorf("asked %v", *asked)
			}
		})
	}
}

func TestPortalThatIsNotThereIsToldApart(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client, err := viewer.New(viewer.Options{URL: server.URL, Token: "mw_secret"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Ticket(context.Background(), "acme", machine)
	var failure *viewer.FailureError
	if !errors.As(err, &failure) || failure.Exit != viewer.ExitUnreachable || strings.Contains(err.Error(), "mw_secret") {
		t.Errorf("it says %v", err)
	}
}

func TestWrongUseIsToldBeforeAnythingIsAsked(t *testing.T) {
	t.Parallel()
	for _, o := range []viewer.Options{
		{URL: "portal.example", Token: "mw_secret"}, {URL: "ftp://portal.example", Token: "mw_secret"}, {URL: "", Token: "mw_secret"},
		{URL: "https://portal.example"}, {URL: "https://portal.example", Token: "mw_secret", CAFile: "/nowhere/ca.pem"},
	} {
		_, err := viewer.New(o)
		var failure *viewer.FailureError
		if !errors.As(err, &failure) || failure.Exit != viewer.ExitUsage || strings.Contains(err.Error(), "mw_secret") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	// A screen has no password on the bridge: only this computer gets at it,
	// unless more is asked for.
	for address, fine := range map[string]bool{"127.0.0.1:0": true, "[::1]:0": true, "localhost:0": true, "0.0.0.0:0": false, ":0": false, "portal.example:5901": false, "5901": false} {
		listener, err := viewer.Listen(context.Background(), address, false)
		var failure *viewer.FailureError
		switch {
		case err == nil:
			_ = listener.Close()
			if !fine {
				t.Errorf("it listens on %s", address)
			}
		case fine && address != "[::1]:0": // not every computer has IPv6
			t.Errorf("%s: %v", address, err)
		case !fine && (!errors.As(err, &failure) || failure.Exit != viewer.ExitUsage):
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A machine is found by its exact name, not by what the search also finds.
func TestMachineIsFoundByItsExactName(t *testing.T) {
	t.Parallel()
	const list = `<table><tr data-machine-id="one"><td><a href="/x">web-10</a></td></tr><tr data-machine-id="two"><td><a href="/y"> web-1 </a></td></tr></table>`
	client, asked := portal(t, 200, "text/html", list)
	if id, err := client.Find(context.Background(), "acme", "web-1"); err != nil || id != "two" {
		t.Errorf("found %q: %v", id, err)
	}
	if _, err := client.Find(context.Background(), "acme", "web-2"); err == nil {
		t.Error("found a machine that isn't there")
	}
	before := len(*asked)
	if id, err := client.Find(context.Background(), "acme", machine); err != nil || id != machine || len(*asked) != before {
		t.Errorf("an id is %q: %v", id, err)
	}
}

// A portal that doesn't narrow the list to a name shows it page by page; two of
// one name are not chosen from.
func TestNameIsLookedForOnEveryPage(t *testing.T) {
	t.Parallel()
	var asked []url.Values
	row := func(id, name string) string {
		return `<tr data-machine-id="` + id + `"><td><a href="/x">` + name + `</a></td></tr>`
	}
	pages := map[string]string{
		"":       row("one", "web-10") + `<a href="/orgs/acme/machines?q=web&amp;before=x" rel="prev">Previous</a><a href="/orgs/acme/machines?q=web&amp;after=second" rel="next">Next</a>`,
		"second": row("two", "web-1") + row("three", "web-2") + `<a rel="next" href="/orgs/acme/machines?after=third">Next</a>`,
		"third":  row("four", "web-2"),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query())
		_, _ = fmt.Fprint(w, "<table>"+pages[r.URL.Query().Get("after")]+"</table>")
	}))
	t.Cleanup(server.Close)
	client, err := viewer.New(viewer.Options{URL: server.URL, Token: "mw_secret"})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := client.Find(context.Background(), "acme", "web-1"); err != nil || id != "two" || len(asked) != 3 {
		t.Errorf("found %q on %d pages: %v", id, len(asked), err)
	}
	if asked[0].Get("name") != "web-1" || asked[0].Get("q") != "web-1" {
		t.Errorf("asked for %v", asked[0])
	}
	var failure *viewer.FailureError
	_, err = client.Find(context.Background(), "acme", "web-2")
	if !errors.As(err, &failure) || failure.Exit != viewer.ExitUsage || !strings.Contains(failure.Sentence, "four, three") {
		t.Errorf("two of a name: %v", err)
	}
}
