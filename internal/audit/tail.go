package audit

import (
	"context"
	"slices"

	"github.com/millwright/millwright/models"
)

// tail looks at what has no link yet in these spans, a page at a time, and each time at what
// was linked meanwhile: what is sealed between the two looks is in the second
// one. It holds one page, however much is unsealed.
func (s *Service) tail(ctx context.Context, w *walker, read look, spans []models.Span) (fault *Fault, unsealed int, err error) {
	for n, span := range spans {
		for more := true; more; {
			var rows []models.AuditEvent
			err = read(ctx, func(r *models.Reader) (err error) {
				rows, err = r.UnlinkedWithin(span, readAtOnce)
				return err
			})
			if err != nil {
				return nil, 0, err
			}
			if more = len(rows) == readAtOnce; len(rows) == 0 && n < len(spans)-1 {
				continue
			}
			loose := make(map[models.EventID]bool, len(rows))
			for i := range rows {
				if fault = w.unsealed(rows[i].ID, rows[i].At); fault != nil {
					return fault, 0, nil
				}
				if !rows[i].BodyMatches() {
					return &Fault{Kind: Changed, Event: rows[i].ID, Detail: "What is shown of it is not what its text says"}, 0, nil
				}
				loose[rows[i].ID] = true
			}
			earlier := 0 // counted with a page before, and sealed now
			fault, err = s.walkPast(ctx, w, read, (*models.Reader).Links, func(id models.EventID) {
				if id <= span.After {
					earlier++
				}
				delete(loose, id)
			})
			if fault != nil || err != nil {
				return fault, 0, err
			}
			unsealed = max(0, unsealed-earlier) + len(loose)
			if more {
				span.After = rows[len(rows)-1].ID
			}
		}
	}
	return nil, unsealed, nil
}

// toEnd has follow write the chain to its end, and returns the events that had
// no place in it then. follow goes on where it ended, and tells what it passes.
// However many come while the export is under way, they are sealed until the
// rest is one page: an export is in the order of the chain, and what is not in
// it has to wait in memory.
func (e *Export) toEnd(ctx context.Context, g *gaps, follow func(passed func(models.EventID)) error) ([]models.AuditEvent, error) {
	for {
		if err := follow(func(models.EventID) {}); err != nil {
			return nil, err
		}
		var rest []models.AuditEvent
		err := e.read(ctx, func(r *models.Reader) (err error) {
			for _, span := range g.spans() {
				more, err := r.UnlinkedWithin(span, readAtOnce-len(rest))
				if rest = append(rest, more...); err != nil || len(rest) == readAtOnce {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(rest) == readAtOnce {
			if err := e.service.Seal(ctx, e.head.Org); err != nil {
				return nil, err
			}
			continue
		}
		// What was linked since follow came to the end is there by now.
		waiting := make(map[models.EventID]bool, len(rest))
		for i := range rest {
			waiting[rest[i].ID] = true
		}
		err = follow(func(id models.EventID) { delete(waiting, id) })
		return slices.DeleteFunc(rest, func(event models.AuditEvent) bool { return !waiting[event.ID] }), err
	}
}
