package migrations_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/migrations"
	"github.com/millwright/millwright/models"
)

// Both databases have the same tables, columns and named limits.
func TestBothKindsMakeTheSameTables(t *testing.T) {
	t.Parallel()
	lite := columns(t, testkit.SQLite(t).SQL(), `SELECT m.name, p.name, p."notnull" FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table'`)
	pg := columns(t, testkit.Postgres(t).SQL(), `SELECT table_name, column_name, CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END FROM information_schema.columns WHERE table_schema = 'public'`)
	if len(lite) < 100 {
		t.Fatalf("only %d columns were read", len(lite))
	}
	for _, c := range lite {
		// SQLite does not call a primary key NOT NULL.
		if !slices.Contains(pg, c) && !slices.Contains(pg, strings.Replace(c, " 0", " 1", 1)) {
			t.Errorf("only SQLite has %s", c)
		}
	}
	for _, c := range pg {
		if !slices.Contains(lite, c) && !slices.Contains(lite, strings.Replace(c, " 1", " 0", 1)) {
			t.Errorf("only PostgreSQL has %s", c)
		}
	}
}

func columns(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var table, column string
		var notNull int
		if err := rows.Scan(&table, &column, &notNull); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(table, "river_") || strings.HasPrefix(table, "goose_") || strings.HasPrefix(table, "sqlite_") {
			continue
		}
		list = append(list, table+"."+column+" "+string(rune('0'+notNull)))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// Migrating an up-to-date database again changes nothing and fails nothing.
func TestMigratingTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	if err := migrations.Postgres(ctx, testkit.PostgresURL(t)); err != nil {
		t.Error(err)
	}
	path := models.SQLitePath(testkit.SQLiteURL(t))
	if err := migrations.SQLite(ctx, models.SQLiteDSN(path, false)); err != nil {
		t.Error(err)
	}
}
