package web

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// Every secret that is entered, made or shown once on a way through the portal
// is nowhere afterwards: in no column of the database, no line of the log, no
// page, no export. What is kept is hashed or sealed.
func TestSecretsAreNowhereAfterwards(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		db := testkit.SQLite(t)
		secretsAreNowhere(t, db, db.SQL())
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		address := testkit.PostgresURL(t)
		owner, err := sql.Open("pgx", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = owner.Close() })
		secretsAreNowhere(t, testkit.Open(t, address), owner)
	})
}

// logged gathers what the portal says, from many goroutines.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func secretsAreNowhere(t *testing.T, db *models.DB, owner *sql.DB) {
	t.Helper()
	var log logged
	p := newPortalWith(t, db, Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	petra(t, p)
	secrets := testkit.Secrets{"password": "correct horse", "another password": "battery staple 77"}
	must := func(name string, got, want int) {
		t.Helper()
		if got != want {
			t.Fatalf("%s: %d", name, got)
		}
	}

	// Somebody signs in, mistypes, changes the password, and sets up a second factor.
	signIn(p.anonymous(), "petra@acme.example", "mistyped pass phrase", "")
	secrets["mistyped password"] = "mistyped pass phrase"
	b := signedInPetra(t, p, "correct horse")
	secrets["session"] = b.token
	answer := b.post("/account/second-factor", nil)
	must("second factor", answer.Code, http.StatusSeeOther)
	key := strings.ReplaceAll(secrets.Find(t, "second factor", `data-secret="totp">([A-Z2-7 ]+)<`, b.get("/account/second-factor").Body.String()), " ", "")
	secrets["second factor"] = key
	code, err := totp.GenerateCode(key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	answer = b.post("/account/second-factor/confirm", url.Values{"code": {code}})
	for i, found := range regexp.MustCompile(`<li>([a-z2-7-]{19})</li>`).FindAllStringSubmatch(answer.Body.String(), -1) {
		secrets[fmt.Sprintf("recovery code %d", i)] = found[1]
	}
	if len(secrets) < 14 {
		t.Fatalf("no recovery codes: %d", answer.Code)
	}

	// An admin makes a token and uses it, invites somebody, and opens a console.
	admin := p.as("admin@acme.example")
	secrets["admin's session"] = admin.token
	secrets["token"], _ = makeToken(t, admin, "deploy", "admin")
	must("with the token", p.program(secrets["token"])(http.MethodGet, "/orgs/acme/machines", nil).Code, http.StatusOK)
	secrets["wrong token"] = "mw_" + strings.Repeat("x", 43)
	p.program(secrets["wrong token"])(http.MethodGet, "/orgs/acme/machines", nil)
	link := p.invite("new@acme.example", "user")
	secrets["invitation"] = link
	p.follow(link)
	machine := p.Machine(t, "web-9")
	answer = admin.post("/orgs/acme/machines/"+string(machine.ID)+"/console/ticket", url.Values{}, "Accept", "application/json")
	must("console", answer.Code, http.StatusOK)
	var ticket struct {
		Ticket string `json:"ticket"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &ticket); err != nil || ticket.Ticket == "" {
		t.Fatalf("%s: %v", answer.Body, err)
	}
	secrets["console ticket"] = ticket.Ticket

	// An operator enters a cloud whose address leads nowhere, and a gateway is added.
	operator := p.as("operator@provider.example")
	secrets["operator's session"] = operator.token
	secrets["cloud password"] = "vc-Secret-0123456789"
	operator.post("/provider/clouds", url.Values{"slug": {"third"}, "name": {"Third"}, "class": {"private"}, "url": {"https://127.0.0.1:1/sdk"},
		"username": {"portal"}, "password": {secrets["cloud password"]}, "thumbprint": {strings.Repeat("AB:", 31) + "AB"}, "pin_confirmed": {"on"}})
	_, err = p.System.PutCloud(t.Context(), models.CloudLogin{Username: "portal", Password: secrets["cloud password"],
		Cloud: models.Cloud{Slug: "fourth", Name: "Fourth", Class: models.CloudPrivate, PriceFactorPercent: 100, URL: "https://127.0.0.1:1/sdk"}})
	if err != nil {
		t.Fatal(err)
	}
	provider, err := p.System.Provider(operator.who)
	if err != nil {
		t.Fatal(err)
	}
	if _, secrets["edge token"], err = provider.AddEdge(t.Context(), "edge-1", []models.CloudID{p.Public.ID}); err != nil {
		t.Fatal(err)
	}
	// Everybody makes the portal stumble, for what its log says then.
	for _, path := range []string{"/orgs/acme/machines/%zz", "/invitation?token=" + link + "x", "/orgs/nowhere/", "/console?ticket=" + ticket.Ticket} {
		r := admin.request(http.MethodGet, "/", nil)
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(path, "?")
		admin.send(r)
	}
	answer = b.post("/account/password", url.Values{"old": {"correct horse"}, "new": {secrets["another password"]}, "again": {secrets["another password"]}})
	must("password", answer.Code, http.StatusSeeOther)

	// All that there is.
	places := map[string]string{"the log": log.text.String()}
	for table, text := range testkit.Dump(t, db.Kind(), owner) {
		places["table "+table] = text
	}
	if len(places) < 40 {
		t.Fatalf("only %d tables", len(places))
	}
	auditor := p.as("auditor@acme.example")
	read := func(b *browser, path string) {
		answer := b.get(path)
		if answer.Code == http.StatusOK {
			places[path] = answer.Body.String()
		}
	}
	for _, format := range []string{"csv", "jsonl"} {
		read(auditor, "/orgs/acme/history/export?format="+format)
		read(operator, "/provider/history/export?org=provider&format="+format)
	}
	ids, _ := p.ids()
	for _, r := range p.orgRoutes() {
		if r.method != http.MethodGet || strings.HasSuffix(r.path, "/outbox") || strings.HasSuffix(r.path, "/events") { // the demo's outbox is where it is shown; the other never ends
			continue
		}
		read(admin, address(r.path, "acme", ids[noun(r.path)]))
	}
	for _, path := range []string{"/account", "/provider", "/provider/", "/provider/clouds", "/provider/history", "/provider/orgs", "/provider/orgs/acme", "/provider/tasks", "/provider/networks"} {
		read(operator, path)
	}
	read(b, "/account")
	for _, want := range []string{"/account", "/orgs/acme/history", "/orgs/acme/history/export?format=csv", "/orgs/acme/history/export?format=jsonl", "/provider/history", "/orgs/acme/people", "table audit_events", "table sessions"} {
		if places[want] == "" {
			t.Errorf("%s was not looked at", want)
		}
	}
	secrets.Hidden(t, places)
	// The search finds what is there: the same code sees a word that is kept.
	if !strings.Contains(places["table audit_events"], "deploy") || !strings.Contains(places["the log"], "/orgs/acme/machines") {
		t.Error("nothing would have been found")
	}
}
