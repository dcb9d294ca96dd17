// Package migrations brings a database to the present tables: ours first, the
// job queue's behind them. Files are forward only and never edited once they
// have been released; both folders hold the same numbers.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the pgx driver for goose
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite" // the sqlite driver
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// lockKey is the advisory lock of whoever migrates: any number that nobody
// else takes.
const lockKey = 0x6d696c6c7772

// Postgres migrates as the role in the URL, which owns the tables. The portal
// itself works as another role, made here. Several at once take turns.
func Postgres(ctx context.Context, url string) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	holder, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to migrate: %w", err)
	}
	defer func() { _ = holder.Close() }() // the lock goes with the connection, which db.Close ends
	if _, err := holder.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(lockKey)); err != nil {
		return fmt.Errorf("wait for whoever else migrates: %w", err)
	}
	if err := up(ctx, db, goose.DialectPostgres, "postgres"); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	river, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	if _, err = river.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the job queue's tables: %w", err)
	}
	if _, err = holder.ExecContext(ctx, "REVOKE ALL ON river_migration FROM millwright_app"); err != nil {
		return fmt.Errorf("keep the portal from the job queue's migrations: %w", err)
	}
	return nil
}

// SQLite migrates the file behind the data source name.
func SQLite(ctx context.Context, dsn string) error {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	if err := up(ctx, db, goose.DialectSQLite3, "sqlite"); err != nil {
		return err
	}
	river, err := rivermigrate.New(riversqlite.New(db), nil)
	if err != nil {
		return err
	}
	if _, err = river.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the job queue's tables: %w", err)
	}
	return nil
}

func up(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string) error {
	sub, err := fs.Sub(files, folder)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db, sub)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}
