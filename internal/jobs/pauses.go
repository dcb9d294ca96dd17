package jobs

import (
	"math/rand/v2"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// pauses is how long a job that failed unexpectedly (the database away, a
// bug) waits: doubling from half a second to half a minute, spread out so that
// many do not come back together.
type pauses struct{}

func (pauses) NextRetry(job *rivertype.JobRow) time.Time {
	const first, longest = 500 * time.Millisecond, 30 * time.Second
	pause := min(longest, first<<min(len(job.Errors), 10))
	return time.Now().Add(Jitter(pause))
}

// Jitter spreads a pause over its second half.
func Jitter(d time.Duration) time.Duration {
	if d <= 1 {
		return d
	}
	return d/2 + rand.N(d/2) //nolint:gosec // nothing is guessed from it
}
