package console

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/millwright/millwright/models"
)

// watched holds the machines at whose consoles is to be looked again, because
// one was opened, closed or told to end. Each change concerns all of the
// machine's: a hundred that come together must not be looked at a hundred
// times. So a machine has its look at once, and then not for a while; what has
// changed meanwhile is seen by the one at its end, which sees the newest.
type watched struct {
	wake chan struct{} // something is due

	mu   sync.Mutex
	due  map[models.MachineID]struct{}
	last map[models.MachineID]time.Time
}

func newWatched() watched {
	return watched{wake: make(chan struct{}, 1), due: map[models.MachineID]struct{}{}, last: map[models.MachineID]time.Time{}}
}

func (w *watched) ask(machine models.MachineID) {
	w.mu.Lock()
	w.due[machine] = struct{}{}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns the machines whose turn it is, and after how long there are
// others; 0 is for none.
func (w *watched) take(now time.Time, every time.Duration) (ripe map[models.MachineID]bool, again time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for machine, at := range w.last {
		if now.Sub(at) >= every {
			delete(w.last, machine)
		}
	}
	ripe = map[models.MachineID]bool{}
	for machine := range w.due {
		if at, rests := w.last[machine]; rests {
			if wait := every - now.Sub(at); again == 0 || wait < again {
				again = wait
			}
			continue
		}
		delete(w.due, machine)
		w.last[machine] = now
		ripe[machine] = true
	}
	return ripe, again
}

// lookAt judges the consoles of machines, and tells their pages who has them
// open.
func (s *Service) lookAt(ctx context.Context, machines map[models.MachineID]bool) {
	if len(machines) == 0 {
		return
	}
	var check []*socket
	show := map[models.MachineID][]*socket{}
	s.mu.Lock()
	for c := range s.live {
		if machine := c.record.MachineID; machines[machine] {
			check = append(check, c)
			if c.talk.heard.Load() {
				show[machine] = append(show[machine], c)
			}
		}
	}
	s.mu.Unlock()
	s.recheck(ctx, check)
	for machine, list := range show {
		looking, cancel := context.WithTimeout(ctx, s.timing.blind/3)
		rows, err := s.system.ConsoleViewers(looking, list[0].record.OrgID, machine)
		cancel()
		if err != nil {
			return // told with the next change, or not: they only want to know
		}
		tellViewers(list, rows)
	}
}

// viewer is somebody who has the console open, as the page is told.
type viewer struct {
	ID    models.ConsoleSessionID `json:"id"`
	Name  string                  `json:"name"`
	Mode  models.ConsoleMode      `json:"mode"`
	Since time.Time               `json:"since"`
	You   bool                    `json:"you,omitempty"`
}

// tellViewers puts the list on its way to each of the sockets, whose own entry
// says so. One that is told the same as before hears nothing.
func tellViewers(sockets []*socket, rows []models.ConsoleRow) {
	entries := make([][]byte, len(rows))
	for i, row := range rows {
		entries[i], _ = json.Marshal(viewer{ID: row.ID, Name: row.UserName, Mode: row.Mode, Since: row.OpenedAt}) //nolint:errchkjson // of strings and a time
	}
	for _, c := range sockets {
		text := []byte(`{"viewers":[`)
		for i, entry := range entries {
			if i > 0 {
				text = append(text, ',')
			}
			text = append(text, entry...)
			if rows[i].ID == c.record.ID {
				text = append(bytes.TrimSuffix(text, []byte("}")), `,"you":true}`...)
			}
		}
		c.hand(append(text, "]}"...))
	}
}
