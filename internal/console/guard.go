package console

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/millwright/millwright/models"
)

// guard ends sockets whose user or machine is no longer what it was, and tells
// pages who else looks. A change that this or another node announces is looked
// into at once; the regular round finds what nobody announces, such as a
// session's end by time.
func (s *Service) guard(ctx context.Context) {
	changes, stop := s.system.Watch()
	defer stop()
	round := time.NewTicker(s.timing.recheck)
	defer round.Stop()
	var turn <-chan time.Time // of machines that have to wait for theirs
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-changes:
			s.look(ctx, gather(c, changes))
		case <-round.C:
			s.recheck(ctx, s.sockets())
			continue
		case <-s.watched.wake:
		case <-turn:
		}
		machines, again := s.watched.take(time.Now(), s.timing.gather)
		s.lookAt(ctx, machines)
		turn = nil
		if again > 0 {
			turn = time.After(again)
		}
	}
}

// gather takes what waits already: a node that goes down announces hundreds of
// ends at once.
func gather(first models.Change, changes <-chan models.Change) []models.Change {
	list := []models.Change{first}
	for {
		select {
		case c := <-changes:
			if !slices.Contains(list, c) {
				list = append(list, c)
			}
		default:
			return list
		}
	}
}

// look sees to the sockets that the changes concern, each once; where it is
// about who has a console open, in the machine's turn.
func (s *Service) look(ctx context.Context, changes []models.Change) {
	concerned := map[*socket]bool{}
	for _, c := range changes {
		if c.Kind == "console" {
			s.watched.ask(models.MachineID(c.ID))
			continue
		}
		for _, k := range s.concerned(c) {
			concerned[k] = true
			if c.Kind == "all" {
				s.watched.ask(k.record.MachineID)
			}
		}
	}
	s.recheck(ctx, slices.Collect(maps.Keys(concerned)))
}

// concerned lists the sockets that a change may end.
func (s *Service) concerned(c models.Change) []*socket {
	var hit func(k *socket) bool
	switch c.Kind {
	case "machine":
		hit = func(k *socket) bool { return string(k.record.MachineID) == c.ID }
	case "session", "token":
		hit = func(k *socket) bool { return string(k.record.SessionID) == c.ID }
	case "member", "user", "org", "all": // rare: look at everybody
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

// recheck ends those of the sockets that have to. A database that doesn't
// answer ends them too, after a while: whoever revokes something on another
// node may rely on it.
func (s *Service) recheck(ctx context.Context, sockets []*socket) {
	if len(sockets) == 0 {
		return
	}
	ids := make([]models.ConsoleSessionID, 0, len(sockets))
	for _, c := range sockets {
		ids = append(ids, c.record.ID)
	}
	looking, cancel := context.WithTimeout(ctx, s.timing.blind/3)
	defer cancel()
	standings, err := s.system.ConsoleStandings(looking, ids)
	for _, c := range sockets {
		if err != nil {
			if time.Since(c.confirmed) > s.timing.blind {
				go c.end(endInternal)
			}
			continue
		}
		c.confirmed = time.Now()
		s.judge(c, standings[c.record.ID])
	}
}

// judge ends the socket where it has to; the ends may wait for a stuck browser.
func (s *Service) judge(c *socket, st models.ConsoleStanding) {
	if e, over := verdict(st.Role, st.State); over {
		go c.end(e)
		return
	}
	switch {
	case st.Asked == models.ConsoleTakenOver:
		go c.endBy(endTakenOver, &notice{Kind: st.Asked, By: st.AskedBy, Text: st.AskedBy + " has taken over this console."})
	case st.Asked == models.ConsoleClosedBy:
		go c.endBy(endClosedBy, &notice{Kind: st.Asked, By: st.AskedBy, Text: st.AskedBy + " has closed this console."})
	case st.Ended:
		go c.end(endResumed)
	}
}
