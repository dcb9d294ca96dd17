package bench

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/web"
)

// The pages of a long history among many: an org of 100,000 events beside one
// of 1,000, in a database of ten million (SQLite: of one). HISTORY_EVENTS makes
// it smaller, for a quick look.
func BenchmarkHistory(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			s := newHistorySite(b, kind)
			for b.Loop() {
				s.pages(b)
				s.export(b)
				s.recording(b)
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

const (
	historyOrgs  = 100
	historyLong  = 100_000
	historyShort = 1_000
	// historyRounds is how often each page is asked for, in turns.
	historyRounds = 60
)

type historySite struct {
	kind    string
	world   *testkit.World
	url     string
	owner   *sql.DB
	service *audit.Service
	key     *audit.Key
	handler http.Handler
	cookies map[string]string // by org
}

func newHistorySite(b *testing.B, kind string) *historySite {
	b.Helper()
	url := map[string]func(testing.TB) string{"sqlite": testkit.SQLiteURL, "postgres": testkit.PostgresURL}[kind](b)
	s := &historySite{kind: kind, url: url, cookies: map[string]string{}}
	db := testkit.Open(b, url)
	s.world = testkit.NewWorld(b, db)
	s.owner = db.SQL()
	if kind == "postgres" {
		owner, err := sql.Open("pgx", url)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = owner.Close() })
		owner.SetMaxOpenConns(1)
		s.owner = owner
	}
	var err error
	if s.key, err = audit.ReadOrMakeKey(b.TempDir() + "/checkpoint.key"); err != nil {
		b.Fatal(err)
	}
	outside, err := audit.OpenOutside(b.TempDir() + "/checkpoints.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	s.service = audit.New(s.world.System, audit.Options{Key: s.key, Outside: outside, Logger: testkit.Quiet()})
	s.fill(b)
	server, err := web.New(web.Options{Logger: testkit.Quiet()}, s.world.System, identity.New(s.world.System, 2), handlers.Rooms{Audit: s.service})
	if err != nil {
		b.Fatal(err)
	}
	s.handler = server.Handler()
	portal := httptest.NewServer(s.handler)
	b.Cleanup(portal.Close)
	hash, err := identity.HashPassword("a password")
	if err != nil {
		b.Fatal(err)
	}
	for _, org := range []string{"acme", "globex"} {
		email := "admin@" + org + ".example"
		if err := s.world.System.SetPassword(context.Background(), s.world.User(email).ID, hash); err != nil {
			b.Fatal(err)
		}
		visitor := testkit.NewVisitor(b, portal.URL)
		visitor.SignIn(b, email, "a password")
		s.cookies[org] = visitor.Cookies(b)
	}
	return s
}

// pages asks for each kind of page in turns, and takes the medians.
func (s *historySite) pages(b *testing.B) {
	b.Helper()
	// A day in the middle of the long org's history, which is of eight.
	day := time.Now().AddDate(0, 0, -4).UTC().Format(time.DateOnly)
	within := "from=" + day + "&to=" + day
	pages := []struct{ name, org, query string }{
		{"short", "globex", ""}, {"first", "acme", ""}, {"page-1000", "acme", "?after=" + s.mark(b, 999*50)},
		{"filtered", "acme", "?action=machine.create&outcome=failed&actor=person"}, {"object", "acme", "?object=web-77"},
		{"filtered-rare", "acme", "?action=machine.create&outcome=failed&object=web-60"}, {"filtered-absent", "acme", "?action=console.open&outcome=failed"},
		{"range", "acme", "?" + within}, {"range-filtered", "acme", "?action=machine.create&outcome=failed&" + within},
		{"text-common", "acme", "?q=web"}, {"text-rare", "acme", "?q=zebra"}, {"text-absent", "acme", "?q=unicorn"}, {"text-two", "acme", "?q=web-77+failed"},
		{"text-deep", "acme", "?q=web&after=" + s.mark(b, 999*50)},
	}
	times := make([][]time.Duration, len(pages))
	for round := range historyRounds {
		for i := range pages {
			p := pages[(i+round)%len(pages)]
			r := httptest.NewRequest(http.MethodGet, "/orgs/"+p.org+"/history"+p.query, nil)
			r.Header.Set("Cookie", s.cookies[p.org])
			record := httptest.NewRecorder()
			start := time.Now()
			s.handler.ServeHTTP(record, r)
			took := time.Since(start)
			if record.Code != http.StatusOK {
				b.Fatalf("%s: %d: %s", p.name, record.Code, record.Body)
			}
			times[(i+round)%len(pages)] = append(times[(i+round)%len(pages)], took)
		}
	}
	base := median(times[0])
	for i, p := range pages {
		b.Logf("%-15s %8s  ÷ short %.2f", p.name, median(times[i]).Round(10*time.Microsecond), float64(median(times[i]))/float64(base))
		b.ReportMetric(float64(median(times[i]))/float64(base), p.name+"÷short")
	}
}

// mark is the cursor of acme's n-th newest event, as a page would have made it.
func (s *historySite) mark(b *testing.B, n int) string {
	b.Helper()
	var id string
	err := s.owner.QueryRow(fmt.Sprintf("SELECT id FROM audit_events WHERE org_id = '%s' ORDER BY id DESC LIMIT 1 OFFSET %d", s.world.Acme.ID, n)).Scan(&id)
	if err != nil {
		b.Fatal(err)
	}
	return models.EventMark(models.EventID(id))
}
