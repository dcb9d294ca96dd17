package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// Every has work done once per interval by one of the nodes, and once soon
// after the start. The Args carry nothing: their type names the work. Call it
// before Start.
func Every[A Args](q *Queue, interval time.Duration, work func(ctx context.Context) error) {
	Handle(q, LaneOperate, func(ctx context.Context, _ A) error { return work(ctx) })
	q.periodic = append(q.periodic, river.NewPeriodicJob(river.PeriodicInterval(interval),
		func() (river.JobArgs, *river.InsertOpts) {
			var args A
			// The next interval is the retry.
			return args, &river.InsertOpts{Queue: string(LaneOperate), MaxAttempts: 1}
		}, &river.PeriodicJobOpts{RunOnStart: true}))
}
