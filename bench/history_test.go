package bench

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
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
	owner   *sql.DB
	service *audit.Service
	key     *audit.Key
	handler http.Handler
	cookies map[string]string // by org
}

func newHistorySite(b *testing.B, kind string) *historySite {
	b.Helper()
	s := &historySite{kind: kind, cookies: map[string]string{}}
	url := map[string]func(testing.TB) string{"sqlite": testkit.SQLiteURL, "postgres": testkit.PostgresURL}[kind](b)
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

// fill makes the events in the database itself, with the texts that the portal
// would have written. The two orgs that are looked at are linked and indexed
// by the portal's own code; the others get links without a meaning, and copies
// of the index of the first.
func (s *historySite) fill(b *testing.B) {
	b.Helper()
	total := map[string]int{"sqlite": 1_000_000, "postgres": 10_000_000}[s.kind]
	if text := os.Getenv("HISTORY_EVENTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < historyLong+historyShort {
			b.Fatalf("HISTORY_EVENTS: %q: at least %d", text, historyLong+historyShort)
		}
		total = n
	}
	began := time.Now()
	byAge := map[string]string{"sqlite": "CREATE INDEX audit_by_age ON audit_events (org_id, (id || ''))",
		"postgres": `CREATE INDEX audit_by_age ON audit_events (org_id, id COLLATE "C")`}[s.kind]
	s.exec(b, "DROP INDEX audit_by_age", "DROP INDEX audit_by_object", "DROP INDEX audit_by_request", "DROP INDEX audit_word_by_word")
	s.events(b, string(s.world.Acme.ID), 1, historyLong)
	s.events(b, string(s.world.Globex.ID), 2, historyShort)
	s.exec(b, byAge, "CREATE INDEX audit_word_by_word ON audit_words (org_id, word, block)", "ANALYZE")
	for _, org := range []models.OrgID{s.world.Acme.ID, s.world.Globex.ID} {
		s.link(b, org)
		if _, err := s.world.System.IndexHistory(context.Background(), org, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
	s.exec(b, "DROP INDEX audit_by_age", "DROP INDEX audit_word_by_word")
	each := (total - historyLong - historyShort) / (historyOrgs - 2)
	for n := 3; n <= historyOrgs; n++ {
		org := fmt.Sprintf("org-%04d", n)
		s.exec(b, fmt.Sprintf("INSERT INTO orgs (id, slug, name, created_at) SELECT '%s', '%s', name, created_at FROM orgs WHERE slug = 'globex'", org, org))
		s.events(b, org, n, each)
		s.exec(b, fmt.Sprintf(`INSERT INTO audit_links (org_id, sequence, event_id, previous_hash, hash)
			SELECT org_id, row_number() OVER (ORDER BY id), id, 'p', 'h' FROM audit_events WHERE id LIKE '%%-7%03x-%%' AND org_id = '%s'`, n, org))
		s.exec(b, fmt.Sprintf("INSERT INTO audit_words (org_id, block, word, places) SELECT '%s', block, word, places FROM audit_words WHERE org_id = '%s' AND block < %d",
			org, s.world.Acme.ID, each/512))
	}
	s.exec(b, byAge, "CREATE INDEX audit_by_object ON audit_events (org_id, object_id, id)",
		"CREATE INDEX audit_by_request ON audit_events (org_id, request_id, id)", "CREATE INDEX audit_word_by_word ON audit_words (org_id, word, block)", "ANALYZE")
	b.Logf("%d events in %d orgs made in %s", total, historyOrgs, time.Since(began).Round(time.Second))
}

func (s *historySite) exec(b *testing.B, statements ...string) {
	b.Helper()
	for _, text := range statements {
		if _, err := s.owner.Exec(text); err != nil {
			b.Fatalf("%s: %v", text, err)
		}
	}
}

// events makes n events of an org, one every seven seconds up to an hour ago:
// of 20 people, with 500 machines, six actions. One has a word of its own.
func (s *historySite) events(b *testing.B, org string, number, n int) {
	b.Helper()
	const step = 7000 // ms
	start := time.Now().Add(-time.Hour).UnixMilli() - int64(n)*step
	series, at, hex := "generate_series(0, $1 - 1) AS s(i)", "to_timestamp(ms / 1000.0)", "lpad(to_hex(%s), %d, '0')"
	stamp, request := "to_char(to_timestamp(ms / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS') || '000Z'", "md5(%d || '/' || i)"
	if s.kind == "sqlite" {
		series, hex = "(WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < $1 - 1) SELECT i FROM s) s", "substr(printf('%%016x', %s), 17 - %d)"
		stamp = "strftime('%Y-%m-%dT%H:%M:%S', ms / 1000, 'unixepoch') || printf('.%03d000Z', ms % 1000)"
		at = "strftime('%Y-%m-%d %H:%M:%S', ms / 1000, 'unixepoch') || printf('.%03d+00:00', ms % 1000)"
		request = "printf('%%08x%%024x', (i * 2654435761) %% 4294967296, %d * 16777216 + i)"
	}
	h := func(expr string, width int) string { return fmt.Sprintf(hex, expr, width) }
	before, after := `'{"state":"' || old || '"}'`, `'{"by":"step ' || i % 9 || '","state":"' || new || '"' || CASE WHEN i = 31000 THEN ',"note":"zebra"' ELSE '' END || '}'`
	query := fmt.Sprintf(`INSERT INTO audit_events (id, org_id, at, actor_kind, actor_id, actor_name, session_id, source, action, object_kind, object_id, object_name, outcome, before, after, request_id, body)
		SELECT id, '%[1]s', %[2]s, 'user', actor, person, session, source, action, 'machine', object, name, outcome, before, after, request,
		'{"action":"' || action || '","actor":{"id":"' || actor || '","kind":"user","name":"' || person || '"},"after":' || after || ',"at":"' || %[3]s || '","before":' || before
		|| ',"id":"' || id || '","object":{"id":"' || object || '","kind":"machine","name":"' || name || '"},"org":"%[1]s","outcome":"' || outcome || '","request":"' || request
		|| '","session":"' || session || '","source":"' || source || '"}'
		FROM (SELECT i, ms, %[4]s || '-' || %[5]s || '-7%03[6]x-8000-' || %[7]s AS id,
		  '0190a000-0000-7000-8000-%04[6]x' || %[8]s AS actor, 'Person ' || p AS person, '0190b000-0000-7000-8000-%04[6]x' || %[9]s AS session,
		  '192.0.2.' || (m %% 50) AS source, CASE i %% 6 WHEN 0 THEN 'machine.create' WHEN 1 THEN 'console.open' WHEN 2 THEN 'console.close' ELSE 'machine.power' END AS action,
		  '0190c000-0000-7000-8000-%04[6]x' || %[8]s AS object, 'web-' || m AS name, CASE WHEN i %% 20 = 0 THEN 'failed' ELSE 'succeeded' END AS outcome,
		  %[10]s AS before, %[11]s AS after, %[12]s AS request
		  FROM (SELECT i, %[13]d + CAST(i AS bigint) * %[14]d AS ms, (CAST(i AS bigint) * 7919) %% 500 AS m, (CAST(i AS bigint) * 31) %% 20 AS p,
		    CASE i %% 2 WHEN 0 THEN 'stopped' ELSE 'running' END AS old, CASE i %% 2 WHEN 0 THEN 'running' ELSE 'stopped' END AS new FROM %[15]s) numbers) rows`,
		org, at, stamp, h("ms / 65536", 8), h("ms % 65536", 4), number, h("CAST(i AS bigint)", 12), h("m", 8), h("CAST(i / 200 AS bigint)", 8),
		before, after, fmt.Sprintf(request, number), start, step, series)
	if _, err := s.owner.Exec(query, n); err != nil {
		b.Fatalf("%s: %v", query, err)
	}
}

// link makes the org's chain.
func (s *historySite) link(b *testing.B, org models.OrgID) {
	b.Helper()
	ctx := context.Background()
	var links []models.AuditLink
	previous := "0000000000000000000000000000000000000000000000000000000000000000"
	for after := models.EventID(""); ; {
		err := s.world.System.Look(ctx, org, func(r *models.Reader) error {
			rows, next, err := r.EventsBehind(models.EventFilter{}, after, 2000)
			for _, row := range rows {
				l := models.AuditLink{OrgID: org, Sequence: int64(len(links) + 1), EventID: row.Event.ID, PreviousHash: previous}
				l.Hash = audit.Hash(previous, org, l.Sequence, l.EventID, row.Event.Body)
				previous = l.Hash
				links = append(links, l)
			}
			after = next
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		if after == "" {
			break
		}
	}
	for batch := range slices.Chunk(links, 1000) {
		if err := s.world.System.AppendLinks(ctx, org, batch); err != nil {
			b.Fatal(err)
		}
	}
}

// pages asks for each kind of page in turns, and takes the medians.
func (s *historySite) pages(b *testing.B) {
	b.Helper()
	pages := []struct{ name, org, query string }{
		{"short", "globex", ""}, {"first", "acme", ""}, {"page-1000", "acme", "?after=" + s.mark(b, 999*50)},
		{"filtered", "acme", "?action=machine.create&outcome=failed&actor=person"}, {"object", "acme", "?object=web-77"},
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
		b.Logf("%-12s %8s  ÷ short %.2f", p.name, median(times[i]).Round(10*time.Microsecond), float64(median(times[i]))/float64(base))
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
