package gateway

import (
	"context"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// Source is the portal, as a gateway sees it.
type Source interface {
	// Desired returns the state and its tag. Where the tag is still etag it
	// waits up to wait for a change; if none came, it returns etag again and a
	// Desired that means nothing.
	Desired(ctx context.Context, etag string, wait time.Duration) (edge.Desired, string, error)
	Report(ctx context.Context, status edge.Status) error
}

// Applier makes true what is wanted. All calls about one org come one after
// the other; different orgs may come at once.
type Applier interface {
	Features(ctx context.Context) []edge.Feature
	Limits() Limits
	// Kept lists the keys of orgs that an earlier run left here.
	Kept() ([]string, error)
	// Apply brings an org to what is wanted, or leaves it as it was and says
	// why. Objects that only this host can't carry are blamed one by one; the
	// others apply.
	Apply(ctx context.Context, want Checked) ([]edge.Blame, error)
	Remove(ctx context.Context, key string) error
	// Repair looks whether what was applied still stands, makes it so again,
	// and says what it found. After an error the loop applies it again, so that
	// an object which can't be made again is blamed alone.
	Repair(ctx context.Context, want Checked) ([]string, error)
	Observe(ctx context.Context, want Checked) (Observation, error)
	Probe(ctx context.Context, want Checked, probe edge.Probe) edge.ProbeResult
	// Changed is signalled when a node's health changed, so that the report
	// doesn't wait for the tick.
	Changed() <-chan struct{}
	Close() error
}

// Limits is what a host can't carry, beyond what is wrong everywhere.
type Limits struct {
	// Loopback lets public addresses be loopback ones: only in the lab, where
	// they may be nothing else.
	Loopback bool
	// Trunks are the clouds whose networks arrive here; nil: any.
	Trunks map[string]bool
}

// Observation is an org's live traffic, as counted by whoever carries it. The
// numbers start from 0 whenever Instance changes; the ledger makes them grow
// for good.
type Observation struct {
	Services  map[string]ServiceReading // by id
	Peers     map[string]PeerReading
	VPNMapped string // where the VPN really listens, if elsewhere
}

// ServiceReading is one service's.
type ServiceReading struct {
	Instance       string
	In, Out, Total int64
	Open           int
	Mapped         string
	Nodes          map[string]NodeReading // by id
}

// NodeReading is one node's.
type NodeReading struct {
	Instance       string
	State, Reason  string
	In, Out, Total int64
	Open           int
}

// PeerReading is one device's.
type PeerReading struct {
	Instance  string
	Handshake time.Time
	In, Out   int64
}
