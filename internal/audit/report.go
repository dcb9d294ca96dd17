package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
)

// FaultKind is what was done to the history.
type FaultKind string

const (
	Changed   FaultKind = "changed"   // the event, or its link, says something else than it did
	Removed   FaultKind = "removed"   // the event, or its link, is gone
	Added     FaultKind = "added"     // it was not there when it says that it was
	Reordered FaultKind = "reordered" // it stands in another's place
	Rewritten FaultKind = "rewritten" // the chain is whole, and not the one that was signed
	Forged    FaultKind = "forged"    // a checkpoint's signature is not its key's
	Unread    FaultKind = "unread"    // a line of an export is not one that an export has
)

// Fault is the first thing that is wrong.
type Fault struct {
	Kind     FaultKind
	Sequence int64          // place in the chain; 0 where there is none
	Event    models.EventID // "" where nobody can know it any more
	Detail   string         // a sentence without its full stop
}

func (f *Fault) String() string {
	where := "An event without a place in the chain"
	if f.Sequence > 0 {
		where = fmt.Sprintf("Event %d", f.Sequence)
	}
	if f.Event != "" {
		where += " (" + string(f.Event) + ")"
	}
	return fmt.Sprintf("%s: %s. %s.", where, f.Kind, f.Detail)
}

// Report is what a verification found.
type Report struct {
	Org models.OrgID
	// Sealed is the last sequence that was found whole, Signed the last one
	// that a checkpoint speaks for.
	Sealed, Signed int64
	// From is the first sequence that was looked at: behind segments, not 1.
	From int64
	// Archived is up to where the database has the links alone: the texts are
	// in segments.
	Archived int64
	SignedAt time.Time
	// Unsealed counts events that have no link yet: nothing proves them.
	Unsealed int
	// OtherKeys counts checkpoints of keys that this verifier doesn't have.
	OtherKeys int
	// Partial says that the export was filtered: each event is as it was
	// linked, and nothing says what is missing.
	Partial bool
	// Cut says that the export ends early.
	Cut bool
	// NeedsCheckpoint says that a chain without one proves nothing, as in an
	// export, which whoever has it can make anew.
	NeedsCheckpoint bool
	Fault           *Fault
}

// Intact says whether everything was found whole.
func (r Report) Intact() bool {
	return r.Fault == nil && !r.Partial && !r.Cut && (r.Signed > 0 || !r.NeedsCheckpoint)
}

// String tells it in sentences.
func (r Report) String() string {
	var s []string
	switch {
	case r.Fault != nil:
		s = append(s, "Not intact. "+r.Fault.String())
		if before := r.Fault.Sequence - 1; before > 0 && r.Fault.Kind != Rewritten {
			s = append(s, fmt.Sprintf("Before it, everything is whole up to event %d.", min(before, r.Sealed)))
		}
	case r.Partial:
		s = append(s, "Partial. This export was filtered: each of its events belongs to its link, but nothing can prove that none is missing.")
	case r.Cut:
		s = append(s, fmt.Sprintf("Not intact. The export ends early, behind event %d: download it again.", r.Sealed))
	case !r.Intact():
		s = append(s, "Not proven. No checkpoint of this key stands in it.")
	case r.Sealed == 0:
		s = append(s, "Intact: no event is sealed yet.")
	case r.From > 1:
		s = append(s, fmt.Sprintf("Intact from event %d up to event %d. What came before is in other files, and was not looked at.", r.From, r.Sealed))
	default:
		s = append(s, fmt.Sprintf("Intact up to event %d.", r.Sealed))
	}
	if r.Fault == nil && r.Archived > 0 {
		s = append(s, fmt.Sprintf("Up to event %d the texts are archived: their links are whole, and millwright verify checks the segment files.", r.Archived))
	}
	if r.Signed > 0 {
		s = append(s, fmt.Sprintf("Signed up to event %d on %s.", r.Signed, r.SignedAt.UTC().Format("2006-01-02 at 15:04:05 UTC")))
	}
	if r.Fault == nil && r.Unsealed > 0 {
		s = append(s, fmt.Sprintf("Newest events without a seal yet: %d.", r.Unsealed))
	}
	if r.OtherKeys > 0 {
		s = append(s, fmt.Sprintf("Checkpoints by other keys, not looked at: %d.", r.OtherKeys))
	}
	return strings.Join(s, " ")
}
