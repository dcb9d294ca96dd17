package gateway

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// stuckHost hangs on all that concerns one org, once stuck is set, until it is
// told to stop waiting.
type stuckHost struct {
	shortHost
	org   string
	stuck chan struct{} // nil: nothing hangs
	found []string      // by the next repair of any org
}

func (h *stuckHost) hang(ctx context.Context, want Checked) error {
	h.mu.Lock()
	stuck := h.stuck
	h.mu.Unlock()
	if stuck == nil || want.Org().ID != h.org {
		return nil
	}
	select {
	case <-stuck:
	case <-ctx.Done():
	case <-time.After(30 * time.Second): // as a program is ended
	}
	return errors.New("it took too long")
}

func (h *stuckHost) Apply(ctx context.Context, want Checked) ([]edge.Blame, error) {
	if err := h.hang(ctx, want); err != nil {
		return nil, err
	}
	return h.shortHost.Apply(ctx, want)
}

func (h *stuckHost) Repair(ctx context.Context, want Checked) ([]string, error) {
	if err := h.hang(ctx, want); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	found := h.found
	h.found = nil
	return found, nil
}

func (h *stuckHost) Observe(ctx context.Context, want Checked) (Observation, error) {
	return Observation{}, h.hang(ctx, want)
}

// changingSource hands out what it is given, and keeps every report; lost ones
// are taken without the gateway hearing of it.
type changingSource struct {
	news chan edge.Desired
	mu   sync.Mutex
	last edge.Status
	told []edge.Drift
	lost int // how many answers get lost yet
}

func (s *changingSource) Desired(ctx context.Context, _ string, wait time.Duration) (edge.Desired, string, error) {
	select {
	case d := <-s.news:
		return d, time.Now().String(), nil
	case <-ctx.Done():
	case <-time.After(wait):
	}
	return edge.Desired{}, "", errors.New("nothing new")
}

func (s *changingSource) Report(_ context.Context, status edge.Status) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = status
	for _, o := range status.Orgs {
		s.told = append(s.told, o.Drift...)
	}
	if s.lost > 0 {
		s.lost--
		return errors.New("the connection broke")
	}
	return nil
}

func (s *changingSource) applied(org string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.last.Orgs {
		if o.ID == org {
			return o.Applied
		}
	}
	return 0
}

func runLoop(t *testing.T, source Source, host Applier) (stop func()) {
	t.Helper()
	l, err := NewLoop(source, host, Options{Dir: t.TempDir()})
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

// many are sound orgs that have nothing of each other's.
func many(n int) []edge.Org {
	var list []edge.Org
	for i := range n {
		o := sound()
		o.ID, o.Key = "org-"+string(rune('a'+i)), "k"+string(rune('a'+i))
		o.Outbound, o.Services, o.VPN, o.Firewall, o.Probes = "", nil, nil, nil, nil
		list = append(list, o)
	}
	return list
}

// An org on which a program hangs keeps no other waiting, neither for a change
// nor for its reports, and is itself applied once nothing hangs any more.
func TestOrgThatHangsDelaysNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		orgs := many(6)
		source := &changingSource{news: make(chan edge.Desired)}
		host := &stuckHost{shortHost: shortHost{applied: map[string]int{}}, org: orgs[0].ID, stuck: make(chan struct{})}
		stop := runLoop(t, source, host)
		generation := orgs[0].Generation
		for range 10 {
			generation++
			for i := range orgs {
				orgs[i].Generation = generation
			}
			source.news <- edge.Desired{Version: edge.Version, Orgs: append([]edge.Org(nil), orgs...)}
			time.Sleep(time.Second)
			for _, o := range orgs[1:] {
				if got := source.applied(o.ID); got != generation {
					t.Errorf("%s is at %d a second after %d was wanted", o.ID, got, generation)
				}
			}
			if source.applied(orgs[0].ID) != 0 {
				t.Error("what hangs is applied")
			}
			time.Sleep(20 * time.Second)
		}
		host.mu.Lock()
		close(host.stuck)
		host.stuck = nil
		host.mu.Unlock()
		time.Sleep(time.Minute)
		if got := source.applied(orgs[0].ID); got != generation {
			t.Errorf("what hung is at %d, not %d", got, generation)
		}
		stop()
	})
}

// Drift is told until a report was taken, under one number: where the answer
// got lost the portal can tell that it knows it, and where it did not the
// gateway tells it once.
func TestDriftIsNumbered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		orgs := many(1)
		source := &changingSource{news: make(chan edge.Desired)}
		host := &stuckHost{shortHost: shortHost{applied: map[string]int{}}}
		stop := runLoop(t, source, host)
		source.news <- edge.Desired{Version: edge.Version, Orgs: orgs}
		time.Sleep(10 * time.Second)
		find := func(lost int, what ...string) {
			source.mu.Lock()
			source.lost, source.told = lost, nil
			source.mu.Unlock()
			host.mu.Lock()
			host.found = what
			host.mu.Unlock()
			time.Sleep(30 * time.Second)
		}
		find(0, "one", "two")
		if len(source.told) != 2 || source.told[0].Sequence >= source.told[1].Sequence {
			t.Errorf("told %+v", source.told)
		}
		before := source.told[1].Sequence
		find(3, "three")
		if len(source.told) < 2 || len(source.told) > 4 {
			t.Errorf("with lost answers told %d times: %+v", len(source.told), source.told)
		}
		for _, d := range source.told {
			if d.Sequence != before+1 || d.Text != "three" {
				t.Errorf("with lost answers told %+v after %d", d, before)
			}
		}
		stop()
	})
}
