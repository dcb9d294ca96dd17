package web

import (
	"context"
	"encoding/csv"
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

// get reads a route as its visitor does, with a query.
func (m *matrix) get(r route, a actor, query url.Values) (status int, header http.Header, body string) {
	m.p.t.Helper()
	answer := m.knock(r, a, nil, func(q *http.Request) { q.URL.RawQuery = query.Encode() })
	return answer.Code, answer.Header(), answer.Body.String()
}

// No list, item, part or export of acme's has a trace of globex's things, of
// whatever kind there are.
func TestHoleAnotherOrgsThingsInAList(t *testing.T) {
	t.Parallel()
	m := lite(t)
	traces := []string{string(m.p.Globex.ID), "globex", "Globex", string(m.p.GlobexNetwork.ID), string(m.p.User("admin@globex.example").ID)}
	for _, noun := range slices.Sorted(maps.Keys(nouns)) {
		if strings.Contains(noun, "/") {
			continue
		}
		theirs, _ := m.id(noun, true, acmeAdmin, "foreign")
		traces = append(traces, theirs)
		m.id(noun, true, acmeAdmin, "own") // so that lists have something
	}
	for _, r := range m.p.orgRoutes() {
		if r.method != http.MethodGet {
			continue
		}
		for _, query := range []url.Values{
			nil, {"part": {"list"}}, {"part": {"live"}}, {"part": {"row"}}, {"part": {"plan"}, "network": {string(m.p.GlobexNetwork.ID)}}, {"q": {"globex"}}, {"format": {"csv"}}, {"format": {"jsonl"}},
			{"org": {"globex"}, "org_id": {string(m.p.Globex.ID)}}, {"object": {traces[len(traces)-1]}}, {"actor": {"globex"}}, {"machine": {traces[len(traces)-1]}}, {"after": {traces[len(traces)-1]}},
		} {
			status, _, body := m.get(r, acmeAdmin, query)
			for _, asked := range query { // what was typed comes back in the form
				for _, value := range asked {
					body = strings.ReplaceAll(body, value, "")
				}
			}
			for _, trace := range traces {
				if strings.Contains(body, trace) {
					t.Errorf("GET %s?%s: %d, and has %q", r.path, query.Encode(), status, trace)
				}
			}
		}
	}
}

// Ids in fields are no way round: another org's network is as absent as an
// invented one, in the same words and by as many statements.
func TestHoleAnotherOrgsIDInAForm(t *testing.T) {
	t.Parallel()
	m := lite(t)
	order := route{method: http.MethodPost, path: orgPrefix + "/machines"}
	seen := map[string]answer{}
	m.entered[acmeAdmin.name] = acmeAdmin.enter(m, acmeAdmin.email)
	for name, id := range map[string]string{"foreign": string(m.p.GlobexNetwork.ID), "invented": m.invented()} {
		m.mu.Lock()
		before := m.statements
		m.mu.Unlock()
		got := m.knock(order, acmeAdmin, url.Values{"name": {"web-1"}, "template": {m.p.Template.Slug}, "instance_type": {m.p.Small.Slug}, "network": {id}}, nil)
		seen[name] = answer{path: id, status: got.Code, body: got.Body.String(), headers: headerText(got.Header()), statements: m.statements - before}
	}
	if seen["foreign"].status != http.StatusUnprocessableEntity {
		t.Errorf("%d", seen["foreign"].status)
	}
	m.same("an order", seen, "foreign", "invented")
	bulk := route{method: http.MethodPost, path: orgPrefix + "/machines/power"}
	theirs, _ := m.id("machines", true, acmeAdmin, "foreign")
	for name, id := range map[string]string{"foreign": theirs, "invented": m.invented()} {
		m.mu.Lock()
		before := m.statements
		m.mu.Unlock()
		got := m.knock(bulk, acmeAdmin, url.Values{"op": {"stop"}, "id": {id}}, nil)
		seen[name] = answer{path: id, status: got.Code, body: got.Body.String(), headers: headerText(got.Header()), statements: m.statements - before}
		m.entered = map[string]func(*http.Request){}
		m.entered[acmeAdmin.name] = acmeAdmin.enter(m, acmeAdmin.email)
	}
	if a, b := seen["foreign"], seen["invented"]; a.status != b.status || a.body != b.body || a.headers != b.headers {
		t.Errorf("bulk: %+v and %+v", a, b)
	}
	err := m.p.System.Look(context.Background(), m.p.Globex.ID, func(r *models.Reader) error {
		row, err := r.Machine(models.MachineID(theirs))
		if err == nil && (row.TaskID != "" || row.State != models.MachineRunning) {
			t.Errorf("globex's machine: %+v", row)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// injections would show in a statement that was put together from text.
var injections = []string{
	"'", "' OR '1'='1", "' OR 1=1 --", "1 OR 1=1", `" OR ""="`, "'; DROP TABLE machines; --", "name; DROP TABLE machines", "x') OR ('1'='1", "1 UNION SELECT password_hash FROM users",
	"' UNION SELECT id, password_hash FROM users --", "(SELECT CASE WHEN 1=1 THEN name ELSE id END)", "name DESC, (SELECT 1)", "id;SELECT pg_sleep(9)", "%", "_", `\`, `\'`, "%' ESCAPE '", "$1", "?", ":a", "@a", "/*", "--",
	"2026-01-01' OR '1'='1", "newest', 'x", "NULL", "CAST('x' AS integer)", "ʼ OR 1=1", "'||(SELECT 1)||'",
}

var listFields = []string{"q", "sort", "state", "kind", "op", "action", "outcome", "object", "actor", "machine", "from", "to", "after", "before", "limit", "page", "format", "part", "template", "instance_type", "cloud", "network", "count", "name", "role", "org", "order", "dir", "event", "id"}

// Every filter, sort and mark of every list takes SQL for text: no error of
// the database, no row of another org.
func TestHoleSQLInAFilter(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			address := testkit.SQLiteURL
			if kind == "postgres" {
				address = testkit.PostgresURL
			}
			m := newMatrix(t, address(t))
			theirs, _ := m.id("machines", true, acmeAdmin, "foreign")
			for _, r := range m.p.server.routes {
				if r.method != http.MethodGet || strings.HasSuffix(r.path, "/events") || (r.door != doorOrg && r.door != doorProvider) {
					continue
				}
				for at, field := range listFields {
					// Each field gets another share of them, each list each of them.
					all := []string{"' OR 1=1 --"}
					for i := (at*7 + len(r.path)) % 5; i < len(injections); i += map[string]int{"sqlite": 5, "postgres": 15}[kind] {
						all = append(all, injections[i])
					}
					for _, text := range all {
						status, _, body := m.get(r, visitor(r), url.Values{field: {text}})
						if status >= 500 || (r.door == doorOrg && strings.Contains(body, theirs)) || strings.Contains(body, "argon2id") || strings.Contains(body, "SQLSTATE") {
							t.Errorf("GET %s?%s=%s: %d", r.path, field, text, status)
						}
					}
				}
			}
			if n := len(m.p.events(models.EventFilter{})); n == 0 {
				t.Error("the history is gone")
			}
		})
	}
}

// hostile puts text into every column of text that there is, but for keys,
// closed lists and what is no text to people.
func (m *matrix) hostile(text string) (filled int) {
	t := m.p.t
	t.Helper()
	rows, err := m.db.SQL().QueryContext(context.Background(), `SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND lower(c.type) = 'text' AND c.pk = 0 AND m.name NOT LIKE 'river%' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'audit%'`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var columns [][2]string
	for rows.Next() {
		var c [2]string
		if err := rows.Scan(&c[0], &c[1]); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	keep := map[string]bool{"slug": true, "state": true, "role": true, "provider_role": true, "maker_role": true, "kind": true, "op": true, "mode": true, "class": true, "status": true, "resource": true, "data": true, "actor_kind": true, "key": true, "secret": true, "password": true}
	for _, c := range columns {
		if keep[c[1]] || strings.HasSuffix(c[1], "id") || strings.HasSuffix(c[1], "_id") || strings.HasSuffix(c[1], "hash") || strings.HasSuffix(c[1], "_of") {
			continue
		}
		// Columns with a rule of their own say no, and are what they were.
		done, err := m.db.SQL().ExecContext(context.Background(), "UPDATE "+c[0]+" SET "+c[1]+" = ? || rowid", text)
		if err != nil {
			continue
		}
		if n, _ := done.RowsAffected(); n > 0 {
			filled++
		}
	}
	return filled
}

// Nothing that a user, a guest or a hypervisor says becomes an element, an
// attribute or a script's address of a page, whatever page and whatever field.
func TestHoleTextBecomesMarkup(t *testing.T) {
	t.Parallel()
	const probe = `"'><xss-probe onxss="1">x</xss-probe><script>xssprobe()</script><img src=x onerror=xssprobe()></title></textarea><!--`
	for name, text := range map[string]string{"markup": probe, "address": "javascript:xssprobe()//", "template": "{{xssprobe}}${xssprobe}\" onxss=\"1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := lite(t)
			for _, noun := range slices.Sorted(maps.Keys(nouns)) {
				if strings.Contains(noun, "/") {
					m.id(noun, false, acmeAdmin, "own")
					continue
				}
				m.id(noun, true, acmeAdmin, "own")
			}
			m.p.order("another") // an active task as well
			admin := m.user("admin@acme.example")
			for _, org := range []models.OrgID{m.p.Acme.ID, models.ProviderOrg} {
				err := m.p.System.RecordIn(context.Background(), org, models.Actor{Kind: models.ActorUser, ID: string(admin.ID), Name: text, Source: text, RequestID: text}, models.Event{
					Action: models.ActionMachinePower, Outcome: models.OutcomeRefused, Object: models.Object{Kind: "machine", ID: text, Name: text},
					Before: map[string]any{text: text, "reason": text}, After: map[string]any{text: text, "reason": text, "op": text}})
				if err != nil {
					t.Fatal(err)
				}
			}
			seen := 0
			who := map[string]func(*http.Request){}
			for _, a := range []actor{acmeAdmin, operator} {
				who[a.name] = a.enter(m, a.email)
			}
			if n := m.hostile(text); n < 25 {
				t.Fatalf("only %d columns took the text", n)
			}
			for _, r := range m.p.server.routes {
				if r.method != http.MethodGet || r.path == "/orgs/:org/events" {
					continue
				}
				a := visitor(r)
				m.entered[a.name] = who[a.name]
				for _, query := range []url.Values{nil, {"part": {"list"}}, {"part": {"live"}}, {"part": {"row"}}, {"q": {text}, "actor": {text}, "object": {text}, "name": {text}, "next": {text}}} {
					status, header, body := m.get(r, a, query)
					if status >= 500 {
						t.Errorf("GET %s: %d", r.path, status)
					}
					if !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
						continue
					}
					if strings.Contains(body, "xssprobe") {
						seen++
					}
					for _, fault := range markup(body) {
						t.Errorf("GET %s?%s: %s", r.path, query.Encode(), fault)
					}
				}
			}
			if seen < 10 {
				t.Errorf("the text was shown on %d pages", seen)
			}
		})
	}
}

// markup says what of a page was made from the probe.
func markup(page string) (faults []string) {
	tokens := html.NewTokenizer(strings.NewReader(page))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return faults
		case html.CommentToken:
			if strings.Contains(string(tokens.Text()), "xss") {
				faults = append(faults, "a comment made of it")
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			if token.Data == "xss-probe" {
				faults = append(faults, "an element made of it")
			}
			for _, a := range token.Attr {
				value := strings.ToLower(strings.TrimSpace(a.Val))
				switch {
				case strings.HasPrefix(a.Key, "on"), strings.Contains(a.Key, "xss"), token.Data == "script" && !strings.HasPrefix(a.Val, "/static/") && a.Key == "src":
					faults = append(faults, "the attribute "+a.Key+" of "+token.Data)
				case strings.HasPrefix(value, "javascript:") && a.Key != "value" && a.Key != "content" && !strings.HasPrefix(a.Key, "data-") && !strings.HasPrefix(a.Key, "aria-") && a.Key != "title" && a.Key != "placeholder":
					faults = append(faults, a.Key+" of "+token.Data+" runs a script")
				}
			}
			if token.Data == "script" {
				tokens.Next()
				if strings.Contains(string(tokens.Text()), "xssprobe") {
					faults = append(faults, "a script made of it")
				}
			}
		default:
		}
	}
}

// No cell of an export is a formula to a spreadsheet.
func TestHoleFormulaInAnExport(t *testing.T) {
	t.Parallel()
	m := lite(t)
	for _, text := range []string{`=HYPERLINK("http://evil.example")`, "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "=cmd|' /C calc'!A0", `",=1,"`, "＝1"} {
		err := m.p.System.RecordIn(context.Background(), m.p.Acme.ID, models.Actor{Kind: models.ActorUser, ID: text, Name: text, Source: text, RequestID: text}, models.Event{
			Action: models.ActionMachinePower, Outcome: models.OutcomeRefused, Object: models.Object{Kind: "machine", ID: text, Name: text}, After: map[string]any{"reason": text}})
		if err != nil {
			t.Fatal(err)
		}
	}
	exports := 0
	for _, r := range m.p.server.routes {
		if r.method != http.MethodGet || r.path == "/orgs/:org/events" {
			continue
		}
		_, header, body := m.get(r, visitor(r), url.Values{"format": {"csv"}})
		if !strings.Contains(header.Get("Content-Type"), "csv") {
			continue
		}
		exports++
		if !strings.Contains(header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s is shown, not saved", r.path)
		}
		records, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(body, "\ufeff"))).ReadAll()
		if err != nil || len(records) < 10 {
			t.Fatalf("%s: %d rows, %v", r.path, len(records), err)
		}
		for _, record := range records {
			for _, cell := range record {
				if cell != "" && strings.ContainsAny(strings.TrimLeft(cell, " ")[:min(1, len(strings.TrimLeft(cell, " ")))], "=+-@\t\r\n") {
					t.Errorf("%s: %q", r.path, cell)
				}
			}
		}
	}
	if exports == 0 {
		t.Error("no route exported anything")
	}
}
