package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"github.com/millwright/millwright/models"
)

const (
	// Timeout ends a worker's context. Longer waits are snoozes.
	Timeout = 60 * time.Second
	// RescueAfter is when a job that a dead node left running is taken over
	// by another. Above Timeout, so that a living one is never taken.
	RescueAfter = 75 * time.Second
	// SnoozeMax is the longest nap that needs nobody to wake the job: River
	// sets longer ones aside for its leader to bring back, and after a kill it
	// takes a while until there is a leader again.
	SnoozeMax = 4500 * time.Millisecond

	fetchCooldown = 5 * time.Millisecond
	// pollEvery bounds how long a job waits whose notification was lost, and
	// how late a short snooze ends. SQLite's own notifications are polled for
	// every 50 ms by River.
	pollEvery = 200 * time.Millisecond
	// neverGiveUp is the most attempts that PostgreSQL's column holds.
	neverGiveUp = math.MaxInt16
	// keepEnded is how long rows of ended jobs stay, for the curious.
	keepEnded = time.Hour
	// defaultMaxWorkers leaves room for workers that only wait.
	defaultMaxWorkers = 200
	// stopPatience is how long a stop lets workers finish what they are at.
	stopPatience = time.Second
)

// Args is what a job is about; one type per operation. Kind names it for good:
// it is stored.
type Args = river.JobArgs

// Lane is a queue with workers of its own.
type Lane string

const (
	// LaneBuild is for orders, which spend their time waiting for clones.
	LaneBuild Lane = "build"
	// LaneOperate is for what people wait for: power, delete; and for sweeps.
	LaneOperate Lane = "operate"
)

// Options of a node's queue.
type Options struct {
	// NodeID is this node's own name, the same after each start and no other
	// node's: by it the node finds what it was at when it was killed.
	NodeID string
	// MaxWorkers is how many orders are worked on at once on this node, and
	// half as many other operations. 0 means 200.
	MaxWorkers int
	Logger     *slog.Logger
}

// Queue is this node's end of the queue.
type Queue struct {
	db       *models.DB
	nodeID   string
	log      *slog.Logger
	workers  *river.Workers
	lanes    map[string]Lane // by kind
	periodic []*river.PeriodicJob
	inserter *river.Client[*sql.Tx]
	runner   runner
	config   *river.Config
}

// runner is River's client with the type of its transactions taken off: pgx's
// on PostgreSQL, database/sql's on SQLite.
type runner interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	PeriodicJobs() *river.PeriodicJobBundle
	JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
}

// New makes the queue. Handle and Every add to it until Start.
func New(db *models.DB, o Options) (*Queue, error) {
	if o.NodeID == "" {
		return nil, errors.New("jobs: a node needs a name of its own")
	}
	if o.MaxWorkers <= 0 {
		o.MaxWorkers = defaultMaxWorkers
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	q := &Queue{db: db, nodeID: o.NodeID, log: o.Logger, workers: river.NewWorkers(), lanes: map[string]Lane{}}
	q.config = &river.Config{
		ID:     o.NodeID,
		Logger: slog.New(quiet{o.Logger.Handler()}),
		Queues: map[string]river.QueueConfig{
			string(LaneBuild):   {MaxWorkers: o.MaxWorkers},
			string(LaneOperate): {MaxWorkers: max(2, o.MaxWorkers/2)},
		},
		Workers:                     q.workers,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           pollEvery,
		JobTimeout:                  Timeout,
		RescueStuckJobsAfter:        RescueAfter,
		SoftStopTimeout:             stopPatience,
		MaxAttempts:                 neverGiveUp,
		RetryPolicy:                 pauses{},
		CompletedJobRetentionPeriod: keepEnded,
		CancelledJobRetentionPeriod: keepEnded,
		// Reindexing takes the tables' owner, which the portal's role is not.
		ReindexerIndexNames: []string{},
	}
	q.sweeps()
	return q, q.connect()
}

// connect makes the clients. Neither speaks to the database yet.
func (q *Queue) connect() error {
	if q.db.Kind() == models.SQLite {
		client, err := river.NewClient(riversqlite.New(q.db.SQL()), q.config)
		if err != nil {
			return fmt.Errorf("set up the job queue: %w", err)
		}
		q.inserter, q.runner = client, client
		return nil
	}
	client, err := river.NewClient(riverpgxv5.New(q.db.Pool()), q.config)
	if err != nil {
		return fmt.Errorf("set up the job queue: %w", err)
	}
	q.runner = client
	q.inserter, err = river.NewClient[*sql.Tx](newInsertDriver(), &river.Config{
		Logger: q.config.Logger, MaxAttempts: neverGiveUp,
		// River sends one notification per cooldown and lane; a job whose
		// notification was left out waits for the next poll.
		FetchCooldown: river.FetchCooldownMin,
	})
	if err != nil {
		return fmt.Errorf("set up the job queue's inserts: %w", err)
	}
	return nil
}

// Handle registers the worker of one kind of job. Call it before Start.
func Handle[A Args](q *Queue, lane Lane, work func(ctx context.Context, args A) error) {
	var args A
	q.lanes[args.Kind()] = lane
	river.AddWorker(q.workers, river.WorkFunc(func(ctx context.Context, job *river.Job[A]) error {
		return q.ended(ctx, work(ctx, job.Args))
	}))
}

// ended turns a worker's interruption by a stop into "again at once": another
// node, or this one after its start, goes on with it.
func (q *Queue) ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !isSnooze(err) {
		return river.JobSnooze(0)
	}
	return err
}

// Snooze is what a worker returns to be run again after d.
func Snooze(d time.Duration) error { return river.JobSnooze(max(0, d)) }

func isSnooze(err error) bool {
	_, ok := errors.AsType[*rivertype.JobSnoozeError](err)
	return ok
}

// Enqueue inserts a job within the caller's transaction: it is worked on only
// if that commits, and then within tens of milliseconds.
func (q *Queue) Enqueue(ctx context.Context, tx *sql.Tx, args Args) error {
	if tx == nil {
		return errors.New("jobs: enqueue needs the transaction of the intent")
	}
	lane, ok := q.lanes[args.Kind()]
	if !ok {
		return fmt.Errorf("jobs: nobody works on %q", args.Kind())
	}
	_, err := q.inserter.InsertTx(ctx, tx, args, &river.InsertOpts{Queue: string(lane)})
	if err != nil {
		return fmt.Errorf("enqueue %s: %w", args.Kind(), err)
	}
	return nil
}

// Start takes back what this node was at when it was killed, and works until
// Stop. ctx bounds the start alone.
func (q *Queue) Start(ctx context.Context) error {
	n, err := q.reclaim(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		q.log.InfoContext(ctx, "taking up jobs that the last run left behind", "jobs", n)
	}
	if _, err := q.runner.PeriodicJobs().AddManySafely(q.periodic); err != nil {
		return fmt.Errorf("set up periodic work: %w", err)
	}
	if err := q.runner.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the job queue: %w", err)
	}
	return nil
}

// Stop lets workers finish for a second, then interrupts them; what is
// interrupted goes on at the next start. It gives up waiting when ctx ends.
func (q *Queue) Stop(ctx context.Context) error {
	if err := q.runner.Stop(ctx); err != nil {
		return fmt.Errorf("stop the job queue: %w", err)
	}
	return nil
}
