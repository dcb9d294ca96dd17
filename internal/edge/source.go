package edge

import (
	"context"
	"time"
)

// Source is where a gateway has its desired state from and reports to: the
// portal over HTTP for the real one, the portal's own store for the lab's.
type Source interface {
	// Desired returns the state and its tag. Where the tag is still etag it
	// waits up to wait for a change; if none came, it returns etag again and a
	// Desired that means nothing.
	Desired(ctx context.Context, etag string, wait time.Duration) (Desired, string, error)
	Report(ctx context.Context, status Status) error
}
