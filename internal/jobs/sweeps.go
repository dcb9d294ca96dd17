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
)

func (sweepTickets) Kind() string  { return "sweep.console_tickets" }
func (sweepSessions) Kind() string { return "sweep.sessions" }

// sweeps is the portal's own housekeeping.
func (q *Queue) sweeps() {
	system := q.db.System()
	Every[sweepTickets](q, 10*time.Minute, system.SweepConsoleTickets)
	Every[sweepSessions](q, time.Hour, func(ctx context.Context) error {
		return system.SweepSessions(ctx, keepSessions)
	})
}
