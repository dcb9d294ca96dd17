package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// readsThatTell are the reads that write by intent, each with what.
var readsThatTell = map[string]string{
	"/orgs/:org/history/export": "the history tells who took it away",
	"/provider/history/export":  "the history tells who took it away",
	desiredPath:                 "a gateway that asks is heard of",
	"/console":                  "a console that opens is told of, and so is a ticket that opens none",
}

// Reading changes nothing: every GET of the table, of something real and by
// everybody who may see it, leaves every table as it was, row for row. That
// includes when sessions were last seen, which is written once a minute, and
// these are fresh; and of the streams, which go on until the reader leaves,
// their beginning.
func TestHoleReadThatWrites(t *testing.T) {
	t.Parallel()
	for kind, address := range map[string]func(testing.TB) string{"sqlite": testkit.SQLiteURL, "postgres": testkit.PostgresURL} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := newMatrix(t, address(t))
			readers := map[models.Role]actor{models.RoleAdmin: acmeAdmin, models.RoleUser: named("user"), models.RoleAuditor: named("auditor"),
				models.RoleOperator: operator, models.RoleProviderAuditor: named("provider-auditor")}
			var asked []route
			for _, r := range m.p.server.routes {
				if r.method == http.MethodGet && readsThatTell[r.path] == "" {
					asked = append(asked, r)
				}
			}
			for _, a := range readers { // what is made for them is made before
				m.entered[a.name] = a.enter(m, a.email)
				for _, r := range asked {
					m.address(r.path, a, "own")
				}
			}
			before, seen := m.allRows(), 0
			for _, r := range asked {
				shown := false
				for role, a := range readers {
					if r.permission != "" && !role.May(r.permission) {
						continue // refusals are told of, by intent
					}
					answer := m.knock(r, a, nil, nil)
					if answer.Code >= 500 || answer.Code == http.StatusForbidden {
						t.Errorf("GET %s as %s: %d", r.path, a.name, answer.Code)
					}
					shown = shown || answer.Code == http.StatusOK
				}
				if shown {
					seen++
				}
			}
			after := m.allRows()
			for _, table := range slices.Sorted(maps.Keys(after)) {
				if after[table] != before[table] {
					t.Errorf("%s: %s before, %s after", table, before[table], after[table])
				}
			}
			if seen < 50 || len(after) < 40 {
				t.Errorf("only %d of %d routes showed something, and %d tables were compared", seen, len(asked), len(after))
			}
		})
	}
}

// allRows is every table's number of rows and what is in them.
func (m *matrix) allRows() map[string]string {
	t := m.p.t
	t.Helper()
	ctx := context.Background()
	tx, err := m.db.SQL().BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	list := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if m.db.Kind() == models.PostgreSQL {
		list = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')` // not the records of migrations
		if _, err := tx.ExecContext(ctx, "SELECT set_config('millwright.system', 'on', true)"); err != nil {
			t.Fatal(err)
		}
	}
	read := func(query string) (all []string) {
		found, err := tx.QueryContext(ctx, query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		defer func() { _ = found.Close() }()
		columns, err := found.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for found.Next() {
			values, to := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				to[i] = &values[i]
			}
			if err := found.Scan(to...); err != nil {
				t.Fatal(err)
			}
			all = append(all, strings.TrimSuffix(fmt.Sprintln(values...), "\n"))
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(all)
		return all
	}
	tables := map[string]string{}
	for _, table := range read(list) {
		all := read(`SELECT * FROM "` + table + `"`)
		sum := sha256.Sum256([]byte(strings.Join(all, "\n")))
		tables[table] = fmt.Sprintf("%d rows (%s)", len(all), hex.EncodeToString(sum[:4]))
	}
	return tables
}

// A cloud that is there can't be led inside by its edit form either.
func TestHoleRequestsToWhereTheEditedCloudSays(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		var reached atomic.Int32
		inside := httptest.NewUnstartedServer(http.NotFoundHandler())
		inside.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew { // even a handshake is too much
				reached.Add(1)
			}
		}
		inside.StartTLS()
		t.Cleanup(inside.Close)
		_, port, _ := strings.Cut(strings.TrimPrefix(inside.URL, "https://"), ":")
		p := newPortalGuarded(t, db, Options{}, vsphere.PublicGuard(false))
		b := p.as("operator@provider.example")
		page := "/provider/clouds/" + string(p.Public.ID)
		for _, address := range []string{
			"https://127.0.0.1:" + port + "/sdk", "https://localhost:" + port + "/sdk", "https://[::1]:" + port + "/", "https://2130706433:" + port + "/",
			"https://[::ffff:127.0.0.1]:" + port + "/", "https://[64:ff9b::7f00:1]:" + port + "/", "https://vcenter.example@127.0.0.1:" + port + "/",
			"https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", "http://127.0.0.1:" + port + "/", "file:///etc/passwd", "",
		} {
			for _, path := range []string{page, page + "/certificate"} {
				form := cloudForm(address)
				form.Set("username", "portal")
				answer := b.post(path, form)
				if answer.Code != http.StatusUnprocessableEntity || !strings.Contains(answer.Body.String(), "field-url-error") {
					t.Errorf("%s at %s: %d", address, path, answer.Code)
				}
				if strings.Contains(answer.Body.String(), "a-secret-password") {
					t.Errorf("%s at %s: the password comes back", address, path)
				}
			}
		}
		if n := reached.Load(); n != 0 {
			t.Errorf("%d connections reached the inside", n)
		}
		provider, err := p.System.Provider(b.who)
		if err != nil {
			t.Fatal(err)
		}
		list, err := provider.Clouds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if c.ID == p.Public.ID && c.URL != p.Public.URL {
				t.Errorf("its address is %s now", c.URL)
			}
		}
	})
}
