package jobs

import (
	"context"
	"fmt"

	"github.com/millwright/millwright/models"
)

// The last of attempted_by is who runs a job. River itself would leave the
// jobs of a killed node running until they are rescued.
const (
	reclaimPostgres = `UPDATE river_job SET state = 'available', scheduled_at = now()
		WHERE state = 'running' AND attempted_by[array_length(attempted_by, 1)] = $1`
	reclaimSQLite = `UPDATE river_job SET state = 'available'
		WHERE state = 'running' AND json_extract(attempted_by, '$[#-1]') = ?`
)

// reclaim sets this node's own running jobs available. Called before the node
// works, so whatever it finds is from before a kill.
func (q *Queue) reclaim(ctx context.Context) (int64, error) {
	statement := reclaimPostgres
	if q.db.Kind() == models.SQLite {
		statement = reclaimSQLite
	}
	done, err := q.db.SQL().ExecContext(ctx, statement, q.nodeID)
	if err != nil {
		return 0, fmt.Errorf("take back this node's jobs: %w", err)
	}
	return done.RowsAffected()
}
