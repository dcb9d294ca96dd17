package models

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode"

	"gorm.io/gorm"
)

// auditTail is what the search index has of an org's history behind its last
// block: the block to come, as far as there is one.
type auditTail struct {
	OrgID  OrgID `gorm:"primaryKey"`
	Block  int64 // its number
	Events int   // how many events it has so far
	LowID  EventID
	HighID EventID // of the block before, where there is no event yet
	Words  []byte  // each with its places, as encodeTail writes them
}

func (auditTail) TableName() string { return "audit_tails" }

// indexed is the last sequence that the index has.
func (t *auditTail) indexed() int64 { return t.Block*blockSize + int64(t.Events) }

// tailOf returns the org's tail, and whether it is stored; one that isn't
// begins behind the last block.
func (r *Reader) tailOf(org OrgID) (tail auditTail, stored bool, err error) {
	var tails []auditTail
	if err := r.tx.Where("org_id = ?", org).Limit(1).Find(&tails).Error; err != nil {
		return tail, false, err
	}
	if len(tails) > 0 {
		return tails[0], true, nil
	}
	tail.OrgID = org
	var last []auditBlock
	err = r.tx.Where("org_id = ?", org).Order("block DESC").Limit(1).Find(&last).Error
	if len(last) > 0 {
		tail.Block, tail.HighID = last[0].Block+1, last[0].HighID
	}
	return tail, false, err
}

// encodeTail writes each word and its places, each behind its length.
func encodeTail(found map[string]*places) []byte {
	b := make([]byte, 0, len(found)*16)
	for word, p := range found {
		b = append(binary.AppendUvarint(b, uint64(len(word))), word...)
		at := p.encode()
		b = append(binary.AppendUvarint(b, uint64(len(at))), at...)
	}
	return b
}

var errTail = errors.New("models: the end of a search index can't be read")

// eachTailWord reads what encodeTail wrote.
func eachTailWord(b []byte, fn func(word, places []byte)) error {
	cut := func() ([]byte, bool) {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) { // #nosec G115 -- no more was read than there is
			return nil, false
		}
		part := b[size : size+int(n)] // #nosec G115 -- no longer than b
		b = b[size+int(n):]           // #nosec G115 -- no longer than b
		return part, true
	}
	for len(b) > 0 {
		word, ok1 := cut()
		at, ok2 := cut()
		if !ok1 || !ok2 {
			return errTail
		}
		fn(word, at)
	}
	return nil
}

// hits says where in the tail all of the terms are.
func (t *auditTail) hits(terms []term) (*places, error) {
	if t.Events == 0 {
		return nil, nil //nolint:nilnil // nowhere
	}
	found := make([]places, len(terms))
	err := eachTailWord(t.Words, func(word, at []byte) {
		for i, term := range terms {
			if string(word) == term.word || !term.exact && strings.HasPrefix(string(word), term.word) {
				p := decodePlaces(at)
				found[i].unite(&p)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for i := range found[1:] {
		found[0].meet(&found[i+1])
	}
	return &found[0], nil
}

// byTail takes what the tail has, and looks through what not even that has
// yet: what was sealed a moment ago, and what has no link.
func (h *hunt) byTail() error {
	if len(h.terms) == 0 {
		return nil
	}
	tail, _, err := h.r.tailOf(h.org)
	if err != nil {
		return err
	}
	hits, err := tail.hits(h.terms)
	if err != nil {
		return err
	}
	if hits != nil {
		h.pending = h.sequences(h.pending, tail.Block, hits)
	}
	low := EventID("")
	if tail.HighID != "" {
		low = oldestID(EventTime(tail.HighID).Add(-unlinkedFor))
	}
	// What was linked since may be older than that, if its transaction took long.
	bound, args := `(SELECT LEAST(CAST(? AS text), MIN(event_id COLLATE "C")) FROM audit_links WHERE org_id = ? AND sequence > ?)`, []any{low, h.org, tail.indexed()}
	if h.r.db.kind == SQLite {
		bound, args = "(SELECT MIN(?, COALESCE(MIN(event_id || ''), ?)) FROM audit_links WHERE org_id = ? AND sequence > ?)", []any{low, low, h.org, tail.indexed()}
	}
	// Its link is asked for event by event: as a join, the planner would now
	// and then begin with all of the links.
	lately := *h
	lately.low = ""
	rest := h.likely(lately.events()).Where(h.id()+" >= "+bound, args...).Where(
		"COALESCE((SELECT sequence FROM audit_links WHERE audit_links.event_id = audit_events.id), ?) > ?", int64(1)<<62, tail.indexed())
	switch {
	case h.low == "":
	case h.r.db.kind == SQLite: // as no index has it: it would begin there, and go over all of the range
		rest = rest.Where("(audit_events.id || '' || '') > ?", h.low)
	default:
		rest = rest.Where(h.id()+" > ?", h.low)
	}
	var some []EventID
	if err := rest.Session(&gorm.Session{}).Limit(1).Pluck("audit_events.id", &some).Error; err != nil || len(some) == 0 {
		return err
	}
	return h.scan(rest)
}

// unlinkedFor is how much older than the newest indexed event one may be that
// has no link yet and is found by its words: the time of a long transaction.
const unlinkedFor = time.Minute

// likely has the database leave out what can't match, as far as it can tell:
// it may not know what is upper and lower case beyond ASCII.
func (h *hunt) likely(q *gorm.DB) *gorm.DB {
	if h.f.Action != "" {
		q = q.Where("audit_events.action = ?", h.f.Action)
	}
	if h.f.Outcome != "" {
		q = q.Where("audit_events.outcome = ?", h.f.Outcome)
	}
	for column, text := range map[string]string{"actor_name": h.f.Actor, "object_name": h.f.Object, "body": h.f.Text} {
		eachRun(text, func(run string) {
			if run = clip(run); !strings.ContainsFunc(run, func(r rune) bool { return r > unicode.MaxASCII }) {
				q = q.Where("LOWER(audit_events."+column+") LIKE ? ESCAPE '\\'", likeText(run))
			}
		})
	}
	return q
}
