package audit_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// nodes are two portals on one PostgreSQL database, each with connections of
// its own.
func nodes(t *testing.T) (r *rig, other *models.DB) {
	t.Helper()
	url := testkit.PostgresURL(t)
	open := func() *models.DB {
		db, err := models.Open(context.Background(), models.Options{URL: url, Key: testkit.Key, MaxConns: 60, Logger: testkit.Quiet()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	owner, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Close() })
	return newRig(t, open(), owner), open()
}

// onNode is the service of a node that has its own handle.
func (r *rig) onNode(db *models.DB) *audit.Service {
	r.t.Helper()
	outside, err := audit.OpenOutside(r.file)
	if err != nil {
		r.t.Fatal(err)
	}
	return audit.New(db.System(), audit.Options{Key: r.key, Outside: outside, Logger: testkit.Quiet()})
}

// Fifty transactions of one org have written their events and none has
// committed: another's commits at once, and so do they, in any order.
func TestWritersOfOneOrgDontQueueBehindOpenTransactions(t *testing.T) {
	t.Parallel()
	r, other := nodes(t)
	const writers = 50
	written, commit := make(chan struct{}, writers), make(chan struct{})
	var writing sync.WaitGroup
	for i := range writers {
		system := r.System
		if i%2 == 1 {
			system = other.System()
		}
		writing.Go(func() {
			err := system.Within(t.Context(), r.Acme.ID, models.SystemActor, func(w *models.Writer) error {
				if err := w.Record(event(fmt.Sprintf("open %d", i))); err != nil {
					return err
				}
				written <- struct{}{}
				<-commit
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	deadline := time.After(60 * time.Second)
	for i := range writers { // each has written while all are open
		select {
		case <-written:
		case <-deadline:
			close(commit)
			t.Fatalf("writer %d waits for those before it", i)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := other.System().RecordIn(ctx, r.Acme.ID, models.SystemActor, event("quick")); err != nil {
		t.Errorf("behind open transactions: %v", err)
	}
	r.seal() // what is committed, past what is open
	sealed := len(r.links())
	close(commit)
	writing.Wait()
	r.seal()
	if links := len(r.links()); links != sealed+writers {
		t.Errorf("%d events are sealed, %d before the fifty", links, sealed)
	}
	r.sign()
	if report := r.verify(); !report.Intact() {
		t.Error(report)
	}
}

// Two nodes write and seal, and the one that seals loses its connection: the
// other goes on where it ended, and nothing is left out or sealed twice.
func TestSealingGoesOnWhenItsNodeLosesItsConnection(t *testing.T) {
	t.Parallel()
	r, other := nodes(t)
	ctx, stop := context.WithCancel(t.Context())
	changes, unwatch := r.System.Watch()
	defer unwatch()
	var running sync.WaitGroup
	running.Go(func() { r.DB.Listen(ctx) })
	running.Go(func() { r.onNode(r.DB).Run(ctx) })
	running.Go(func() { r.onNode(other).Run(ctx) })
	write := func(round int) {
		t.Helper()
		var writing sync.WaitGroup
		for i := range 50 {
			system := []*models.System{r.System, other.System()}[i%2]
			writing.Go(func() {
				if err := system.RecordIn(ctx, r.Acme.ID, models.SystemActor, event(fmt.Sprintf("%d of round %d", i, round))); err != nil {
					t.Error(err)
				}
			})
		}
		writing.Wait()
		r.untilSealed(changes)
	}
	holder := func() (pid int) {
		t.Helper()
		err := r.owner.QueryRowContext(t.Context(), `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&pid)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			t.Fatal(err)
		}
		return pid
	}
	write(1)
	for round := range 2 {
		pid := holder()
		if pid == 0 {
			t.Fatal("nobody holds the lock")
		}
		r.exec(fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid))
		for deadline := time.Now().Add(60 * time.Second); ; {
			if now := holder(); now != 0 && now != pid {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("nobody took over")
			}
			time.Sleep(20 * time.Millisecond) // the database tells nobody who holds a lock
		}
		write(2 + round)
	}
	stop()
	running.Wait()
	r.sign()
	if report := r.verify(); !report.Intact() || report.Sealed < 150 {
		t.Error(report)
	}
}
