package models_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestEndedConnectionIsADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	url := testkit.PostgresURL(t)
	db, kill := testkit.Open(t, url), killer(t, url)
	w := testkit.NewWorld(t, db)
	s := w.Scope(t, "user@acme.example", "acme")
	ctx := context.Background()
	err := s.Read(ctx, func(r *models.Reader) error {
		if _, err := r.Quotas(); err != nil {
			return err
		}
		kill("state = 'idle in transaction'")
		_, err := r.Quotas()
		return err
	})
	if models.CodeOf(err) != models.CodeDown {
		t.Errorf("told as %v", err)
	}
	away, err := models.Open(ctx, models.Options{URL: "postgres://nobody@127.0.0.1:1/x?sslmode=disable", Key: testkit.Key, Logger: testkit.Quiet()})
	if err == nil {
		_ = away.Close()
		t.Error("it opened")
	}
}

func TestDeadlockIsAConflict(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	w := testkit.NewWorld(t, db)
	a, b := w.Machine(t, "web-1"), w.Machine(t, "web-2")
	ctx := context.Background()
	move := func(first, second models.MachineID, mine, other chan struct{}) error {
		return w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error {
			if err := tx.SetMachine(first, map[string]any{"host": "x"}); err != nil {
				return err
			}
			close(mine)
			<-other
			return tx.SetMachine(second, map[string]any{"host": "x"})
		})
	}
	one, two := make(chan struct{}), make(chan struct{})
	result := make(chan error, 2)
	go func() { result <- move(a.ID, b.ID, one, two) }()
	go func() { result <- move(b.ID, a.ID, two, one) }()
	errs := []error{<-result, <-result}
	failed := errors.Join(errs...)
	if failed == nil || !errors.Is(failed, models.ErrConflict) {
		t.Errorf("told as %v", failed)
	}
}

func killer(t *testing.T, url string) func(where string) {
	t.Helper()
	admin, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	return func(where string) {
		t.Helper()
		var ended int
		err := admin.QueryRowContext(context.Background(), `SELECT count(*) FROM (SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND `+where+`) AS k`).Scan(&ended)
		if err != nil || ended != 1 {
			t.Fatalf("%d connections were ended: %v", ended, err)
		}
	}
}
