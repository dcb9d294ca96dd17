package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/millwright/millwright/internal/config"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/migrations"
	"github.com/millwright/millwright/models"
)

// database is the flag that several commands share.
type database struct {
	Database string `help:"postgres://user@host/name, or sqlite:///path of a file." required:"" env:"MILLWRIGHT_DATABASE"`
}

func (d database) migrate(ctx context.Context) error {
	if models.KindOf(d.Database) == models.PostgreSQL {
		return migrations.Postgres(ctx, d.Database)
	}
	path := models.SQLitePath(d.Database)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return migrations.SQLite(ctx, models.SQLiteDSN(path, false))
}

type migrateCommand struct{ database }

func (m migrateCommand) Run(ctx context.Context, log *slog.Logger) error {
	if err := m.migrate(ctx); err != nil {
		return err
	}
	log.Info("the database is up to date")
	return nil
}

type setPasswordCommand struct {
	database
	Email string `arg:"" help:"Address of the account."`
}

// minPasswordLength follows NIST SP 800-63B: length is what counts.
const minPasswordLength = 8

func (s setPasswordCommand) Run(ctx context.Context, log *slog.Logger) error {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 1024))
	if err != nil {
		return err
	}
	password := strings.TrimRight(string(text), "\r\n")
	if len(password) < minPasswordLength {
		return fmt.Errorf("the password must have at least %d characters", minPasswordLength)
	}
	// No secret is sealed or opened here, so any key does.
	db, err := models.Open(ctx, models.Options{URL: s.Database, Key: make([]byte, 32), Logger: log})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	user, err := db.System().UserByEmail(ctx, s.Email)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Email, err)
	}
	hash, err := identity.HashPassword(password)
	if err != nil {
		return err
	}
	if err := db.System().SetPassword(ctx, user.ID, hash); err != nil {
		return err
	}
	log.Info("password set; every session of the account has ended", "email", user.Email)
	return nil
}

// key reads the sealing key from the environment or a file.
func key(file string) ([]byte, error) { return config.Key(os.Getenv("MILLWRIGHT_KEY"), file) }
