package models

import (
	"context"
	"maps"
	"slices"
)

// auditBlock says from which to which id a block's events go. A transaction
// that took long has its events in a later block than its ids would.
type auditBlock struct {
	OrgID  OrgID `gorm:"primaryKey"`
	Block  int64 `gorm:"primaryKey;autoIncrement:false"`
	LowID  EventID
	HighID EventID
}

func (auditBlock) TableName() string { return "audit_blocks" }

// auditWord says which of a block's events have the word.
type auditWord struct {
	OrgID  OrgID  `gorm:"primaryKey"`
	Block  int64  `gorm:"primaryKey;autoIncrement:false"`
	Word   string `gorm:"primaryKey"`
	Places []byte
}

func (auditWord) TableName() string { return "audit_words" }

// IndexHistory makes the org's sealed events findable: at most so many blocks,
// and what is behind the last of them. It says how many blocks it made. Two
// nodes at once do no harm: the second's change is refused, and nothing of it
// kept.
func (s *System) IndexHistory(ctx context.Context, org OrgID, most int) (made int, err error) {
	for made < most {
		var (
			tail   auditTail
			stored bool
			rows   []LinkedEvent
		)
		err := s.Look(ctx, org, func(r *Reader) error {
			if tail, stored, err = r.tailOf(org); err != nil {
				return err
			}
			rows, err = r.Links(tail.indexed(), blockSize-tail.Events)
			return err
		})
		if err != nil || len(rows) == 0 && stored {
			return made, err
		}
		next := tail
		found, err := next.add(rows)
		if err != nil {
			return made, err
		}
		full := next.Events == blockSize
		err = s.Within(ctx, org, SystemActor, func(w *Writer) error {
			if full {
				block, words := next.close(found)
				if err := w.tx.Create(&block).Error; err != nil {
					return taken(err, "This block has been indexed meanwhile.")
				}
				if err := w.tx.CreateInBatches(words, indexAtOnce).Error; err != nil {
					return err
				}
			} else {
				next.Words = encodeTail(found)
			}
			return w.putTail(next, tail, stored)
		})
		switch {
		case CodeOf(err) == CodeConflict:
			continue
		case err != nil || !full:
			return made, err
		}
		made++
	}
	return made, nil
}

// putTail stores the org's next tail in the place of the one that it follows.
func (w *Writer) putTail(next, last auditTail, stored bool) error {
	if !stored {
		return taken(w.tx.Create(&next).Error, "The history has been indexed meanwhile.")
	}
	done := w.tx.Model(&auditTail{}).Where("org_id = ? AND block = ? AND events = ?", last.OrgID, last.Block, last.Events).Updates(map[string]any{
		"block": next.Block, "events": next.Events, "low_id": next.LowID, "high_id": next.HighID, "words": next.Words})
	if done.Error == nil && done.RowsAffected == 0 {
		return Conflict("The history has been indexed meanwhile.")
	}
	return done.Error
}

// indexAtOnce is how many words go into one statement.
const indexAtOnce = 1000

// add counts in the events that follow, and returns all of the tail's words.
func (t *auditTail) add(rows []LinkedEvent) (map[string]*places, error) {
	found := map[string]*places{}
	err := eachTailWord(t.Words, func(word, at []byte) {
		p := decodePlaces(at)
		found[string(word)] = &p
	})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		id := row.Link.EventID
		if t.Events == 0 {
			t.LowID, t.HighID = id, id
		}
		t.LowID, t.HighID = min(t.LowID, id), max(t.HighID, id)
		if row.Event != nil { // else archived, or gone: there is nothing to find
			for word := range row.Event.words() {
				if found[word] == nil {
					found[word] = &places{}
				}
				found[word].add(t.Events)
			}
		}
		t.Events++
	}
	return found, nil
}

// close makes a block of a tail that is full, and has the next one begin. The
// words are in order.
func (t *auditTail) close(found map[string]*places) (auditBlock, []auditWord) {
	block := auditBlock{OrgID: t.OrgID, Block: t.Block, LowID: t.LowID, HighID: t.HighID}
	words := make([]auditWord, 0, len(found))
	for _, word := range slices.Sorted(maps.Keys(found)) {
		words = append(words, auditWord{OrgID: t.OrgID, Block: t.Block, Word: word, Places: found[word].encode()})
	}
	*t = auditTail{OrgID: t.OrgID, Block: t.Block + 1, HighID: t.HighID, Words: []byte{}}
	return block, words
}
