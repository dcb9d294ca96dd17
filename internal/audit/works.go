package audit

import (
	"sync"

	"github.com/millwright/millwright/models"
)

const (
	// worksAtOnce bounds exports and verifications under way: each holds a
	// thousand events, and a core while nobody has to be waited for.
	worksAtOnce = 8
	// worksOfOne is how many of them one org may have, so that the others get
	// in. The provider's people count as one.
	worksOfOne = 2
)

// works counts exports and verifications under way.
type works struct {
	mu  sync.Mutex
	all int
	of  map[models.OrgID]int
}

func newWorks() *works { return &works{of: map[models.OrgID]int{}} }

// enter takes a place for the org's people; leave gives it back, once.
func (w *works) enter(by models.OrgID) (leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.of[by] >= worksOfOne:
		return nil, models.TooMany("Two exports or verifications of yours are under way. Try again when one of them is done.", 10)
	case w.all >= worksAtOnce:
		return nil, models.TooMany("Other histories are being exported or verified just now. Try again in a moment.", 10)
	}
	w.all++
	w.of[by]++
	return sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all--
		if w.of[by]--; w.of[by] == 0 {
			delete(w.of, by)
		}
	}), nil
}
