package gateway

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// fixedSource wants one thing for ever and keeps what was reported last.
type fixedSource struct {
	want edge.Desired
	mu   sync.Mutex
	last edge.Status
}

func (s *fixedSource) Desired(ctx context.Context, etag string, wait time.Duration) (edge.Desired, string, error) {
	if etag == "" {
		return s.want, "1", nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
	return edge.Desired{}, "1", ctx.Err()
}

func (s *fixedSource) Report(_ context.Context, status edge.Status) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = status
	return nil
}

// failed are the ids that the last report blames in an org.
func (s *fixedSource) failed(org string) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.last.Orgs {
		if o.ID == org {
			for _, b := range o.Failed {
				ids = append(ids, b.ID)
			}
		}
	}
	return ids
}

// shortHost can't carry a service for as long as missing is set.
type shortHost struct {
	mu      sync.Mutex
	missing string
	applied map[string]int // tries by org's id
}

func (h *shortHost) Apply(_ context.Context, want Checked) ([]edge.Blame, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := want.Org()
	h.applied[o.ID]++
	for _, s := range o.Services {
		if s.ID == h.missing {
			return []edge.Blame{{ID: s.ID, Text: "its port is taken"}}, nil
		}
	}
	return nil, nil
}

func (h *shortHost) carryAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missing = ""
}

func (h *shortHost) Features(context.Context) []edge.Feature           { return nil }
func (h *shortHost) Limits() Limits                                    { return Limits{} }
func (h *shortHost) Kept() ([]string, error)                           { return nil, nil }
func (h *shortHost) Remove(context.Context, string) error              { return nil }
func (h *shortHost) Repair(context.Context, Checked) ([]string, error) { return nil, nil }
func (h *shortHost) Observe(context.Context, Checked) (Observation, error) {
	return Observation{}, nil
}
func (h *shortHost) Probe(context.Context, Checked, edge.Probe) edge.ProbeResult {
	return edge.ProbeResult{}
}
func (h *shortHost) Changed() <-chan struct{} { return nil }
func (h *shortHost) Close() error             { return nil }

// TestWhatTheHostCouldNotCarryIsTriedAgain: an object that failed stays failed
// over a restart of the agent, and is carried once the host can, without an edit.
func TestWhatTheHostCouldNotCarryIsTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		org := sound()
		second := org.Services[0]
		second.ID, second.Mark, second.Port, second.Nodes = "other", 2, 81, nil
		org.Services = append(org.Services, second)
		source := &fixedSource{want: edge.Desired{Version: edge.Version, Orgs: []edge.Org{org}}}
		host := &shortHost{missing: "other", applied: map[string]int{}}
		start := func() (stop func()) {
			l, err := NewLoop(source, host, Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- l.Run(ctx) }()
			return func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		blamed := func(when, id string) {
			t.Helper()
			if ids := source.failed(org.ID); id == "" && len(ids) > 0 || id != "" && (len(ids) != 1 || ids[0] != id) {
				t.Errorf("%s: %q failed, not %q", when, ids, id)
			}
		}

		stop := start()
		time.Sleep(time.Minute)
		blamed("a host that is short", "other")
		if tries := host.applied[org.ID]; tries < 3 || tries > 20 {
			t.Errorf("%d tries within a minute", tries)
		}
		stop()

		stop = start()
		time.Sleep(time.Minute)
		blamed("started again", "other")
		host.carryAll()
		time.Sleep(time.Minute)
		blamed("a host that carries it now", "")
		tries := host.applied[org.ID]
		time.Sleep(time.Minute)
		if host.applied[org.ID] != tries {
			t.Error("what stands is applied again")
		}
		stop()
	})
}

// TestOneUnreadableFileIsOneOrgs: the others' last good states serve.
func TestOneUnreadableFileIsOneOrgs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Keep(sound()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "good", "aaa.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	good, err := store.Good()
	if len(good) != 1 || good[0].ID != sound().ID || err == nil {
		t.Errorf("%d states, error %v", len(good), err)
	}
}
