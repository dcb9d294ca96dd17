package models_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/migrations"
	"github.com/millwright/millwright/models"
)

// A folder may be called anything: the database is where it was asked for.
func TestDatabaseFileIsWhereItWasAskedFor(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, name := range []string{"plain", "with space", "a#b", "50%41", "what?mode=ro", "über"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "portal.db")
		if err := migrations.SQLite(ctx, models.SQLiteDSN(path, false)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		db, err := models.Open(ctx, models.Options{URL: "sqlite://" + path, Key: testkit.Key, Logger: testkit.Quiet()})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = db.Close()
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Compiling a page's statement would take longer than all of the page: the
// planner thinks so much of a long history.
func TestStatementsAreNotCompiled(t *testing.T) {
	t.Parallel()
	var jit string
	if err := testkit.Postgres(t).SQL().QueryRowContext(t.Context(), "SHOW jit").Scan(&jit); err != nil || jit != "off" {
		t.Errorf("jit is %q: %v", jit, err)
	}
}
