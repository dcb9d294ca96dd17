package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/millwright/millwright/models"
)

// late is how much older than the event before it an event may be: the length
// of the longest transaction, and how far two nodes' clocks may be apart. One
// that is older was written in afterwards.
const late = 15 * time.Minute

// walker follows a chain from a place that is known to be whole.
type walker struct {
	org      models.OrgID
	sequence int64  // the last place found whole
	hash     string // its hash
	before   string // the hash before that
	event    models.EventID
	at       time.Time // when its event was; zero at the start
	signed   models.AuditCheckpoint
	archived int64 // up to there an event may be gone: a segment has it

	checkpoints []models.AuditCheckpoint // those to come, by sequence
}

func newWalker(org models.OrgID, checkpoints []models.AuditCheckpoint) *walker {
	slices.SortStableFunc(checkpoints, func(a, b models.AuditCheckpoint) int { return int(min(max(a.Sequence-b.Sequence, -1), 1)) })
	return &walker{org: org, hash: genesis, checkpoints: checkpoints}
}

// from begins behind a checkpoint in place of the first event.
func (w *walker) from(c models.AuditCheckpoint) {
	if c.Sequence > 0 {
		w.sequence, w.hash, w.signed = c.Sequence, c.Hash, c
	}
}

// walk goes over the next entries and returns the first fault, or nil.
func (w *walker) walk(entries []entry) *Fault {
	for i := range entries {
		if fault := w.step(&entries[i], entries[i+1:]); fault != nil {
			return fault
		}
		if fault := w.check(); fault != nil {
			return fault
		}
	}
	return nil
}

// step looks at one entry; coming are those behind it, to tell what was moved
// from what was changed.
func (w *walker) step(e *entry, coming []entry) *Fault {
	next := w.sequence + 1
	fault := func(kind FaultKind, detail string) *Fault {
		return &Fault{Kind: kind, Sequence: next, Event: e.event, Detail: detail}
	}
	inPlace := func(c entry) bool { return c.previous == w.hash && c.sequence == next }
	switch {
	case e.sequence > next && slices.ContainsFunc(coming, inPlace), e.sequence < next && w.sequence > 0 && e.event != w.event:
		return fault(Reordered, "It does not stand where it was written")
	case e.sequence > next:
		return &Fault{Kind: Removed, Sequence: next, Detail: fmt.Sprintf("The chain goes on with event %d (%s)", e.sequence, e.event)}
	case e.sequence < next:
		return fault(Added, "It stands twice")
	case e.missing && next <= w.archived:
		if e.previous != w.hash {
			return fault(Changed, "Its link no longer says which event came before it, and its text is archived")
		}
		w.before, w.hash, w.sequence, w.event = w.hash, e.hash, next, e.event
		return nil
	case e.missing:
		return fault(Removed, "Its place in the chain is there, the event is not")
	case e.previous != w.hash:
		return w.broken(e, coming, fault)
	case !e.matches(w.org, w.hash, e.body):
		if len(coming) > 0 && coming[0].previous == w.hash {
			return fault(Added, "The event behind it was sealed when it was not there")
		}
		for _, c := range coming {
			if Hash(w.hash, w.org, e.sequence, c.event, c.body) == e.hash {
				return fault(Reordered, fmt.Sprintf("Event %s was written in this place", c.event))
			}
		}
		return fault(Changed, "It is not what was sealed")
	}
	told, read := head{}, true
	if e.told != nil {
		told = *e.told
	} else {
		told, read = headOf(e.body)
	}
	switch {
	case e.altered, !read, told.id != e.event, told.org != w.org:
		return fault(Changed, "What is shown of it is not what its sealed text says")
	case told.at.Before(w.at.Add(-late)):
		return fault(Added, fmt.Sprintf("It was written behind an event of %s and says that it is of %s: it was added afterwards, or a clock was set back",
			w.at.Format(time.RFC3339), told.at.Format(time.RFC3339)))
	}
	w.before, w.hash, w.sequence, w.event, w.at = w.hash, e.hash, next, e.event, told.at
	return nil
}

// broken names what happened where an entry doesn't follow from the one before.
func (w *walker) broken(e *entry, coming []entry, fault func(FaultKind, string) *Fault) *Fault {
	follows := func(c entry) bool { return c.previous == w.hash }
	switch {
	case e.matches(w.org, w.hash, e.body):
		return fault(Changed, "Its link no longer says which event came before it")
	case w.before != "" && e.previous == w.before:
		return &Fault{Kind: Added, Sequence: w.sequence, Event: w.event, Detail: "The event behind it was sealed when it was not there"}
	case e.wasSealed(w.org, len(coming)+1):
		if slices.ContainsFunc(coming, follows) {
			return fault(Reordered, "Another event was sealed in this place")
		}
		return &Fault{Kind: Removed, Sequence: w.sequence + 1, Detail: fmt.Sprintf(
			"What was sealed in this place is not there any more, or was replaced; event %s, which was sealed behind it, is whole", e.event)}
	case len(coming) > 0 && follows(coming[0]):
		return fault(Added, "The event behind it was sealed when it was not there")
	}
	return fault(Changed, "Neither it nor its link is what was sealed")
}

// check compares the place that was reached with the checkpoints for it.
func (w *walker) check() *Fault {
	for len(w.checkpoints) > 0 && w.checkpoints[0].Sequence <= w.sequence {
		c := w.checkpoints[0]
		w.checkpoints = w.checkpoints[1:]
		if c.Sequence < w.sequence {
			continue // behind where the walk began
		}
		if c.Hash != w.hash {
			first := w.signed.Sequence + 1
			f := &Fault{Kind: Rewritten, Sequence: first, Detail: fmt.Sprintf(
				"What was signed on %s for event %d is another history: one or more of the events %d to %d were changed, added or removed and the chain was made anew",
				c.At.UTC().Format(time.RFC3339), c.Sequence, first, c.Sequence)}
			if first == w.sequence {
				f.Event = w.event
			}
			return f
		}
		w.signed = c
	}
	return nil
}

// end looks at what should have come and didn't, and at what has no link.
func (w *walker) end() *Fault {
	if len(w.checkpoints) > 0 {
		c := w.checkpoints[len(w.checkpoints)-1]
		return &Fault{Kind: Removed, Sequence: w.sequence + 1, Detail: fmt.Sprintf("On %s the chain was signed up to event %d",
			c.At.UTC().Format(time.RFC3339), c.Sequence)}
	}
	return nil
}

// unsealed looks at an event that has no link yet.
func (w *walker) unsealed(id models.EventID, at time.Time) *Fault {
	if at.Before(w.at.Add(-late)) {
		return &Fault{Kind: Added, Event: id, Detail: fmt.Sprintf(
			"It says that it is of %s, and was never sealed: it was added afterwards, or its link was removed", at.UTC().Format(time.RFC3339))}
	}
	return nil
}

func (w *walker) report(r *Report) {
	r.Org, r.Sealed, r.Signed, r.SignedAt = w.org, w.sequence, w.signed.Sequence, w.signed.At
}

// wasSealed says whether the entry is whole by itself, in its place or in one
// nearby, from which it was moved.
func (e *entry) wasSealed(org models.OrgID, near int) bool {
	for by := range int64(near) + 1 {
		for _, sequence := range [...]int64{e.sequence + by, e.sequence - by} {
			if Hash(e.previous, org, sequence, e.event, e.body) == e.hash {
				return true
			}
		}
	}
	return false
}
