package web

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// Every route of the table is asked for by every kind of actor, with real,
// foreign, invented and malformed ids, and the statuses are compared with
// testdata/matrix.txt. UPDATE_GOLDEN=1 writes that anew: look at who gets what
// before you commit it. A route with a new kind of id needs one line in
// matrix_nouns_test.go.
//
// Beside the statuses: whatever isn't there is the same to whoever asks, be it
// somebody else's or invented, byte for byte, header for header, and by the
// same number of statements and of passwords hashed. And whoever is refused by
// their role is told of in the history.
//
// All of it on both databases: each answers for itself, and both the same.
func TestRouteMatrixIsTheReviewedOne(t *testing.T) {
	t.Parallel()
	const file = "testdata/matrix.txt"
	kinds := []struct {
		name    string
		address func(testing.TB) string
	}{{"sqlite", testkit.SQLiteURL}, {"postgres", testkit.PostgresURL}}
	asked := make([]*matrix, len(kinds))
	t.Run("on", func(t *testing.T) { // ends when both have
		for i, kind := range kinds {
			t.Run(kind.name, func(t *testing.T) {
				t.Parallel()
				m := newMatrix(t, kind.address(t))
				m.ask()
				asked[i] = m
			})
		}
	})
	if os.Getenv("UPDATE_GOLDEN") != "" && !t.Failed() {
		if err := os.WriteFile(file, []byte(asked[0].text()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range asked {
		if m != nil {
			m.lawful(t, kinds[i].name)
			m.compare(t, kinds[i].name, string(want))
		}
	}
}

// matrix is the portal with everybody who may knock at it.
type matrix struct {
	p        *portal
	db       *models.DB
	accounts map[string]models.User
	names    int                     // numbers what is made
	telling  map[models.OrgID]string // org → an event in its history, which nobody changes
	sources  int                     // numbers where requests come from: nobody is slowed down

	ids     map[[2]string]string           // noun, whose → id, until somebody changes it
	entered map[string]func(*http.Request) // actor → how they come in, until they change it
	cells   map[string]map[string][]string // route → actor → statuses
	refused int

	mu         sync.Mutex
	statements int
}

func newMatrix(t testing.TB, address string) *matrix {
	t.Helper()
	m := &matrix{accounts: map[string]models.User{}, ids: map[[2]string]string{}, telling: map[models.OrgID]string{},
		entered: map[string]func(*http.Request){}, cells: map[string]map[string][]string{}}
	var err error
	m.db, err = models.Open(context.Background(), models.Options{URL: address, Key: testkit.Key, MaxConns: 4, Logger: testkit.Quiet(),
		Trace: func(string) { m.mu.Lock(); m.statements++; m.mu.Unlock() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.db.Close() })
	m.p = newPortal(t, m.db)
	m.people()
	return m
}

// exec changes what no door of models changes yet.
func (m *matrix) exec(statement string) {
	m.p.t.Helper()
	execRaw(m.p.t, m.db, statement)
}

// execRaw runs a statement as the portal's background work.
func execRaw(t testing.TB, db *models.DB, statement string) {
	t.Helper()
	tx, err := db.SQL().BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if db.Kind() == models.PostgreSQL {
		if _, err := tx.ExecContext(context.Background(), "SELECT set_config('millwright.system', 'on', true)"); err != nil {
			t.Fatal(err)
		}
	}
	done, err := tx.ExecContext(context.Background(), statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	if n, _ := done.RowsAffected(); n == 0 {
		t.Fatalf("%s: no row", statement)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// targets are what is asked for of each route, in the order of the columns.
var targets = []string{"own", "foreign", "invented", "malformed", "other-org", "no-org"}

// answer is all that can be seen of one.
type answer struct {
	path       string
	status     int
	body       string
	headers    string
	statements int
	hashes     int64
}

func (m *matrix) ask() {
	for _, r := range m.p.server.routes {
		key := r.method + " " + r.path
		m.cells[key] = map[string][]string{}
		for i, a := range actors {
			if i%20 == 0 { // a minute's many strangers are told of as one, at another cost: there are few
				if err := m.p.System.TellRefusals(context.Background(), time.Now().Add(time.Hour)); err != nil {
					m.p.t.Fatal(err)
				}
			}
			m.cells[key][a.name] = m.askAs(r, a)
		}
	}
	if told := m.told(); told != m.refused {
		m.p.t.Errorf("%d were refused by their role, %d of them are in the histories", m.refused, told)
	}
}

// askAs asks for every target of a route as one actor, and compares what has
// to be the same.
func (m *matrix) askAs(r route, a actor) []string {
	t := m.p.t
	t.Helper()
	seen := map[string]answer{}
	cells := make([]string, len(targets))
	for i, target := range targets {
		cells[i] = "-"
		path, ok := m.address(r.path, a, target)
		if !ok {
			continue
		}
		got := m.send(r, a, target, path)
		seen[target], cells[i] = got, strconv.Itoa(got.status)
		if got.status >= 500 {
			t.Errorf("%s %s as %s: %d", r.method, path, a.name, got.status)
		}
		if got.status == http.StatusForbidden && r.permission != "" {
			m.refused++
		}
	}
	where := r.method + " " + r.path + " as " + a.name
	m.same(where, seen, "foreign", "invented")
	m.same(where, seen, "other-org", "no-org", http.StatusNotFound)
	m.same(where, seen, "own", "no-org", http.StatusNotFound)
	// Who isn't let in learns nothing of what there is.
	m.same(where, seen, "own", "invented", http.StatusSeeOther, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound)
	var absent *answer
	for _, target := range targets { // all that isn't there looks the same
		got, asked := seen[target]
		if !asked || got.status != http.StatusNotFound {
			continue
		}
		if absent == nil {
			absent = &got
		} else if got.body != absent.body || got.headers != absent.headers {
			t.Errorf("%s: %s and %s are both 404 and differ", where, absent.path, got.path)
		}
	}
	return cells
}

// same compares two answers; with statuses given, only if both have the same of them.
func (m *matrix) same(where string, seen map[string]answer, one, other string, only ...int) {
	m.p.t.Helper()
	a, ok := seen[one]
	b, also := seen[other]
	if !ok || !also || len(only) > 0 && (a.status != b.status || !slices.Contains(only, a.status)) {
		return
	}
	// What was typed comes back to whoever typed it: in the way to the sign-in page.
	b.body, b.headers = swap(b.body, b.path, a.path), swap(b.headers, b.path, a.path)
	if a.status != b.status || a.body != b.body || a.headers != b.headers {
		m.p.t.Errorf("%s: %s and %s differ:\n%d %s\n%d %s", where, one, other, a.status, a.headers, b.status, b.headers)
	}
	if a.statements != b.statements || a.hashes != b.hashes {
		m.p.t.Errorf("%s: %s costs %d statements and %d hashes, %s %d and %d", where, one, a.statements, a.hashes, other, b.statements, b.hashes)
	}
}

func swap(text, from, to string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, url.QueryEscape(from), url.QueryEscape(to)), from, to)
}

// address puts the target's org and ids into a route's path. !ok: the route
// has no such target.
func (m *matrix) address(path string, a actor, target string) (string, bool) {
	tenant := strings.HasPrefix(path, orgPrefix)
	params := parameters(path)
	org := map[string]string{"other-org": "globex", "no-org": "nosuchorg"}[target]
	switch {
	case org != "" && !tenant:
		return "", false
	case org == "":
		org = "acme"
		if target != "own" && len(params) == 0 {
			return "", false
		}
	}
	result := path
	if tenant {
		result = strings.Replace(result, ":org", org, 1)
	}
	for param, noun := range params {
		id, ok := m.id(noun, tenant, a, target)
		if !ok {
			return "", false
		}
		result = strings.Replace(result, param, id, 1)
	}
	return strings.Replace(result, "*", fileParam, 1), true
}

// id is one of the noun's, as the target wants it.
func (m *matrix) id(noun string, tenant bool, a actor, target string) (string, bool) {
	m.p.t.Helper()
	create, known := nouns[noun]
	if !known {
		m.p.t.Fatalf("matrix_nouns_test.go doesn't know %q: add one line to the table that makes one and returns its id", noun)
	}
	whose := ""
	switch {
	case target == "invented":
		return m.invented(), true
	case target == "malformed":
		return "%27%20or%201=1--" + strings.Repeat("a", 300), true
	case tenant && (target == "foreign" || target == "other-org"):
		whose = "globex"
	case tenant:
		whose = "acme"
	case strings.HasPrefix(noun, "account/") && target == "foreign":
		whose = "user@globex.example"
		if a.email == whose {
			whose = "user@acme.example"
		}
	case strings.HasPrefix(noun, "account/"):
		if whose = a.email; whose == "" {
			whose = "user@acme.example"
		}
	case target == "foreign": // the provider's things are nobody else's
		return "", false
	}
	key := [2]string{noun, whose}
	if m.ids[key] == "" {
		m.ids[key] = create(m, whose)
	}
	return m.ids[key], true
}

// reach is a form that gets as far as the question whether the thing is there,
// on every route: for ids that aren't. The own thing gets an empty form, which
// changes nothing where there is anything to fill in.
var (
	reach    = url.Values{"op": {"stop"}, "confirm": {"m-1"}, "name": {"m-1"}, "reason": {"to see"}, "role": {"user"}}
	reaching = map[string]bool{"foreign": true, "invented": true, "malformed": true}
)

// send asks once.
func (m *matrix) send(r route, a actor, target, path string) answer {
	enter := m.entered[a.name]
	if enter == nil {
		enter = a.enter(m, a.email)
		m.entered[a.name] = enter
	}
	var form url.Values
	if r.method == http.MethodPost {
		form = url.Values{}
		if reaching[target] {
			form = maps.Clone(reach)
		}
	}
	request := m.p.anonymous().request(r.method, path, form)
	m.sources++
	if m.sources%50 == 0 { // before a minute's refusals are so many that they are counted as one
		if err := m.p.System.TellRefusals(context.Background(), models.Now().Add(2*time.Minute)); err != nil {
			m.p.t.Fatal(err)
		}
	}
	request.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1234", m.sources>>16&255, m.sources>>8&255, m.sources&255)
	enter(request)
	m.mu.Lock()
	before := m.statements
	m.mu.Unlock()
	hashes := m.p.server.identity.Hashed()
	w := read(m.p.server.Handler(), request)
	m.mu.Lock()
	defer m.mu.Unlock()
	got := answer{path: path, status: w.Code, body: w.Body.String(), headers: headerText(w.Header()),
		statements: m.statements - before, hashes: m.p.server.identity.Hashed() - hashes}
	if r.method == http.MethodPost && got.status < 400 { // it may have changed what it was asked of
		clear(m.ids)
		delete(m.entered, a.name)
	}
	return got
}

// headerText leaves out what no two answers share: the request's id, and how
// many seconds a look has left.
func headerText(h http.Header) string {
	h = h.Clone()
	h.Del("X-Request-Id")
	if _, url, ok := strings.Cut(h.Get("Refresh"), ";"); ok {
		h.Set("Refresh", "left;"+url)
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		lines = append(lines, name+": "+strings.Join(h[name], ", "))
	}
	return strings.Join(lines, "\n")
}

// told counts the refusals in all histories.
func (m *matrix) told() int {
	n := 0
	for _, org := range []models.OrgID{m.p.Acme.ID, m.p.Globex.ID, models.ProviderOrg} {
		err := m.p.System.Look(context.Background(), org, func(r *models.Reader) error {
			mark := ""
			for {
				page, err := r.Events(models.EventFilter{Action: models.ActionAccessRefused, Page: models.Paging{After: mark, Limit: 100}})
				if err != nil {
					return err
				}
				n += len(page.Rows)
				if mark = page.Next; mark == "" {
					return nil
				}
			}
		})
		if err != nil {
			m.p.t.Fatal(err)
		}
	}
	return n
}

// text is the golden file: per route, those who get the same stand together.
func (m *matrix) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-28s %s\n", "# status for", strings.Join(targets, " "))
	for _, r := range m.p.server.routes {
		key := r.method + " " + r.path
		fmt.Fprintf(&b, "\n%s\n", key)
		var order []string
		who := map[string][]string{}
		for _, a := range actors {
			cells := strings.Join(m.cells[key][a.name], " ")
			if who[cells] == nil {
				order = append(order, cells)
			}
			who[cells] = append(who[cells], a.name)
		}
		for _, cells := range order {
			fmt.Fprintf(&b, "  %s  %s\n", cells, strings.Join(who[cells], " "))
		}
	}
	return b.String()
}

// compare tells where the golden file says something else.
func (m *matrix) compare(t *testing.T, kind, golden string) {
	t.Helper()
	want := map[string]map[string]string{}
	key := ""
	for line := range strings.SplitSeq(golden, "\n") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] == "#":
		case !strings.HasPrefix(line, " "):
			key = line
			want[key] = map[string]string{}
		default:
			for _, name := range fields[len(targets):] {
				want[key][name] = strings.Join(fields[:len(targets)], " ")
			}
		}
	}
	const advice = "look at who gets what, then UPDATE_GOLDEN=1 go test ./web -run RouteMatrix"
	for key, row := range m.cells {
		for name, cells := range row {
			if got := strings.Join(cells, " "); got != want[key][name] {
				t.Errorf("%s as %s on %s: got %s, want %q (%s): %s", key, name, kind, got, want[key][name], strings.Join(targets, " "), advice)
			}
		}
	}
	for key := range want {
		if m.cells[key] == nil {
			t.Errorf("%s is in the golden file and not in the table: %s", key, advice)
		}
	}
}

// read takes a whole answer, and of a stream its beginning.
func read(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w := &beginning{ResponseRecorder: httptest.NewRecorder(), enough: cancel}
	h.ServeHTTP(w, r.WithContext(ctx))
	return w.ResponseRecorder
}

// beginning is a client that leaves a stream once it has begun.
type beginning struct {
	*httptest.ResponseRecorder
	enough func()
}

func (b *beginning) Flush() {
	b.ResponseRecorder.Flush()
	if strings.HasPrefix(b.Header().Get("Content-Type"), "text/event-stream") {
		b.enough()
	}
}

func (b *beginning) SetReadDeadline(time.Time) error  { return nil }
func (b *beginning) SetWriteDeadline(time.Time) error { return nil }
