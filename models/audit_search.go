package models

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
)

// A page of the history is the first so many of what its sources have, in
// order of id. What no block has yet is looked through; what a block has is
// found by its words, from the page's side on, and looked at once more: the
// index may name too many and never too few. A rare word is looked up by
// itself, a common one block by block, so that neither costs more in a long
// history than in a short one.

const (
	// firstBlocks is how many blocks are asked at first; each time eightfold, up
	// to mostBlocks.
	firstBlocks = 8
	mostBlocks  = 4096
	// rareMax is how many places a word may have in the index to be called rare.
	rareMax = 256
	// idMin is the least length of what is looked up as a whole id.
	idMin = 16
	// scanChunk is how many events are read at a time where they are looked through.
	scanChunk = 500
	// skew is how far an event's time and its id's may be apart.
	skew = 2 * time.Second
)

// hunt is the search for one page in one org's history.
type hunt struct {
	r      *Reader
	org    OrgID
	f      EventFilter
	terms  []term
	down   bool    // newest first
	low    EventID // "" for none; exclusive both
	high   EventID
	wanted int
	open   bool // the page is not between ends: all of the history counts
	found  []AuditEvent
	// pending are places in the chain that are still to be looked at.
	pending []int64
	glanced bool // and what was asked for is not in every other event
}

// searchOrg returns the first rows of the org's history that the filter lets
// through, on the far side of the cursor. down goes from new to old.
func (r *Reader) searchOrg(org OrgID, f EventFilter, cursor EventID, down bool, wanted int) ([]AuditEvent, error) {
	h := hunt{r: r, org: org, f: f, terms: f.terms(), down: down, wanted: wanted}
	if !f.From.IsZero() {
		h.low = oldestID(f.From.Add(-skew))
	}
	if !f.To.IsZero() {
		h.high = oldestID(f.To.Add(skew))
	}
	switch {
	case cursor == "":
	case down && (h.high == "" || cursor < h.high):
		h.high = cursor
	case !down && cursor > h.low:
		h.low = cursor
	}
	if f.wordless() {
		return nil, nil
	}
	h.open = h.low == "" && h.high == ""
	if done, err := h.glance(); done || err != nil {
		return h.found, err
	}
	for _, look := range []func() error{h.byTime, h.byID, h.byTail, h.byWord} {
		if err := look(); err != nil {
			return nil, err
		}
	}
	return h.found, nil
}

// glance looks at events as they come, for as long as every other one is let
// through: nearly every event has a word that is common, and the index would
// have to be asked for all of them. What it has seen, nobody looks at again.
func (h *hunt) glance() (done bool, err error) {
	if h.f.Text == "" || h.f.Action != "" || h.f.Outcome != "" || h.f.Object != "" {
		return false, nil
	}
	for before := 0; ; before = len(h.found) {
		var rows []AuditEvent
		if err := h.events().Omit("body").Limit(h.wanted + 8).Find(&rows).Error; err != nil {
			return false, err
		}
		h.keep(rows)
		if len(rows) < h.wanted+8 || len(h.found) >= h.wanted {
			return true, nil
		}
		if last := rows[len(rows)-1].ID; h.down {
			h.high = last
		} else {
			h.low = last
		}
		if (len(h.found)-before)*2 < len(rows) {
			h.glanced = true
			return false, nil
		}
	}
}

// events is the org's (all, where there is none), in the page's order, between its ends.
func (h *hunt) events() *gorm.DB {
	q := h.r.tx.Model(&AuditEvent{})
	if h.org != "" {
		q = q.Where("audit_events.org_id = ?", h.org)
	}
	return h.ordered(h.within(q))
}

// id is what the events are in order of: the index of an org's own, by an
// expression that no other index has, or all that there are.
func (h *hunt) id() string {
	if h.org == "" {
		return "audit_events.id"
	}
	return h.r.orgsOwnID()
}

// orgsOwnID is an event's id as the index audit_by_age has it.
func (r *Reader) orgsOwnID() string {
	if r.db.kind == PostgreSQL {
		return `audit_events.id COLLATE "C"`
	}
	return "(audit_events.id || '')"
}

func (h *hunt) within(q *gorm.DB) *gorm.DB {
	if h.low != "" {
		q = q.Where(h.id()+" > ?", h.low)
	}
	if h.high != "" {
		q = q.Where(h.id()+" < ?", h.high)
	}
	return q
}

func (h *hunt) ordered(q *gorm.DB) *gorm.DB {
	if h.down {
		return q.Order(h.id() + " DESC")
	}
	return q.Order(h.id())
}

func (h *hunt) before(a, b EventID) int {
	if h.down {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}

// keep adds those that the filter lets through.
func (h *hunt) keep(rows []AuditEvent) {
	for i := range rows {
		if h.f.Matches(&rows[i]) {
			h.found = append(h.found, rows[i])
		}
	}
	slices.SortFunc(h.found, func(a, b AuditEvent) int { return h.before(a.ID, b.ID) })
	h.found = slices.CompactFunc(h.found, func(a, b AuditEvent) bool { return a.ID == b.ID })
	if len(h.found) > h.wanted {
		h.found = h.found[:h.wanted]
	}
}

// full says whether nothing from there on can be on the page any more.
func (h *hunt) full(next EventID) bool {
	return len(h.found) >= h.wanted && h.before(h.found[len(h.found)-1].ID, next) < 0
}

// scan looks through what q has, in order.
func (h *hunt) scan(q *gorm.DB) error {
	chunk := min(scanChunk, h.wanted+1)
	for last := EventID(""); ; chunk = min(scanChunk, chunk*2) { // often only a few at the end of a range are missing
		page := q.Session(&gorm.Session{})
		if last != "" {
			if h.down {
				page = page.Where(h.id()+" < ?", last)
			} else {
				page = page.Where(h.id()+" > ?", last)
			}
		}
		var rows []AuditEvent
		if err := page.Omit("body").Limit(chunk).Find(&rows).Error; err != nil {
			return err
		}
		h.keep(rows)
		if len(rows) < chunk || h.full(rows[len(rows)-1].ID) {
			return nil
		}
		last = rows[len(rows)-1].ID
	}
}

// byTime is all there is to do where no word is asked for.
func (h *hunt) byTime() error {
	if len(h.terms) > 0 {
		return nil
	}
	return h.scan(h.events())
}

// byID looks up whole ids, which are no words.
func (h *hunt) byID() error {
	columns := map[string][]string{h.f.Object: {"object_id"}, h.f.Text: {"id", "object_id", "request_id"}}
	for id, columns := range columns {
		if len(id) < idMin || strings.ContainsAny(id, " \t") {
			continue
		}
		for _, column := range columns {
			if err := h.scan(h.events().Where("audit_events."+column+" = ?", strings.ToLower(id))); err != nil {
				return err
			}
		}
	}
	return nil
}
