package factory

import (
	"context"
	"sync"

	"github.com/millwright/millwright/models"
)

// visits knows which Tasks this node works on, so that none is worked on twice
// here and a cancelled one hears of it at once.
type visits struct {
	mu    sync.Mutex
	pokes map[models.TaskID]chan struct{}
}

func newVisits() *visits { return &visits{pokes: map[models.TaskID]chan struct{}{}} }

// enter registers a visit; false: another one is under way.
func (s *visits) enter(id models.TaskID) (poke <-chan struct{}, leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, busy := s.pokes[id]; busy {
		return nil, nil, false
	}
	ch := make(chan struct{}, 1)
	s.pokes[id] = ch
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.pokes, id)
	}, true
}

// poke has the Task's visit, if there is one, look at its state.
func (s *visits) poke(id models.TaskID) {
	s.mu.Lock()
	ch := s.pokes[id]
	s.mu.Unlock()
	if ch != nil {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (s *visits) pokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range s.pokes {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// wakeCancelled passes on what other nodes changed. Most changes of a Task are
// its own visit's progress; looking once too often costs one short read.
func (f *Factory) wakeCancelled(ctx context.Context) {
	changes, stop := f.system.Watch()
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-changes:
			switch c.Kind {
			case "task":
				f.visits.poke(models.TaskID(c.ID))
			case "all":
				f.visits.pokeAll()
			}
		}
	}
}
