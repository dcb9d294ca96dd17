package jobs

import (
	"context"
	"time"
)

// keepSessions is how long an ended session's row stays: the history names
// sessions, and people ask about last week.
const keepSessions = 7 * 24 * time.Hour

type (
	sweepTickets  struct{}
	sweepSessions struct{}
	sweepLooks    struct{}
)

func (sweepTickets) Kind() string  { return "sweep.console_tickets" }
func (sweepSessions) Kind() string { return "sweep.sessions" }
func (sweepLooks) Kind() string    { return "sweep.provider_looks" }

// sweeps is the portal's own housekeeping.
func (q *Queue) sweeps() {
	system := q.db.System()
	Every[sweepTickets](q, 10*time.Minute, system.SweepConsoleTickets)
	Every[sweepSessions](q, time.Hour, func(ctx context.Context) error {
		return system.SweepSessions(ctx, keepSessions)
	})
	// That a look ran out, its org reads in its history within a minute.
	Every[sweepLooks](q, time.Minute, system.SweepLooks)
}
