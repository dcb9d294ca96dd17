package factory

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/models"
)

// Options of a factory. Zero values mean the usual.
type Options struct {
	// VisitFor is how long a worker stays with a Task before it makes room
	// for others. 45 s; below jobs.Timeout with time left to write it down.
	VisitFor time.Duration
	// GuestPatience is how long a new machine may take to report its tools
	// and address before it is handed over without. 3 min.
	GuestPatience time.Duration
	// ShutdownPatience is how long a guest may take to shut itself down. 3 min.
	ShutdownPatience time.Duration
	// CapacityEvery is how often a cloud's free capacity is read. 30 s.
	CapacityEvery time.Duration
	// SweepEvery is how often vCenter is searched for leftovers of machines
	// that are no more. 1 min.
	SweepEvery time.Duration
	// MaxQueuing is how many workers may wait for clone slots of one cloud;
	// further orders come again later, so that other clouds' find a worker. 150.
	MaxQueuing int
	Logger     *slog.Logger
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{
		{&o.VisitFor, 45 * time.Second}, {&o.GuestPatience, 3 * time.Minute}, {&o.ShutdownPatience, 3 * time.Minute},
		{&o.CapacityEvery, 30 * time.Second}, {&o.SweepEvery, time.Minute},
	} {
		if *d.value <= 0 {
			*d.value = d.usual
		}
	}
	if o.MaxQueuing <= 0 {
		o.MaxQueuing = 150
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Factory orders, operates and deletes machines.
type Factory struct {
	system     *models.System
	queue      *jobs.Queue
	clouds     *Clouds
	options    Options
	log        *slog.Logger
	visits     *visits
	operations map[models.TaskKind]*operation

	// The slots of clones that outlast a visit are held in the background.
	holders sync.WaitGroup
	closed  chan struct{}
	close   func()

	// border is told before and after every write of a visit, so that a test
	// can end the visit right there, as a kill would.
	border func(models.TaskID)
}

// New makes a factory and registers its workers with the queue, which must
// not have been started yet.
func New(system *models.System, queue *jobs.Queue, clouds *Clouds, o Options) *Factory {
	f := &Factory{
		system: system, queue: queue, clouds: clouds, options: o.withDefaults(),
		visits: newVisits(), border: func(models.TaskID) {},
	}
	f.log = f.options.Logger
	f.closed = make(chan struct{})
	f.close = sync.OnceFunc(func() { close(f.closed) })
	f.operations = map[models.TaskKind]*operation{
		models.TaskCreate: createOperation(),
		models.TaskPower:  powerOperation(),
		models.TaskDelete: deleteOperation(),
		models.TaskMedia:  mediaOperation(),
		models.TaskRetire: retireOperation(),
		models.TaskClear:  clearOperation(),
	}
	jobs.Handle(queue, jobs.LaneBuild, func(ctx context.Context, j createJob) error { return f.visit(ctx, j.taskRef) })
	jobs.Handle(queue, jobs.LaneOperate, func(ctx context.Context, j powerJob) error { return f.visit(ctx, j.taskRef) })
	jobs.Handle(queue, jobs.LaneOperate, func(ctx context.Context, j deleteJob) error { return f.visit(ctx, j.taskRef) })
	jobs.Handle(queue, jobs.LaneOperate, func(ctx context.Context, j mediaJob) error { return f.visit(ctx, j.taskRef) })
	jobs.Handle(queue, jobs.LaneOperate, func(ctx context.Context, j retireJob) error { return f.visit(ctx, j.taskRef) })
	jobs.Handle(queue, jobs.LaneOperate, func(ctx context.Context, j clearJob) error { return f.visit(ctx, j.taskRef) })
	jobs.Every[reconcileJob](queue, time.Minute, f.Reconcile)
	return f
}

// Run feeds the inventory of every cloud, and makes sure that every active
// Task has a job, until ctx ends.
func (f *Factory) Run(ctx context.Context) {
	if err := f.Reconcile(ctx); err != nil && ctx.Err() == nil {
		f.log.WarnContext(ctx, "looking for tasks without a job failed; it is tried again every minute", "error", err)
	}
	var running sync.WaitGroup
	running.Go(func() { f.wakeCancelled(ctx) })
	running.Go(func() { f.feedAll(ctx) })
	running.Go(func() { f.runFacades(ctx) })
	running.Wait()
}

// Close ends what the factory still does in the background, after the queue
// was stopped.
func (f *Factory) Close() {
	f.close()
	f.holders.Wait()
}
