package console

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millwright/millwright/models"
)

// checksAtOnce bounds what the guard asks of the database at a time.
const checksAtOnce = 4

// guard ends sockets whose user or machine is no longer what it was. A change
// that this or another node announces is looked into at once; the regular
// round finds what nobody announces, such as a session's end by time.
func (s *Service) guard(ctx context.Context) {
	changes, stop := s.system.Watch()
	defer stop()
	round := time.NewTicker(s.timing.recheck)
	defer round.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-changes:
			s.recheck(ctx, s.concerned(c))
		case <-round.C:
			s.recheck(ctx, s.sockets())
		}
	}
}

// concerned lists the sockets that a change may end.
func (s *Service) concerned(c models.Change) []*socket {
	var hit func(k *socket) bool
	switch c.Kind {
	case "machine":
		hit = func(k *socket) bool { return string(k.ticket.MachineID) == c.ID }
	case "session", "token":
		hit = func(k *socket) bool { return string(k.ticket.SessionID) == c.ID }
	case "member", "user", "all": // rare: look at everybody
		hit = func(*socket) bool { return true }
	default:
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*socket
	for k := range s.live {
		if hit(k) {
			list = append(list, k)
		}
	}
	return list
}

func (s *Service) recheck(ctx context.Context, sockets []*socket) {
	var group errgroup.Group
	group.SetLimit(checksAtOnce)
	for _, c := range sockets {
		group.Go(func() error { s.recheckOne(ctx, c); return nil })
	}
	_ = group.Wait()
}

// recheckOne ends the socket where it has to. A database that doesn't answer
// ends it too, after a while: whoever revokes something on another node may
// rely on it.
func (s *Service) recheckOne(ctx context.Context, c *socket) {
	ctx, cancel := context.WithTimeout(ctx, s.timing.blind)
	defer cancel()
	role, state, err := s.system.ConsoleAllowed(ctx, c.ticket)
	if err != nil {
		if time.Since(c.confirmed) > s.timing.blind {
			go c.end(endInternal)
		}
		return
	}
	c.confirmed = time.Now()
	if e, over := verdict(role, state); over {
		go c.end(e) // may wait for a stuck browser
	}
}
