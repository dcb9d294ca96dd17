package jobs

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// livePage is how many rows are read at once.
const livePage = 5000

// Live returns the arguments of every job of A's kind that is waiting or
// being worked on.
func Live[A Args](ctx context.Context, q *Queue) ([]A, error) {
	var (
		zero  A
		found []A
	)
	params := river.NewJobListParams().Kinds(zero.Kind()).First(livePage).States(
		rivertype.JobStateAvailable, rivertype.JobStateRunning, rivertype.JobStateRetryable,
		rivertype.JobStateScheduled, rivertype.JobStatePending)
	for {
		page, err := q.runner.JobList(ctx, params)
		if err != nil {
			return nil, fmt.Errorf("list jobs of kind %s: %w", zero.Kind(), err)
		}
		for _, row := range page.Jobs {
			var args A
			if err := json.Unmarshal(row.EncodedArgs, &args); err != nil {
				return nil, fmt.Errorf("read the arguments of a job of kind %s: %w", zero.Kind(), err)
			}
			found = append(found, args)
		}
		if len(page.Jobs) < livePage || page.LastCursor == nil {
			return found, nil
		}
		params = params.After(page.LastCursor)
	}
}
