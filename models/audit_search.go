package models

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

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
	found  []AuditEvent
	// known has, for each rare term, every place where it is.
	known []map[int64]*places
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
	if done, err := h.glance(); done || err != nil {
		return h.found, err
	}
	for _, look := range []func() error{h.byTime, h.byID, h.unindexed, h.byWord} {
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
	for last := EventID(""); ; {
		page := q.Session(&gorm.Session{})
		chunk := min(scanChunk, h.wanted+1)
		if last != "" {
			chunk = scanChunk
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

// unindexed looks through what no block has yet: links behind the last block,
// and what has no link.
func (h *hunt) unindexed() error {
	if len(h.terms) == 0 {
		return nil
	}
	var last []auditBlock
	if err := h.r.tx.Where("org_id = ?", h.org).Order("block DESC").Limit(1).Find(&last).Error; err != nil {
		return err
	}
	indexed, newest := int64(0), EventID("")
	if len(last) > 0 {
		indexed, newest = (last[0].Block+1)*blockSize, last[0].HighID
	}
	// Where the tail begins keeps the search from going on into what is indexed.
	var tail struct{ Low, High *EventID }
	// The expressions keep PostgreSQL from walking the index of all ids for
	// the least that is in the tail.
	err := h.r.tx.Model(&AuditLink{}).Select("MIN(event_id || '') AS low, MAX(event_id || '') AS high").
		Where("org_id = ? AND sequence > ?", h.org, indexed).Scan(&tail).Error
	if err != nil {
		return err
	}
	low := EventID("")
	if tail.High != nil {
		newest = max(newest, *tail.High)
	}
	if newest != "" {
		low = oldestID(timeOfID(newest).Add(-unlinkedFor))
	}
	if tail.Low != nil {
		low = min(low, *tail.Low)
	}
	if h.high != "" && h.high <= low {
		return nil
	}
	return h.scan(h.likely(h.events()).Where(h.id()+" >= ?", low).Where(
		"NOT EXISTS (SELECT 1 FROM audit_links WHERE audit_links.event_id = audit_events.id AND audit_links.sequence <= ?)", indexed))
}

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

// unlinkedFor is how much older than the newest link an event may be that has
// none yet and is found by its words: the time of a long transaction.
const unlinkedFor = time.Minute

// byWord goes over the blocks: those where a rare word is, or all in turns.
func (h *hunt) byWord() error {
	if len(h.terms) == 0 {
		return nil
	}
	var last *auditBlock
	seek := h.narrow()
	for size := firstBlocks; ; size = min(size*8, mostBlocks) {
		if seek {
			if done, err := h.byRareWord(); done || err != nil {
				return err
			}
		}
		seek = last == nil && !seek // once: what is common stays so
		blocks, err := h.blocks(last, size)
		if err != nil || len(blocks) == 0 {
			return err
		}
		if done, err := h.search(blocks); err != nil || done || len(blocks) < size {
			return err
		}
		last = &blocks[len(blocks)-1]
	}
}

// narrow says whether one of the words is likely to be rare, so that it is
// looked up before the first blocks are asked in turns.
func (h *hunt) narrow() bool {
	return slices.ContainsFunc(h.terms, func(t term) bool { return !t.exact && strings.ContainsFunc(t.word, unicode.IsDigit) })
}

// byRareWord goes to the blocks that have the words that are rare; done says
// that there were such.
func (h *hunt) byRareWord() (done bool, err error) {
	rare, err := h.rare()
	if err != nil || rare == nil {
		return false, err
	}
	if len(rare) == 0 {
		return true, nil
	}
	var blocks []auditBlock
	if err := h.r.among(h.sorted(h.spanning()), "block", slices.Collect(maps.Keys(rare))).Find(&blocks).Error; err != nil {
		return false, err
	}
	_, err = h.search(blocks)
	return true, err
}

// spanning are the blocks that may have something between the page's ends.
func (h *hunt) spanning() *gorm.DB {
	q := h.r.tx.Where("org_id = ?", h.org)
	if h.low != "" {
		q = q.Where("high_id > ?", h.low)
	}
	if h.high != "" {
		q = q.Where("low_id < ?", h.high)
	}
	return q
}

// sorted has them come by the end at which the page begins.
func (h *hunt) sorted(q *gorm.DB) *gorm.DB {
	if h.down {
		return q.Order("high_id DESC")
	}
	return q.Order("low_id")
}

// blocks returns those that come next.
func (h *hunt) blocks(last *auditBlock, limit int) ([]auditBlock, error) {
	q := h.sorted(h.spanning())
	switch {
	case last == nil:
	case h.down:
		q = q.Where("high_id < ?", last.HighID)
	default:
		q = q.Where("low_id > ?", last.LowID)
	}
	var rows []auditBlock
	return rows, q.Limit(limit).Find(&rows).Error
}

// begins is the end of the block at which the page comes to it.
func (h *hunt) begins(b auditBlock) EventID {
	if h.down {
		return b.HighID
	}
	return b.LowID
}

// search looks into these blocks, in their order, until the page is full.
func (h *hunt) search(blocks []auditBlock) (done bool, err error) {
	if len(blocks) == 0 {
		return false, nil
	}
	if h.full(h.begins(blocks[0])) {
		return true, nil
	}
	hits, err := h.hits(blocks)
	if err != nil || len(hits) == 0 {
		return false, err
	}
	var sequences []int64
	take := func() error {
		rows, err := h.at(sequences)
		sequences = sequences[:0]
		h.keep(rows)
		return err
	}
	for _, b := range blocks {
		// What lies further on can't be on the page: neither here nor behind.
		if len(sequences) > 0 && len(h.found)+len(sequences) >= h.wanted {
			if err := take(); err != nil {
				return false, err
			}
		}
		if h.full(h.begins(b)) {
			return true, nil
		}
		if p := hits[b.Block]; p != nil {
			list := p.list()
			if h.down {
				slices.Reverse(list)
			}
			for _, n := range list {
				sequences = append(sequences, b.Block*blockSize+int64(n)+1)
			}
		}
	}
	return false, take()
}

// hits says where in these blocks all of the terms are.
func (h *hunt) hits(blocks []auditBlock) (hits map[int64]*places, err error) {
	numbers := make([]int64, len(blocks))
	for i, b := range blocks {
		numbers[i] = b.Block
	}
	for i, t := range h.terms {
		these := map[int64]*places{}
		if len(h.known) > 0 && h.known[i] != nil {
			these = h.known[i]
		} else {
			// A query for each: with OR, the database reads every word of the blocks.
			q := h.r.among(h.r.tx.Model(&auditWord{}).Where("org_id = ?", h.org), "block", numbers)
			if t.exact {
				q = q.Where("word = ?", t.word)
			} else {
				q = q.Where("word >= ? AND word < ?", t.word, t.above())
			}
			if err := eachWord(q, func(row auditWord) { unite(these, row) }); err != nil {
				return nil, err
			}
		}
		if i == 0 {
			hits = these
		} else {
			hits = meeting(hits, these)
		}
		if len(hits) == 0 {
			break
		}
	}
	return hits, nil
}

// eachWord reads the rows by hand: a word that begins many may have thousands.
func eachWord(q *gorm.DB, fn func(auditWord)) (err error) {
	rows, err := q.Select("block", "word", "places").Rows()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var row auditWord
		if err := rows.Scan(&row.Block, &row.Word, &row.Places); err != nil {
			return err
		}
		fn(row)
	}
	return rows.Err()
}

// at reads the events in these places of the chain.
func (h *hunt) at(sequences []int64) ([]AuditEvent, error) {
	var rows []AuditEvent
	if len(sequences) == 0 {
		return nil, nil
	}
	links := h.r.among(h.r.tx.Model(&AuditLink{}).Where("org_id = ?", h.org), "sequence", sequences)
	if len(sequences) <= 2*h.wanted {
		return rows, h.within(h.r.tx.Model(&AuditEvent{}).Where("audit_events.org_id = ?", h.org)).Omit("body").
			Where("audit_events.id IN (?)", links.Select("event_id")).Find(&rows).Error
	}
	// Many: in order, until there are enough.
	var ids []EventID
	if err := h.withinIDs(links).Pluck("event_id", &ids).Error; err != nil {
		return nil, err
	}
	slices.SortFunc(ids, h.before)
	matching := 0
	for some := range slices.Chunk(ids, h.wanted) {
		var part []AuditEvent
		if err := h.r.tx.Omit("body").Where("org_id = ? AND id IN ?", h.org, some).Find(&part).Error; err != nil {
			return nil, err
		}
		for i := range part {
			if h.f.Matches(&part[i]) {
				matching++
			}
		}
		if rows = append(rows, part...); matching >= h.wanted {
			break
		}
	}
	return rows, nil
}

// withinIDs is within, for links.
func (h *hunt) withinIDs(q *gorm.DB) *gorm.DB {
	if h.low != "" {
		q = q.Where("event_id > ?", h.low)
	}
	if h.high != "" {
		q = q.Where("event_id < ?", h.high)
	}
	return q
}

// among narrows to these numbers, as one value however many they are.
func (r *Reader) among(q *gorm.DB, column string, numbers []int64) *gorm.DB {
	text := strings.Join(strings.Fields(strings.Trim(fmt.Sprint(numbers), "[]")), ",")
	if r.db.kind == PostgreSQL {
		return q.Where(column+" = ANY (CAST(? AS bigint[]))", "{"+text+"}")
	}
	return q.Where(column+" IN (SELECT value FROM json_each(?))", "["+text+"]")
}

// rare returns where the events may be by those of the words that are rare,
// nil where none is.
func (h *hunt) rare() (map[int64]*places, error) {
	var found map[int64]*places
	h.known = make([]map[int64]*places, len(h.terms))
	for i, t := range h.terms {
		if t.exact {
			continue
		}
		n, there := 0, map[int64]*places{}
		q := h.r.tx.Model(&auditWord{}).Where("org_id = ? AND word >= ? AND word < ?", h.org, t.word, t.above()).Limit(rareMax)
		if err := eachWord(q, func(row auditWord) { n++; unite(there, row) }); err != nil {
			return nil, err
		}
		if n == rareMax {
			continue
		}
		h.known[i] = there
		if found == nil {
			found = there
		} else {
			found = meeting(found, there)
		}
		if len(found) == 0 {
			break
		}
	}
	return found, nil
}

func unite(by map[int64]*places, row auditWord) {
	p := decodePlaces(row.Places)
	if by[row.Block] == nil {
		by[row.Block] = &p
	} else {
		by[row.Block].unite(&p)
	}
}

func meeting(a, b map[int64]*places) map[int64]*places {
	both := map[int64]*places{}
	for block, p := range a {
		if other := b[block]; other != nil {
			m := *p
			if m.meet(other); m.count() > 0 {
				both[block] = &m
			}
		}
	}
	return both
}
