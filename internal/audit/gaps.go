package audit

import (
	"slices"
	"time"

	"github.com/millwright/millwright/models"
)

// spansMax bounds what a gaps remembers.
const spansMax = 1000

// gaps finds out, while a chain is followed, where events may be that have no
// place in it: wherever the org has more events than the chain has passed.
// Counting them costs little; asking each for its link took as long as all the
// rest of a verification.
type gaps struct {
	since time.Time      // from then on everything may be
	upTo  models.EventID // the last that was looked at
	list  []models.Span
}

// newGaps trusts no count of what is so new that it may still come late.
func (s *Service) newGaps() *gaps { return &gaps{since: models.Now().Add(-s.young)} }

// pass counts what the chain has on its next page. It sorts the ids.
func (g *gaps) pass(r *models.Reader, ids []models.EventID) error {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	from, found := slices.BinarySearch(ids, g.upTo)
	if found {
		from++
	}
	if ids = ids[from:]; len(ids) == 0 {
		return nil
	}
	span := models.Span{After: g.upTo, UpTo: ids[len(ids)-1]}
	g.upTo = span.UpTo
	if models.EventTime(span.UpTo).Before(g.since) {
		if n, err := r.CountWithin(span); err != nil || n == int64(len(ids)) {
			return err
		}
	}
	if last := len(g.list) - 1; last >= 0 && (g.list[last].UpTo == span.After || len(g.list) == spansMax) {
		g.list[last].UpTo = span.UpTo
	} else {
		g.list = append(g.list, span)
	}
	return nil
}

// spans are all that may have an event without a place; the last has no end.
func (g *gaps) spans() []models.Span {
	list, end := slices.Clone(g.list), models.Span{After: g.upTo}
	if last := len(list) - 1; last >= 0 && list[last].UpTo == end.After {
		list[last].UpTo = ""
		return list
	}
	return append(list, end)
}

// watched is next, with what it reads passed.
func watched[T any](g *gaps, next nextOf[T], id func(*T) (models.EventID, bool)) nextOf[T] {
	return func(r *models.Reader, after int64, limit int) ([]T, error) {
		rows, err := next(r, after, limit)
		if err != nil {
			return nil, err
		}
		ids := make([]models.EventID, 0, len(rows))
		for i := range rows {
			if id, there := id(&rows[i]); there {
				ids = append(ids, id)
			}
		}
		return rows, g.pass(r, ids)
	}
}

func eventOf(row *models.LinkedEvent) (models.EventID, bool) {
	return row.Link.EventID, row.Event != nil
}

func bodyOf(row *models.LinkedBody) (models.EventID, bool) { return row.Link.EventID, row.Body != nil }
