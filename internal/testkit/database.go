package testkit

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millwright/millwright/migrations"
	"github.com/millwright/millwright/models"
)

// Key seals secrets in tests.
var Key = func() []byte { k := sha256.Sum256([]byte("testkit")); return k[:] }()

// Quiet is a logger for tests that expect warnings.
func Quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Databases runs the test on SQLite and on PostgreSQL, each with an empty,
// migrated database of its own.
func Databases(t *testing.T, test func(t *testing.T, db *models.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, Postgres(t)) })
}

// migrated is the file that every test's SQLite database is a copy of.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "millwright-sqlite-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "template.db")
	if err := migrations.SQLite(context.Background(), models.SQLiteDSN(path, false)); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// SQLiteURL makes an empty, migrated SQLite file and returns its URL.
func SQLiteURL(t testing.TB) string {
	t.Helper()
	template, err := migrated()
	if err != nil {
		t.Fatalf("migrate: %v", err)
	}
	path := filepath.Join(t.TempDir(), "portal.db")
	if err := os.WriteFile(path, template, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite://" + path
}

// SQLite opens an empty, migrated SQLite database.
func SQLite(t testing.TB) *models.DB { t.Helper(); return Open(t, SQLiteURL(t)) }

// Postgres opens an empty, migrated PostgreSQL database.
func Postgres(t testing.TB) *models.DB { t.Helper(); return Open(t, PostgresURL(t)) }

// Open opens a database until the test ends.
func Open(t testing.TB, url string) *models.DB {
	t.Helper()
	db, err := models.Open(context.Background(), models.Options{URL: url, Key: Key, MaxConns: 12, Logger: Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Statements counts what a database is asked.
type Statements struct{ n atomic.Int64 }

// Of is how many statements something takes.
func (s *Statements) Of(something func()) int {
	before := s.n.Load()
	something()
	return int(s.n.Load() - before)
}

// Counted runs a test on both databases, with its statements counted.
func Counted(t *testing.T, test func(t *testing.T, db *models.DB, s *Statements)) {
	t.Helper()
	for name, address := range map[string]func(testing.TB) string{"sqlite": SQLiteURL, "postgres": PostgresURL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &Statements{}
			db, err := models.Open(context.Background(), models.Options{URL: address(t), Key: Key, MaxConns: 12, Logger: Quiet(),
				Trace: func(string) { s.n.Add(1) }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			test(t, db, s)
		})
	}
}
