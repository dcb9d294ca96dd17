package jobs

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

type greet struct {
	Name string `json:"name"`
}

func (greet) Kind() string { return "test.greet" }

type tick struct{}

func (tick) Kind() string { return "test.tick" }

// office is a queue whose workers tell what they do.
type office struct {
	t     *testing.T
	db    *models.DB
	world *testkit.World
	queue *Queue
}

func open(t *testing.T, db *models.DB, work func(context.Context, greet) error) *office {
	t.Helper()
	o := &office{t: t, db: db, world: testkit.NewWorld(t, db)}
	o.queue = o.node("one", work)
	return o
}

func (o *office) node(id string, work func(context.Context, greet) error) *Queue {
	o.t.Helper()
	q, err := New(o.db, Options{NodeID: id, Logger: testkit.Quiet()})
	o.must(err)
	Handle(q, LaneBuild, work)
	return q
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) start() {
	o.t.Helper()
	q := o.queue
	o.must(q.Start(context.Background()))
	o.t.Cleanup(func() {
		if err := q.Stop(context.Background()); err != nil {
			o.t.Error(err)
		}
	})
}

// enqueue inserts a job beside an audit event, and fails the transaction if
// asked to.
func (o *office) enqueue(name string, fail error) error {
	return o.world.System.Within(context.Background(), o.world.Acme.ID, models.SystemActor, func(w *models.Writer) error {
		if err := w.Record(models.Event{Action: models.ActionConfigChange, Outcome: models.OutcomeAccepted}); err != nil {
			return err
		}
		if err := o.queue.Enqueue(context.Background(), w.Tx(), greet{name}); err != nil {
			return err
		}
		return fail
	})
}

func heard(t *testing.T, names <-chan string) string {
	t.Helper()
	select {
	case name := <-names:
		return name
	case <-time.After(20 * time.Second):
		t.Fatal("nobody worked")
		return ""
	}
}

func TestJobRunsOnlyIfItsTransactionCommits(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		names := make(chan string, 10)
		o := open(t, db, func(_ context.Context, g greet) error { names <- g.Name; return nil })
		o.start()
		rolledBack := errors.New("rolled back")
		if err := o.enqueue("never", rolledBack); !errors.Is(err, rolledBack) {
			t.Fatal(err)
		}
		o.must(o.enqueue("ada", nil))
		if name := heard(t, names); name != "ada" {
			t.Errorf("worked for %q", name)
		}
		o.must(o.enqueue("grace", nil))
		if name := heard(t, names); name != "grace" {
			t.Errorf("worked for %q", name)
		}
	})
}

func TestJobStartsPromptly(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		names := make(chan string, 1)
		o := open(t, db, func(_ context.Context, g greet) error { names <- g.Name; return nil })
		o.start()
		o.must(o.enqueue("warm up", nil))
		heard(t, names)
		quickest := time.Hour
		for range 5 {
			began := time.Now()
			o.must(o.enqueue("now", nil))
			heard(t, names)
			quickest = min(quickest, time.Since(began))
		}
		// Below the polling interval: it was the notification that woke us.
		if quickest >= pollEvery {
			t.Errorf("the quickest of five took %s", quickest)
		}
		t.Logf("quickest pick-up: %s", quickest)
	})
}

func TestSnoozedAndFailedJobsComeAgain(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		names := make(chan string, 10)
		var visits atomic.Int32
		o := open(t, db, func(_ context.Context, g greet) error {
			switch visits.Add(1) {
			case 1, 2:
				return Snooze(10 * time.Millisecond)
			case 3:
				return errors.New("an accident")
			case 4:
				panic("a bug")
			}
			names <- g.Name
			return nil
		})
		o.start()
		o.must(o.enqueue("patience", nil))
		heard(t, names)
		if n := visits.Load(); n != 5 {
			t.Errorf("%d visits", n)
		}
	})
}

func TestStopInterruptsAndTheNextStartGoesOn(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		began, names := make(chan string, 1), make(chan string, 1)
		o := open(t, db, func(ctx context.Context, g greet) error {
			began <- g.Name
			<-ctx.Done()
			return ctx.Err()
		})
		o.must(o.queue.Start(context.Background()))
		o.must(o.enqueue("ada", nil))
		heard(t, began)
		o.must(o.queue.Stop(context.Background()))
		o.queue = o.node("one", func(_ context.Context, g greet) error { names <- g.Name; return nil })
		o.start()
		if name := heard(t, names); name != "ada" {
			t.Errorf("went on with %q", name)
		}
	})
}

// TestKilledNodeTakesItsJobsBack leaves a job running by this node's name, as
// a kill does, and another by another node's.
func TestKilledNodeTakesItsJobsBack(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		names := make(chan string, 2)
		o := open(t, db, func(_ context.Context, g greet) error { names <- g.Name; return nil })
		o.must(o.enqueue("mine", nil))
		o.must(o.enqueue("theirs", nil))
		ours, theirs := `UPDATE river_job SET state = 'running', attempt = 1, attempted_by = jsonb('["two","one"]') WHERE json_extract(args, '$.name') = 'mine'`,
			`UPDATE river_job SET state = 'running', attempt = 1, attempted_by = jsonb('["one","two"]') WHERE json_extract(args, '$.name') = 'theirs'`
		if db.Kind() == models.PostgreSQL {
			ours, theirs = `UPDATE river_job SET state = 'running', attempt = 1, attempted_by = '{two,one}' WHERE args->>'name' = 'mine'`,
				`UPDATE river_job SET state = 'running', attempt = 1, attempted_by = '{one,two}' WHERE args->>'name' = 'theirs'`
		}
		for _, statement := range []string{ours, theirs} {
			_, err := db.SQL().ExecContext(context.Background(), statement)
			o.must(err)
		}
		n, err := o.queue.reclaim(context.Background())
		o.must(err)
		if n != 1 {
			t.Fatalf("took back %d jobs", n)
		}
		o.start()
		if name := heard(t, names); name != "mine" {
			t.Errorf("took back %q", name)
		}
		live, err := Live[greet](context.Background(), o.queue)
		o.must(err)
		for _, job := range live {
			if job.Name == "theirs" {
				return
			}
		}
		t.Errorf("the other node's job is not among %v", live)
	})
}

func TestBurstIsWorkedOffOnceEach(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		const burst = 100
		names := make(chan string, 2*burst)
		o := open(t, db, func(_ context.Context, g greet) error { names <- g.Name; return nil })
		o.start()
		var wg sync.WaitGroup
		for range burst {
			wg.Go(func() {
				if err := o.enqueue("one of many", nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for range burst {
			heard(t, names)
		}
		if len(names) != 0 {
			t.Errorf("%d were worked on twice", len(names))
		}
	})
}

func TestPeriodicWorkHappensByItself(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ticks := make(chan string, 10)
		o := open(t, db, func(context.Context, greet) error { return nil })
		Every[tick](o.queue, time.Hour, func(context.Context) error { ticks <- "tick"; return nil })
		o.start()
		heard(t, ticks) // once soon after the start
	})
}

func TestEnqueueRefusesWhatNobodyWorksOn(t *testing.T) {
	t.Parallel()
	o := open(t, testkit.SQLite(t), func(context.Context, greet) error { return nil })
	err := o.world.System.Within(context.Background(), o.world.Acme.ID, models.SystemActor, func(w *models.Writer) error {
		return o.queue.Enqueue(context.Background(), w.Tx(), tick{})
	})
	if err == nil {
		t.Error("a job without a worker was taken")
	}
	if err := o.queue.Enqueue(context.Background(), nil, greet{}); err == nil {
		t.Error("a job without a transaction was taken")
	}
}
