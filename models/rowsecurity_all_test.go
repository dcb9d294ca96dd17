package models_test

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the owner's own connection

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// unowned are the tables without an org_id, each with the reason, and what a
// transaction of one org sees of it.
var unowned = map[string]struct {
	sees   string // nothing; everything; own; menu: own and what is open to all
	reason string
}{
	"orgs":  {"own", "the id is the org"},
	"users": {"own", "an account may be in several orgs; an org sees its members"},

	"clouds":          {"everything", "the menu: orders choose one"},
	"templates":       {"everything", "the menu"},
	"template_images": {"everything", "the menu: where a template is"},
	"instance_types":  {"everything", "the menu"},

	"catalogs":          {"menu", "which templates are offered; those that are open to all, and the org's"},
	"catalog_templates": {"menu", "what is in those catalogs"},
	"vlan_ranges":       {"everything", "the provider's; an org's new network gets one of it"},
	"public_ip_ranges":  {"everything", "the provider's; an org's new public IP comes from it"},
	"console_loads":     {"menu", "caps of accounts and hosts, which no one org has; of machines the org's"},

	"reserved_ports": {"everything", "the provider's; no service may have one"},

	"edges":              {"nothing", "the provider's"},
	"edge_tokens":        {"nothing", "a gateway's"},
	"edge_clouds":        {"nothing", "the provider's"},
	"sessions":           {"nothing", "an account's, whatever its orgs"},
	"throttles":          {"nothing", "of addresses and accounts"},
	"cloud_secrets":      {"nothing", "the provider's"},
	"second_factors":     {"nothing", "an account's"},
	"recovery_codes":     {"nothing", "an account's"},
	"sign_in_challenges": {"nothing", "an account's"},
	"identities":         {"nothing", "an account's, at its single sign-on"},
	"portal_nodes":       {"nothing", "the provider's"},
}

// The database itself shows a transaction of one org that org's rows and no
// other, of every table that there is; a new table is asked by itself. One
// without an org_id says above why.
func TestDatabaseShowsAnOrgItsOwnRowsOfEveryTable(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	w := testkit.NewWorld(t, db)
	x := acmes(t, w)
	w.MachineOf(t, "globex", "globex-machine")
	filled := 0
	for table, has := range tables(t, db) {
		secured := selected(t, db, "", "SELECT c.relrowsecurity, (SELECT COUNT(*) FROM pg_policy p WHERE p.polrelid = c.oid) > 0 AS policies FROM pg_class c WHERE c.oid = 'public."+table+"'::regclass")
		if len(secured) != 1 || secured[0] != "policies=true relrowsecurity=true" {
			t.Errorf("%s: row-level security is not on, or has no policy: %v", table, secured)
		}
		every, mine := selected(t, db, "", "SELECT * FROM "+table), selected(t, db, w.Globex.ID, "SELECT * FROM "+table)
		nobodys := selected(t, db, "nobody", "SELECT * FROM "+table)
		if has {
			others := 0
			for _, row := range every {
				if !strings.Contains(row, "org_id="+string(w.Globex.ID)) {
					others++
				}
			}
			if others > 0 {
				filled++
			}
			for _, row := range mine {
				if !strings.Contains(row, "org_id="+string(w.Globex.ID)) {
					t.Errorf("%s shows globex %.200s", table, row)
				}
			}
			if len(nobodys) != 0 {
				t.Errorf("%s shows %d rows to no org", table, len(nobodys))
			}
			continue
		}
		u, listed := unowned[table]
		switch {
		case !listed:
			t.Errorf("%s has no org_id: say in this test why, and what an org sees of it", table)
		case u.sees == "nothing" && len(mine) != 0, u.sees == "everything" && len(mine) != len(every), (u.sees == "nothing" || u.sees == "own") && len(nobodys) != 0:
			t.Errorf("%s: globex sees %d of %d rows, no org %d; want %s", table, len(mine), len(every), len(nobodys), u.sees)
		case (u.sees == "own" || u.sees == "menu") && strings.Contains(strings.Join(mine, "\n"), "acme") || strings.Contains(strings.Join(mine, "\n"), string(x.machine.ID)):
			t.Errorf("%s shows globex acme's:\n%s", table, strings.Join(mine, "\n"))
		}
	}
	if filled < 12 {
		t.Errorf("only %d tables have rows of another org to hide", filled)
	}
}

// loginURL is the database by a login of its own, which owns nothing and is a
// member of the portal's role: what docs/operate.md recommends.
func loginURL(t *testing.T, address, login string) string {
	t.Helper()
	owner, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close() }()
	for _, statement := range []string{"CREATE ROLE " + login + " LOGIN", "GRANT " + models.AppRole + " TO " + login} {
		if _, err := owner.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(login)
	return u.String()
}

// With a login that owns nothing, text that gets into a statement finds no way
// back to an owner: RESET ROLE leads to no more than the portal's own role has.
func TestLoginThatOwnsNothingServes(t *testing.T) {
	t.Parallel()
	db := testkit.Open(t, loginURL(t, testkit.PostgresURL(t), "portal_of_models"))
	w := testkit.NewWorld(t, db)
	w.Machine(t, "web-1")
	ctx := context.Background()
	conn, err := db.SQL().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, "RESET ROLE"); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM machines").Scan(&n); err != nil || n != 0 {
		t.Errorf("without an org %d machines are seen (%v)", n, err)
	}
	for _, change := range []string{
		"ALTER TABLE machines DISABLE ROW LEVEL SECURITY", "DROP TABLE machines", "UPDATE audit_events SET actor_name = 'x'", "DELETE FROM audit_events",
		"SET ROLE postgres", "SET SESSION AUTHORIZATION postgres", "DROP POLICY org_rows ON machines", "CREATE TABLE mine (id text)", "GRANT postgres TO portal_of_models",
	} {
		if _, err := conn.ExecContext(ctx, change); err == nil {
			t.Errorf("%s was allowed", change)
		}
	}
}
