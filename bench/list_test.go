package bench

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/web"
)

// The machine list page of an org of 1,000, among 1,000 and among 100,000
// machines: beside a bare handler that writes the same bytes, and beside the
// same queries without anything around them.
func BenchmarkMachineList(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			alone := newListSite(b, kind, 1)
			among := newListSite(b, kind, 100)
			for b.Loop() {
				// In turns, so that a machine that drifts drifts for all.
				var page, bare, small rate
				for range 3 {
					page.add(load(b, among.url+listPath, among.client()))
					bare.add(load(b, among.bareURL, http.DefaultTransport))
					small.add(load(b, alone.url+listPath, alone.client()))
				}
				pageTime, queryTime := among.serial(b)
				b.ReportMetric(page.perSecond(), "page/s")
				b.ReportMetric(bare.perSecond(), "bare/s")
				b.ReportMetric(page.perSecond()/bare.perSecond(), "page÷bare")
				b.ReportMetric(float64(pageTime.Microseconds()), "page-µs")
				b.ReportMetric(float64(queryTime.Microseconds()), "queries-µs")
				b.ReportMetric(float64(pageTime)/float64(queryTime), "page÷queries")
				b.ReportMetric(small.perSecond()/page.perSecond(), "1k÷100k")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

const (
	listPath     = "/orgs/acme/machines"
	perOrg       = 1000
	loadFor      = 2 * time.Second
	loadVisitors = 8
	serialRounds = 200
)

type listSite struct {
	url, bareURL string
	cookie       string
	db           *models.DB
	handler      http.Handler
	statements   []string // of one page
}

func newListSite(b *testing.B, kind string, orgs int) *listSite {
	b.Helper()
	url := map[string]func(testing.TB) string{"sqlite": testkit.SQLiteURL, "postgres": testkit.PostgresURL}[kind](b)
	var (
		s       listSite
		mu      sync.Mutex
		tracing atomic.Bool
	)
	traced, err := models.Open(context.Background(), models.Options{URL: url, Key: testkit.Key, Logger: testkit.Quiet(), Trace: func(text string) {
		if tracing.Load() {
			mu.Lock()
			defer mu.Unlock()
			s.statements = append(s.statements, text)
		}
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = traced.Close() })
	w := testkit.NewWorld(b, traced)
	fill(b, url, traced, w, orgs)

	hash, err := identity.HashPassword("a password")
	if err != nil {
		b.Fatal(err)
	}
	if err := traced.System().SetPassword(context.Background(), w.User("user@acme.example").ID, hash); err != nil {
		b.Fatal(err)
	}
	serve := func(db *models.DB) http.Handler {
		server, err := web.New(web.Options{Logger: testkit.Quiet()}, db.System(), identity.New(db.System(), 2), handlers.Rooms{})
		if err != nil {
			b.Fatal(err)
		}
		return server.Handler()
	}
	s.db = testkit.Open(b, url)
	s.handler = serve(s.db)
	portal := httptest.NewServer(s.handler)
	b.Cleanup(portal.Close)
	s.url = portal.URL
	visitor := testkit.NewVisitor(b, portal.URL)
	visitor.SignIn(b, "user@acme.example", "a password")
	s.cookie = visitor.Cookies(b)

	// One page through the traced handle tells which queries a page makes.
	record := httptest.NewRecorder()
	tracing.Store(true)
	serve(traced).ServeHTTP(record, s.request())
	tracing.Store(false)
	if record.Code != http.StatusOK || strings.Count(record.Body.String(), "data-machine-id") < 50 {
		b.Fatalf("the page answers %d with %d bytes", record.Code, record.Body.Len())
	}
	bare := echo.New()
	bytes := record.Body.Bytes()
	bare.GET("/", func(c echo.Context) error { return c.HTMLBlob(http.StatusOK, bytes) })
	bareServer := httptest.NewServer(bare)
	b.Cleanup(bareServer.Close)
	s.bareURL = bareServer.URL + "/"
	return &s
}

func (s *listSite) request() *http.Request {
	r := httptest.NewRequest(http.MethodGet, listPath, nil)
	r.Header.Set("Cookie", s.cookie)
	return r
}

// client sends the session's cookie along.
func (s *listSite) client() http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		r.Header.Set("Cookie", s.cookie)
		return http.DefaultTransport.RoundTrip(r)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// serial takes the time of one page, and of its queries alone, in turns.
func (s *listSite) serial(b *testing.B) (page, queries time.Duration) {
	b.Helper()
	conn := s.db.SQL()
	run := func(text string) {
		rows, err := conn.Query(text)
		if err != nil {
			b.Fatalf("%s: %v", text, err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			b.Fatal(err)
		}
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(sql.RawBytes)
		}
		for rows.Next() {
			if err := rows.Scan(values...); err != nil {
				b.Fatal(err)
			}
		}
		if err := rows.Err(); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := conn.Exec("SELECT 1"); err != nil {
		b.Fatal(err)
	}
	for range serialRounds {
		start := time.Now()
		record := httptest.NewRecorder()
		s.handler.ServeHTTP(record, s.request())
		page += time.Since(start)
		start = time.Now()
		for _, text := range s.statements {
			run(text)
		}
		queries += time.Since(start)
	}
	return page / serialRounds, queries / serialRounds
}

// rate adds up requests and time.
type rate struct {
	n       int64
	elapsed time.Duration
}

func (r *rate) add(o rate)         { r.n += o.n; r.elapsed += o.elapsed }
func (r *rate) perSecond() float64 { return float64(r.n) / r.elapsed.Seconds() }

// load asks for url with a few visitors at once, for a while.
func load(b *testing.B, url string, transport http.RoundTripper) rate {
	b.Helper()
	client := &http.Client{Transport: transport}
	var n atomic.Int64
	var visitors sync.WaitGroup
	start := time.Now()
	for range loadVisitors {
		visitors.Go(func() {
			for time.Since(start) < loadFor {
				res, err := client.Get(url)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					b.Errorf("%s: %s", url, res.Status)
					return
				}
				n.Add(1)
			}
		})
	}
	visitors.Wait()
	return rate{n.Load(), time.Since(start)}
}

// fill gives Acme 1,000 machines, and as many to each of the other orgs.
func fill(b *testing.B, url string, db *models.DB, w *testkit.World, orgs int) {
	b.Helper()
	m := w.Machine(b, "sample")
	conn := db.SQL()
	tx, err := conn.Begin()
	if err != nil {
		b.Fatal(err)
	}
	exec := func(text string, args ...any) {
		if _, err := tx.Exec(text, args...); err != nil {
			b.Fatalf("%s: %v", text, err)
		}
	}
	if db.Kind() == models.PostgreSQL {
		exec("SELECT set_config('millwright.system', 'on', true)")
	}
	for o := range orgs {
		org, network := string(w.Acme.ID), string(m.NetworkID)
		if o > 0 {
			org, network = fmt.Sprintf("org-%04d", o), fmt.Sprintf("network-%04d", o)
			exec(fmt.Sprintf(`INSERT INTO orgs (id, slug, name, created_at) SELECT '%s', '%s', name, created_at FROM orgs WHERE slug = 'globex'`, org, org))
			exec(fmt.Sprintf(`INSERT INTO networks SELECT '%s', '%s', cloud_id, name, cidr, gateway, port_group, is_default, next_host, created_at FROM networks WHERE id = '%s'`, network, org, m.NetworkID))
		}
		for start := 0; start < perOrg; start += 250 {
			rows := make([]string, 0, 250)
			for i := start; i < start+250; i++ {
				rows = append(rows, fmt.Sprintf("('%s', 'machine-%04d')", models.NewID[models.MachineID](), i))
			}
			exec(fmt.Sprintf(`WITH fresh (id, name) AS (VALUES %s)
				INSERT INTO machines SELECT fresh.id, '%s', fresh.name, 'running', observed_power, template_id, instance_type_id, vcpus, memory_mib,
				disk_gib, price_per_hour_micros, cloud_id, '%s', '10.20.3.4', owner_id, placement_reason, vm_ref, host, observed_address, tools_running,
				observed_at, false, failure, created_at, updated_at, deleted_at FROM fresh, machines WHERE machines.id = '%s'`,
				strings.Join(rows, ", "), org, network, m.ID))
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	owner := conn // statistics are the owner's business
	if db.Kind() == models.PostgreSQL {
		if owner, err = sql.Open("pgx", url); err != nil {
			b.Fatal(err)
		}
		defer owner.Close()
	}
	if _, err := owner.Exec("ANALYZE"); err != nil {
		b.Fatal(err)
	}
}
