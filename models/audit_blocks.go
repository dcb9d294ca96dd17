package models

import (
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"gorm.io/gorm"
)

// foundBlock is a block, and where in it all of the terms are.
type foundBlock struct {
	auditBlock
	hits *places
}

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
		if err != nil {
			return err
		}
		if done, err := h.search(blocks); err != nil || done || len(blocks) < size {
			return err
		}
		last = &blocks[len(blocks)-1].auditBlock
	}
}

// narrow says whether one of the words is likely to be rare, so that it is
// looked up before the first blocks are asked in turns: a glance has not found
// enough of it, or it has a number in it.
func (h *hunt) narrow() bool {
	return h.glanced || slices.ContainsFunc(h.terms, func(t term) bool { return !t.exact && strings.ContainsFunc(t.word, unicode.IsDigit) })
}

// byRareWord goes to the blocks that have the words that are rare; done says
// that there were such.
func (h *hunt) byRareWord() (done bool, err error) {
	hits, err := h.rare()
	if err != nil || hits == nil {
		return false, err
	}
	count := len(h.pending)
	for _, p := range hits {
		count += p.count()
	}
	numbers := slices.Sorted(maps.Keys(hits))
	if count <= 2*h.wanted {
		for _, block := range numbers {
			h.pending = h.sequences(h.pending, block, hits[block])
		}
		return true, h.take()
	}
	if h.down && h.open {
		if done, err := h.newest(numbers, hits); done || err != nil {
			return done, err
		}
	}
	var rows []auditBlock
	if err := h.r.among(h.sorted(h.spanning()), "block", numbers).Find(&rows).Error; err != nil {
		return false, err
	}
	blocks := make([]foundBlock, len(rows))
	for i, row := range rows {
		blocks[i] = foundBlock{row, hits[row.Block]}
	}
	_, err = h.search(blocks)
	return true, err
}

// newest takes from the newest blocks on, in the order of the chain, which is
// nearly that of the ids. done says that it was: that no other block has
// anything as new as what the page ends with.
func (h *hunt) newest(numbers []int64, hits map[int64]*places) (done bool, err error) {
	for i, block := range slices.Backward(numbers) {
		h.pending = h.sequences(h.pending, block, hits[block])
		if len(h.found)+len(h.pending) < h.wanted {
			continue
		}
		if err := h.take(); err != nil {
			return false, err
		}
		if len(h.found) < h.wanted {
			continue
		}
		if i == 0 {
			return true, nil
		}
		var others []auditBlock
		err := h.r.tx.Where("org_id = ? AND high_id > ? AND block < ?", h.org, h.found[len(h.found)-1].ID, block).Limit(1).Find(&others).Error
		return len(others) == 0, err
	}
	return true, h.take()
}

// sequences adds the block's places, in the page's order.
func (h *hunt) sequences(list []int64, block int64, hits *places) []int64 {
	from := len(list)
	for _, n := range hits.list() {
		list = append(list, block*blockSize+int64(n)+1)
	}
	if h.down {
		slices.Reverse(list[from:])
	}
	return list
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

// blocks returns those that come next, and where in them the terms are. Each
// word is looked up block by block: joined, or with OR, the database would read
// every word of the blocks.
func (h *hunt) blocks(last *auditBlock, limit int) (list []foundBlock, err error) {
	q := h.sorted(h.spanning())
	switch {
	case last == nil:
	case h.down:
		q = q.Where("high_id < ?", last.HighID)
	default:
		q = q.Where("low_id > ?", last.LowID)
	}
	gather := map[Kind]string{PostgreSQL: "string_agg(encode(places, 'hex'), ',')", SQLite: "group_concat(hex(places))"}[h.r.db.kind]
	columns, args := []string{"block", "low_id", "high_id"}, []any{}
	for _, t := range h.terms {
		where := "word = ?"
		if args = append(args, t.word); !t.exact {
			where, args = "word >= ? AND word < ?", append(args, t.above())
		}
		columns = append(columns, "(SELECT "+gather+" FROM audit_words WHERE audit_words.org_id = audit_blocks.org_id AND audit_words.block = audit_blocks.block AND "+where+")")
	}
	rows, err := q.Model(&auditBlock{}).Select(strings.Join(columns, ", "), args...).Limit(limit).Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	texts := make([]sql.NullString, len(h.terms))
	for rows.Next() {
		b := foundBlock{auditBlock: auditBlock{OrgID: h.org}}
		to := []any{&b.Block, &b.LowID, &b.HighID}
		for i := range texts {
			to = append(to, &texts[i])
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		if b.hits, err = meetingOf(texts); err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, rows.Err()
}

// meetingOf is where all of the texts' places are; each text has the places of
// a term's words, in hexadecimal with commas between.
func meetingOf(texts []sql.NullString) (*places, error) {
	var all *places
	for _, text := range texts {
		var these places
		for part := range strings.SplitSeq(text.String, ",") {
			raw, err := hex.DecodeString(part)
			if err != nil {
				return nil, err
			}
			p := decodePlaces(raw)
			these.unite(&p)
		}
		if all == nil {
			all = &these
		} else {
			all.meet(&these)
		}
	}
	return all, nil
}

// begins is the end of the block at which the page comes to it.
func (h *hunt) begins(b auditBlock) EventID {
	if h.down {
		return b.HighID
	}
	return b.LowID
}

// search looks into these blocks, in their order, until the page is full.
func (h *hunt) search(blocks []foundBlock) (done bool, err error) {
	for _, b := range blocks {
		// What lies further on can't be on the page: neither here nor behind.
		if len(h.pending) > 0 && len(h.found)+len(h.pending) >= h.wanted {
			if err := h.take(); err != nil {
				return false, err
			}
		}
		if h.full(h.begins(b.auditBlock)) {
			return true, nil
		}
		if b.hits != nil {
			h.pending = h.sequences(h.pending, b.Block, b.hits)
		}
	}
	return false, h.take()
}

// take reads what is pending, and keeps what matches.
func (h *hunt) take() error {
	rows, err := h.at(h.pending)
	h.pending = h.pending[:0]
	h.keep(rows)
	return err
}

// at reads the events in these places of the chain.
func (h *hunt) at(sequences []int64) ([]AuditEvent, error) {
	if len(sequences) == 0 {
		return nil, nil
	}
	links := h.withinIDs(h.r.among(h.r.tx.Model(&AuditLink{}).Where("audit_links.org_id = ?", h.org), "audit_links.sequence", sequences))
	if len(sequences) <= 2*h.wanted {
		join := "JOIN audit_events ON audit_events.id = audit_links.event_id AND audit_events.org_id = audit_links.org_id"
		if h.r.db.kind == SQLite { // the links first, and each event by its id: its planner may think little of both
			join = "CROSS JOIN audit_events ON audit_events.id = audit_links.event_id AND +audit_events.org_id = audit_links.org_id"
		}
		return linked(h.r.shownRows(links.Joins(join)))
	}
	// Many: in order, until there are enough.
	var ids []EventID
	if err := links.Pluck("event_id", &ids).Error; err != nil {
		return nil, err
	}
	slices.SortFunc(ids, h.before)
	var rows []AuditEvent
	matching := 0
	for some := range slices.Chunk(ids, h.wanted) {
		part, err := linked(h.r.shownRows(h.r.tx.Model(&AuditEvent{}).Where("audit_events.org_id = ? AND audit_events.id IN ?", h.org, some)))
		if err != nil {
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

// linked notes that these were found by their links.
func linked(rows []AuditEvent, err error) ([]AuditEvent, error) {
	for i := range rows {
		rows[i].linked = true
	}
	return rows, err
}

// withinIDs is within, for links that were found by their places: it keeps the
// index of the links' events out of it, by which the database would find all
// other orgs' events of that time as well.
func (h *hunt) withinIDs(q *gorm.DB) *gorm.DB {
	id := map[Kind]string{PostgreSQL: `audit_links.event_id COLLATE "C"`, SQLite: "+audit_links.event_id"}[h.r.db.kind]
	if h.low != "" {
		q = q.Where(id+" > ?", h.low)
	}
	if h.high != "" {
		q = q.Where(id+" < ?", h.high)
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
func (h *hunt) rare() (found map[int64]*places, err error) {
	for _, t := range h.terms {
		there, few, err := h.placesOf(t)
		if err != nil {
			return nil, err
		}
		switch {
		case !few:
			continue
		case found == nil:
			found = there
		default:
			found = meeting(found, there)
		}
		if len(found) == 0 {
			return found, nil
		}
	}
	return found, nil
}

// placesOf is where the term's words are; few is false where there are too many.
func (h *hunt) placesOf(t term) (there map[int64]*places, few bool, err error) {
	q := h.r.tx.Model(&auditWord{}).Select("block, places").Where("org_id = ?", h.org)
	if t.exact {
		q = q.Where("word = ?", t.word)
	} else {
		q = q.Where("word >= ? AND word < ?", t.word, t.above())
	}
	rows, err := q.Limit(rareMax).Rows()
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	n := 0
	for there = map[int64]*places{}; rows.Next(); n++ {
		var row auditWord
		if err := rows.Scan(&row.Block, &row.Places); err != nil {
			return nil, false, err
		}
		unite(there, row)
	}
	return there, n < rareMax, rows.Err()
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
