package vsphere

import (
	"container/list"
	"context"
	"sync"
)

// slots is a semaphore, first come first served, whose size may change: how
// many clones a cloud takes depends on how many of its hosts are up.
type slots struct {
	mu      sync.Mutex
	limit   int
	used    int
	waiting list.List // of chan struct{}
}

func newSlots(limit int) *slots { return &slots{limit: limit} }

// acquire waits for a slot until ctx is done.
func (s *slots) acquire(ctx context.Context) (release func(), err error) {
	s.mu.Lock()
	if s.used < s.limit && s.waiting.Len() == 0 {
		s.used++
		s.mu.Unlock()
		return sync.OnceFunc(s.release), nil
	}
	ready := make(chan struct{})
	place := s.waiting.PushBack(ready)
	s.mu.Unlock()

	select {
	case <-ready:
		return sync.OnceFunc(s.release), nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-ready: // handed over in the same moment: pass it on
		s.used--
		s.handOver()
	default:
		s.waiting.Remove(place)
		s.handOver() // who stood in front may have kept others from a free slot
	}
	return nil, ctx.Err()
}

func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	s.handOver()
}

// resize changes the limit. Slots already taken stay taken.
func (s *slots) resize(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
	s.handOver()
}

func (s *slots) handOver() {
	for s.used < s.limit {
		front := s.waiting.Front()
		if front == nil {
			return
		}
		s.waiting.Remove(front)
		s.used++
		if ready, ok := front.Value.(chan struct{}); ok {
			close(ready)
		}
	}
}
