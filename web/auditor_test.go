package web

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/millwright/millwright/models"
)

// An auditor reads every page of the org and exports its history; whatever
// they are made to send changes nothing, opens no console, and is told.
func TestAuditorReadsAllAndChangesNothing(t *testing.T) {
	t.Parallel()
	m := lite(t)
	for _, name := range []string{"auditor", "token-auditor", "token-demoted"} {
		a := named(name)
		for _, r := range m.p.orgRoutes() {
			m.knock(route{method: http.MethodGet, path: "/account"}, a, nil, nil) // their way in is made
			if _, ok := m.address(r.path, a, "own"); !ok {
				continue
			}
			before, told := m.contents(), len(m.refusals())
			answer := m.knock(r, a, maps.Clone(reach), nil)
			may := models.RoleAuditor.May(r.permission)
			switch {
			case r.method == http.MethodGet && r.permission != models.ConsoleOpen && may != (answer.Code < 400):
				t.Errorf("GET %s as %s: %d", r.path, name, answer.Code)
			case !may && (answer.Code != http.StatusForbidden || len(m.refusals()) != told+1):
				t.Errorf("%s %s as %s: %d, %d refusals told", r.method, r.path, name, answer.Code, len(m.refusals())-told)
			case r.method == http.MethodPost && may && r.permission != models.HistoryExport:
				t.Errorf("an auditor may %s %s: say here why that changes nothing", r.method, r.path)
			}
			if after := m.contents(); after != before {
				t.Errorf("%s %s as %s changed something", r.method, r.path, name)
			}
		}
	}
	for _, p := range []models.Permission{models.MachineOrder, models.MachineOperate, models.MachineDelete, models.ConsoleOpen, models.TaskControl} {
		if models.RoleAuditor.May(p) || models.RoleProviderAuditor.May(p) {
			t.Errorf("an auditor has %s", p)
		}
	}
}

// refusals are the ids of all that the history tells as refused.
func (m *matrix) refusals() []string {
	return m.rows("SELECT id FROM audit_events WHERE action = '" + string(models.ActionAccessRefused) + "'")
}

// contents is every row but the history's and the messages that wait for a page.
func (m *matrix) contents() string {
	var b strings.Builder
	for _, table := range m.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'audit%' AND name NOT LIKE 'sqlite%' AND name NOT IN ('sessions', 'throttles')") {
		b.WriteString(strings.Join(m.rows("SELECT * FROM "+table), "\n"))
	}
	return b.String()
}

// rows is what a query brings, as text, sorted.
func (m *matrix) rows(query string) []string {
	t := m.p.t
	t.Helper()
	rows, err := m.db.SQL().QueryContext(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for rows.Next() {
		cells, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		line := make([]string, len(cells))
		for i, c := range cells {
			line[i] = fmt.Sprint(c)
		}
		list = append(list, strings.Join(line, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}
