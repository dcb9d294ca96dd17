package models

import (
	"context"
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

// nextBlock is the first block of the org that the search index doesn't have.
func (r *Reader) nextBlock(org OrgID) (int64, error) {
	var rows []auditBlock
	err := r.tx.Where("org_id = ?", org).Order("block DESC").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return rows[0].Block + 1, nil
}

// IndexHistory makes the org's next blocks findable, at most so many, and says
// how many it made. Two nodes at once do no harm: the second's insert is
// refused, and nothing of it kept.
func (s *System) IndexHistory(ctx context.Context, org OrgID, most int) (made int, err error) {
	for made < most {
		var (
			block  auditBlock
			events []AuditEvent
			full   bool
		)
		err := s.Look(ctx, org, func(r *Reader) error {
			next, err := r.nextBlock(org)
			if err != nil {
				return err
			}
			block = auditBlock{OrgID: org, Block: next}
			rows, err := r.Links(next*blockSize, blockSize)
			if err != nil || len(rows) < blockSize {
				return err
			}
			full = true
			for i := range rows {
				if rows[i].Event == nil { // archived, or gone: there is nothing to find
					events = append(events, AuditEvent{ID: rows[i].Link.EventID})
					continue
				}
				events = append(events, *rows[i].Event)
			}
			return nil
		})
		if err != nil || !full {
			return made, err
		}
		rows := block.index(events)
		err = s.Within(ctx, org, SystemActor, func(w *Writer) error {
			if err := w.tx.Create(&block).Error; err != nil {
				return taken(err, "This block has been indexed meanwhile.")
			}
			return w.tx.CreateInBatches(rows, indexAtOnce).Error
		})
		if CodeOf(err) == CodeConflict {
			continue
		}
		if err != nil {
			return made, err
		}
		made++
	}
	return made, nil
}

// indexAtOnce is how many words go into one statement.
const indexAtOnce = 1000

// index fills in the block's ends, and returns its words in order.
func (b *auditBlock) index(events []AuditEvent) []auditWord {
	found := map[string]*places{}
	for n := range events {
		e := &events[n]
		if b.LowID == "" || e.ID < b.LowID {
			b.LowID = e.ID
		}
		b.HighID = max(b.HighID, e.ID)
		if e.Action == "" {
			continue
		}
		for word := range e.words() {
			if found[word] == nil {
				found[word] = &places{}
			}
			found[word].add(n)
		}
	}
	rows := make([]auditWord, 0, len(found))
	for word, p := range found {
		rows = append(rows, auditWord{OrgID: b.OrgID, Block: b.Block, Word: word, Places: p.encode()})
	}
	slices.SortFunc(rows, func(a, b auditWord) int {
		if a.Word < b.Word {
			return -1
		}
		return 1
	})
	return rows
}
