package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// fuzzed is the portal that a fuzzing process tries, made once for all inputs:
// whatever they do to it, it has to go on.
func fuzzed(f *testing.F) *matrix { f.Helper(); return newMatrix(f, testkit.SQLiteURL(f)) }

// whole says what is half-made: a machine that is being built without a task,
// a task without steps, one held without an address, a bar that is wrong.
func (m *matrix) whole(t *testing.T) {
	t.Helper()
	for what, query := range map[string]string{
		"building without a task":   "SELECT id FROM machines WHERE state = 'building' AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.machine_id = machines.id AND tasks.state IN ('queued', 'running', 'cancelling'))",
		"held without an address":   "SELECT id FROM machines WHERE reserved AND NOT EXISTS (SELECT 1 FROM addresses WHERE addresses.machine_id = machines.id)",
		"address without a machine": "SELECT address FROM addresses WHERE NOT EXISTS (SELECT 1 FROM machines WHERE machines.id = addresses.machine_id AND machines.reserved)",
		"task without steps":        "SELECT id FROM tasks WHERE NOT EXISTS (SELECT 1 FROM task_steps WHERE task_steps.task_id = tasks.id)",
		"member of no role":         "SELECT user_id FROM members WHERE role NOT IN ('admin', 'user', 'auditor')",
		"org without an admin":      "SELECT slug FROM orgs WHERE slug IN ('acme', 'globex') AND NOT EXISTS (SELECT 1 FROM members WHERE members.org_id = orgs.id AND members.role = 'admin')",
	} {
		if rows := m.rows(query); len(rows) > 0 {
			t.Errorf("%s: %v", what, rows)
		}
	}
	bars, err := m.p.System.CheckQuotas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, bar := range bars {
		if !bar.Agrees() {
			t.Errorf("%s of %s: %d used, %d counted", bar.Resource, bar.OrgSlug, bar.Used, bar.Counted)
		}
	}
}

// routesOf are the table's of one method, as the fuzzer counts them.
func (m *matrix) routesOf(method string) []route {
	var list []route
	for _, r := range m.p.server.routes {
		if r.method == method && !strings.HasSuffix(r.path, "/events") {
			list = append(list, r)
		}
	}
	return list
}

// Any form, to any route that takes one, as whoever may send it: never a
// failure of ours, never a half-made record.
func FuzzForms(f *testing.F) {
	for i, body := range []string{
		"", "name=web-1&template=debian-13&instance_type=small", "name=web-1&template=debian-13&instance_type=small&count=20", "name=a&count=-1&template=%00&instance_type=%ff",
		"op=stop", "op=stop&id=x&id=y", "op=%F0%9F%92%A9&confirm=m-1", "confirm=m-1", "role=admin&email=a@b.example&name=x", "email=&email=a@b", "password=%00&new=x&again=y",
		"name=" + strings.Repeat("a", 5000), "=&=&==", "&&&&", "%", "a=%zz", "name[]=x&name[0]=y", "reason=x&minutes=9999999999999999999999", "code=000000", "next=//evil.example&email=x&password=y",
		"network=x&cidr=10.0.0.0/99&gateway=::1&port=70000&protocol=icmp", "url=http://169.254.169.254/&username=x&password=y&thumbprint=z", "confirm=yes&state=on&ceiling=-1&machines=1e9",
	} {
		for route := range uint16(4) {
			f.Add(route*7+uint16(i), body, i%3 == 0) // #nosec G115 -- small
		}
	}
	m := fuzzed(f)
	f.Fuzz(func(t *testing.T, which uint16, body string, multipart bool) {
		m.p.t = t // what goes wrong goes wrong with this input
		routes := m.routesOf(http.MethodPost)
		r := routes[int(which)%len(routes)]
		path, ok := m.address(r.path, visitor(r), "own")
		if !ok {
			return
		}
		contentType := "application/x-www-form-urlencoded"
		if multipart {
			contentType = "multipart/form-data; boundary=xx"
		}
		request := m.p.anonymous().request(http.MethodPost, path, url.Values{}, "Content-Type", contentType)
		request.Body, request.ContentLength = http.NoBody, 0
		if body != "" {
			request = m.p.anonymous().body(http.MethodPost, path, body, contentType)
		}
		m.entered[visitor(r).name] = visitor(r).enter(m, visitor(r).email)
		m.entered[visitor(r).name](request)
		answer := read(m.p.server.Handler(), request)
		if answer.Code >= 500 && answer.Code != http.StatusServiceUnavailable || answer.Code < 200 {
			t.Errorf("POST %s with %q: %d", path, body, answer.Code)
		}
		if answer.Code < 400 {
			clear(m.ids)
		}
		m.whole(t)
	})
}

// Any address of any list and page: filters, sorts, marks and parts that mean
// nothing are refused, and show nothing of another org.
func FuzzFilters(f *testing.F) {
	for i, query := range []string{
		"", "q=web&sort=name&state=running&limit=10", "after=x", "after=%00", "after=eyJpZCI6IiJ9", "limit=-1", "limit=99999999999999999999", "sort=name;DROP TABLE machines",
		"from=2026-01-01&to=2026-13-45", "action=machine.create&outcome=refused&actor=a&object=b&q=c", "part=list", "part=row&id=x", "part=plan&template=debian-13&instance_type=small&count=3",
		"q=%25_%5C%27", "q=" + strings.Repeat("a", 3000), "format=csv", "format=xml", "q=%F0%9F%92%A9&q=x", "&;&=", "after=" + strings.Repeat("A", 500), "next=//evil", "page=2&before=x",
	} {
		for route := range uint16(4) {
			f.Add(route*7+uint16(i), query, i%2 == 0) // #nosec G115 -- small
		}
	}
	m := fuzzed(f)
	theirs, _ := m.id("machines", true, acmeAdmin, "foreign")
	f.Fuzz(func(t *testing.T, which uint16, query string, scripted bool) {
		m.p.t = t // what goes wrong goes wrong with this input
		routes := m.routesOf(http.MethodGet)
		r := routes[int(which)%len(routes)]
		path, ok := m.address(r.path, visitor(r), "own")
		if !ok {
			return
		}
		request := m.p.anonymous().request(http.MethodGet, path, nil)
		request.URL.RawQuery = query
		if scripted {
			request.Header.Set("HX-Request", "true")
		}
		if m.entered[visitor(r).name] == nil {
			m.entered[visitor(r).name] = visitor(r).enter(m, visitor(r).email)
		}
		m.entered[visitor(r).name](request)
		answer := read(m.p.server.Handler(), request)
		if answer.Code >= 500 {
			t.Errorf("GET %s?%s: %d", path, query, answer.Code)
		}
		if r.door == doorOrg && !strings.Contains(query, theirs) && strings.Contains(answer.Body.String(), theirs) {
			t.Errorf("GET %s?%s shows another org's machine", path, query)
		}
	})
}
