package migrations_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/migrations"
)

// What an org's transaction must not write, whatever statement is slipped into
// it: the menu, clouds, accounts, other orgs' rows, and the tables' own
// history.
func TestOrgsTransactionWritesItsOwnRowsOnly(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	w := testkit.NewWorld(t, db)
	ctx := context.Background()
	for _, statement := range []string{
		"UPDATE users SET provider_role = 'operator'",
		"UPDATE users SET password_hash = ''",
		"DELETE FROM users",
		"INSERT INTO users (id, email, name, password_hash, provider_role, created_at) VALUES ('x', 'x', 'x', '', 'operator', now())",
		"UPDATE orgs SET suspended_at = NULL, slug = 'mine'",
		"UPDATE members SET role = 'admin'",
		"INSERT INTO members (org_id, user_id, role, created_at) SELECT '" + string(w.Globex.ID) + "', user_id, role, now() FROM members LIMIT 1",
		"UPDATE clouds SET url = 'https://evil.example/sdk'",
		"UPDATE templates SET min_vcpus = 0",
		"UPDATE template_images SET image_uuid = 'x'",
		"DELETE FROM template_images",
		"UPDATE instance_types SET price_per_hour_micros = 0",
		"UPDATE quotas SET org_id = '" + string(w.Globex.ID) + "'",
		"INSERT INTO audit_events SELECT 'x', '" + string(w.Globex.ID) + "', at, '', '', '', '', '', '', '', '', '', '', '', '', '', '' FROM audit_events LIMIT 1",
		"INSERT INTO audit_events SELECT 'x', 'provider', at, '', '', '', '', '', '', '', '', '', '', '', '', '', '' FROM audit_events LIMIT 1",
		"TRUNCATE audit_events",
		"DELETE FROM goose_db_version",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)",
		"DELETE FROM river_migration",
	} {
		tx, err := db.SQL().BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "SELECT set_config('millwright.org', $1, true)", string(w.Acme.ID)); err != nil {
			t.Fatal(err)
		}
		done, err := tx.ExecContext(ctx, statement)
		if err == nil {
			if n, _ := done.RowsAffected(); n != 0 {
				t.Errorf("%s: %d rows", statement, n)
			}
		}
		_ = tx.Rollback()
	}
}

// REPLACE deletes without asking the delete trigger.
func TestHistoryIsNotReplaced(t *testing.T) {
	t.Parallel()
	db := testkit.SQLite(t)
	testkit.NewWorld(t, db).Machine(t, "web-1")
	for _, statement := range []string{
		"INSERT OR REPLACE INTO audit_events SELECT id, org_id, at, actor_kind, actor_id, 'somebody else', session_id, source, action, object_kind, object_id, object_name, outcome, before, after, request_id, body FROM audit_events",
		"UPDATE OR REPLACE audit_events SET actor_name = 'x'",
		"DELETE FROM audit_events",
	} {
		if _, err := db.SQL().ExecContext(context.Background(), statement); err == nil {
			t.Errorf("%s was let through", statement)
		}
	}
}

// Nodes that start together may all migrate.
func TestSeveralMigrateAtOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := testkit.EmptyPostgresURL(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := migrations.Postgres(ctx, url); err != nil {
				t.Errorf("PostgreSQL: %v", err)
			}
		})
	}
	wg.Wait()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	// A server notices a moment later that a connection has gone.
	const held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
	open := -1
	for deadline := time.Now().Add(10 * time.Second); open != 0; time.Sleep(20 * time.Millisecond) {
		if err := db.QueryRowContext(ctx, held).Scan(&open); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d locks are left behind", open)
		}
	}
}
