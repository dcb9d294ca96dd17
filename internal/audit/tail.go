package audit

import (
	"context"
	"slices"

	"github.com/millwright/millwright/models"
)

// tail looks at what has no link yet, and then at what was linked meanwhile:
// what is sealed between the two looks is in the second one.
func (s *Service) tail(ctx context.Context, w *walker, read look) (fault *Fault, unsealed int, err error) {
	loose := map[models.EventID]bool{}
	for after := models.EventID(""); ; {
		var rows []models.AuditEvent
		err = read(ctx, func(r *models.Reader) (err error) {
			rows, err = r.UnlinkedBehind(after, readAtOnce)
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		for i := range rows {
			if fault = w.unsealed(rows[i].ID, rows[i].At); fault != nil {
				return fault, 0, nil
			}
			if !rows[i].BodyMatches() {
				return &Fault{Kind: Changed, Event: rows[i].ID, Detail: "What is shown of it is not what its text says"}, 0, nil
			}
			loose[rows[i].ID] = true
			after = rows[i].ID
		}
		if len(rows) < readAtOnce {
			break
		}
	}
	fault, err = s.walkPast(ctx, w, read, func(id models.EventID) { delete(loose, id) })
	return fault, len(loose), err
}

// toEnd has follow write the chain to its end, and returns the events that had
// no place in it then. follow goes on where it ended, and tells what it passes.
// However many come while the export is under way, they are sealed until the
// rest is one page: an export is in the order of the chain, and what is not in
// it has to wait in memory.
func (e *Export) toEnd(ctx context.Context, follow func(passed func(models.EventID)) error) ([]models.AuditEvent, error) {
	for {
		if err := follow(func(models.EventID) {}); err != nil {
			return nil, err
		}
		var rest []models.AuditEvent
		err := e.read(ctx, func(r *models.Reader) (err error) {
			rest, err = r.Unlinked(zeroTime, readAtOnce)
			return err
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
		linked := map[models.EventID]bool{}
		err = follow(func(id models.EventID) { linked[id] = true })
		return slices.DeleteFunc(rest, func(event models.AuditEvent) bool { return linked[event.ID] }), err
	}
}
