package audit

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
)

// Format is what an export is written as.
type Format string

const (
	JSONL Format = "jsonl" // with all that proves it
	CSV   Format = "csv"   // for a spreadsheet; proves nothing
)

// Formats lists them.
var Formats = []Format{JSONL, CSV}

// Export is one that is ready to be streamed.
type Export struct {
	service     *Service
	read        look
	filter      models.EventFilter
	format      Format
	head        header
	checkpoints []models.AuditCheckpoint
	archived    int64 // what is before the next event has no text any more
	leave       func()
}

// Export prepares an export of what the filter lets through: it tells the
// history, seals it, and signs it where it is whole. Where it isn't, the
// export is made all the same, so that the evidence can be carried away. It has
// a place among the works under way until it is closed.
func (s *Service) Export(ctx context.Context, scope *models.Scope, filter models.EventFilter, format Format) (*Export, error) {
	return s.prepare(ctx, scope.Org(), scope.Org().ID, scope.Actor(), scope.Read, filter, format)
}

// ExportChain is Export for the provider's own people.
func (s *Service) ExportChain(ctx context.Context, provider *models.Provider, org models.Org, filter models.EventFilter, format Format) (*Export, error) {
	return s.prepare(ctx, org, models.ProviderOrg, provider.Actor(), s.own(org.ID), filter, format)
}

func (s *Service) prepare(ctx context.Context, org models.Org, by models.OrgID, actor models.Actor, read look, filter models.EventFilter, format Format) (_ *Export, err error) {
	filter.Page = models.Paging{}
	e := &Export{service: s, read: read, filter: filter, format: format, head: header{Export: exportForm, Org: org.ID, Slug: org.Slug, Complete: !filter.Narrows()}}
	if e.leave, err = s.works.enter(by); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	err = s.system.RecordIn(ctx, org.ID, actor, models.Event{Action: models.ActionHistoryExport, Outcome: models.OutcomeAccepted,
		Object: object(org), After: map[string]any{"format": format, "complete": e.head.Complete}})
	if err == nil {
		// What is older has been looked at by the sealer; as far as it is not
		// sealed, it comes at the end of the export.
		err = s.seal(ctx, org.ID, time.Now().Add(-recheckBack))
	}
	if err != nil {
		return nil, fmt.Errorf("prepare the export: %w", err)
	}
	if !e.head.Complete {
		e.head.Note = "Filtered: this is a part of the history, and it cannot prove that nothing is missing."
	}
	if format == JSONL && e.head.Complete && s.Signs() {
		if _, err := s.Checkpoint(ctx, org.ID); errors.Is(err, ErrUnsigned) {
			s.log.ErrorContext(ctx, "a history is not whole", "org", org.ID, "error", err)
			e.head.Note = err.Error()
		} else if err != nil {
			return nil, fmt.Errorf("sign the export: %w", err)
		}
	}
	if e.checkpoints, err = s.known(ctx, org.ID, read); err != nil {
		return nil, fmt.Errorf("prepare the export: %w", err)
	}
	if err := e.behindArchive(ctx); err != nil {
		return nil, fmt.Errorf("prepare the export: %w", err)
	}
	e.head.At = models.Now()
	return e, nil
}

// behindArchive has the export begin where the last segment ends.
func (e *Export) behindArchive(ctx context.Context) error {
	archived, ends, err := e.service.archived(ctx, e.read)
	if err != nil || archived == 0 {
		return err
	}
	public := e.service.public
	i := slices.IndexFunc(e.checkpoints, func(c models.AuditCheckpoint) bool {
		return c.Sequence == archived && c.Hash == ends[len(ends)-1].Hash && public.signed(c)
	})
	if i < 0 { // the database has lost it: the export shows what is left
		return nil
	}
	e.archived = archived
	after := e.checkpoints[i]
	if e.head.Complete {
		e.head.After = &after
		e.checkpoints = slices.DeleteFunc(e.checkpoints, func(c models.AuditCheckpoint) bool { return c.Sequence < archived })
	}
	return nil
}

// FileName says whose it is, of when, and whether it is all.
func (e *Export) FileName() string {
	part := ""
	if !e.head.Complete {
		part = "-partial"
	}
	return fmt.Sprintf("%s-history%s-%s.%s", e.head.Slug, part, e.head.At.Format("20060102-150405"), e.format)
}

// ContentType is its MIME type.
func (e *Export) ContentType() string {
	if e.format == CSV {
		return "text/csv; charset=utf-8"
	}
	return "application/jsonl; charset=utf-8"
}

// Close gives its place to another one. It may be closed twice.
func (e *Export) Close() { e.leave() }

// Stream writes it, a thousand events at a time, and closes it.
func (e *Export) Stream(ctx context.Context, w io.Writer) (err error) {
	defer e.Close()
	switch {
	case e.format == CSV:
		err = e.csv(ctx, w)
	case e.head.Complete:
		err = e.complete(ctx, w)
	default:
		err = e.partial(ctx, w)
	}
	if err != nil {
		return fmt.Errorf("export the history of %s: %w", e.head.Slug, err)
	}
	return nil
}

func (e *Export) complete(ctx context.Context, w io.Writer) error {
	b, err := appendObject(nil, e.head)
	if err != nil {
		return err
	}
	checkpoints := newWalker(e.head.Org, e.checkpoints).checkpoints // by sequence
	foot := footer{Sealed: e.archived}
	g := e.service.newGaps()
	rest, err := e.toEnd(ctx, g, func(passed func(models.EventID)) error {
		var failed error
		err := ahead(ctx, e.read, foot.Sealed, watched(g, (*models.Reader).Bodies, bodyOf), func(row *models.LinkedBody) int64 { return row.Link.Sequence }, func(rows []models.LinkedBody) bool {
			for i := range rows {
				place := entryOfBody(rows[i])
				b = appendEntry(b, &place)
				passed(place.event)
				foot.Sealed = place.sequence
				for len(checkpoints) > 0 && checkpoints[0].Sequence <= place.sequence {
					if b, failed = appendObject(b, checkpointLine{checkpoints[0]}); failed != nil {
						return false
					}
					checkpoints = checkpoints[1:]
				}
			}
			_, failed = w.Write(b)
			b = b[:0]
			return failed == nil
		})
		return errors.Join(err, failed)
	})
	if err != nil {
		return err
	}
	for _, c := range checkpoints { // for events that are no longer there
		if b, err = appendObject(b, checkpointLine{c}); err != nil {
			return err
		}
	}
	for _, event := range rest {
		b = appendUnsealed(b, &entry{event: event.ID, body: event.Body})
	}
	foot.End, foot.Unsealed = true, int64(len(rest))
	return e.finish(w, b, foot)
}

func (e *Export) finish(w io.Writer, b []byte, foot footer) error {
	b, err := appendObject(b, foot)
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

// each hands over what the filter lets through, oldest first; all of it in the
// order of the chain, where there is no filter.
func (e *Export) each(ctx context.Context, fn func([]models.LinkedEvent) error) error {
	if e.head.Complete {
		return e.all(ctx, fn)
	}
	for after := models.EventID(""); ; {
		var rows []models.LinkedEvent
		err := e.read(ctx, func(r *models.Reader) (err error) {
			rows, after, err = r.EventsBehind(e.filter, after, readAtOnce)
			return err
		})
		if err == nil {
			err = fn(rows)
		}
		if err != nil || after == "" {
			return err
		}
	}
}

func (e *Export) all(ctx context.Context, fn func([]models.LinkedEvent) error) error {
	last, g := e.archived, e.service.newGaps()
	events, err := e.toEnd(ctx, g, func(passed func(models.EventID)) error {
		var failed error
		err := ahead(ctx, e.read, last, watched(g, (*models.Reader).ShownLinks, eventOf), sequenceOf, func(rows []models.LinkedEvent) bool {
			for i := range rows {
				passed(rows[i].Link.EventID)
				last = sequenceOf(&rows[i])
			}
			rows = slices.DeleteFunc(rows, func(row models.LinkedEvent) bool { return row.Event == nil })
			failed = fn(rows)
			return failed == nil
		})
		return errors.Join(err, failed)
	})
	if err != nil {
		return err
	}
	rest := make([]models.LinkedEvent, len(events))
	for i := range events {
		rest[i].Event = &events[i]
	}
	return fn(rest)
}

func (e *Export) partial(ctx context.Context, w io.Writer) error {
	b, err := appendObject(nil, e.head)
	if err != nil {
		return err
	}
	var foot footer
	err = e.each(ctx, func(rows []models.LinkedEvent) error {
		for _, row := range rows {
			place := entryOf(row)
			if place.sequence == 0 {
				place.event = row.Event.ID
				b = appendUnsealed(b, &place)
				foot.Unsealed++
				continue
			}
			b = appendEntry(b, &place)
			foot.Sealed++
		}
		_, err := w.Write(b)
		b = b[:0]
		return err
	})
	if err != nil {
		return err
	}
	foot.End = true
	return e.finish(w, b, foot)
}

var csvColumns = []string{"sequence", "time", "actor_kind", "actor", "action", "object_kind", "object", "object_id", "outcome",
	"source", "session", "request", "before", "after", "id", "hash", "export"}

func (e *Export) csv(ctx context.Context, w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true // RFC 4180
	if err := out.Write(csvColumns); err != nil {
		return err
	}
	extent := "complete"
	if !e.head.Complete {
		extent = "partial"
	}
	return e.each(ctx, func(rows []models.LinkedEvent) error {
		for _, row := range rows {
			sequence := ""
			if row.Link.Sequence > 0 {
				sequence = strconv.FormatInt(row.Link.Sequence, 10)
			}
			v := row.Event
			cells := []string{sequence, v.At.UTC().Format(timeLayout), string(v.ActorKind), v.ActorName, string(v.Action), v.ObjectKind, v.ObjectName,
				v.ObjectID, string(v.Outcome), v.Source, string(v.SessionID), v.RequestID, v.Before, v.After, string(v.ID), row.Link.Hash, extent}
			for i := range cells {
				cells[i] = harmless(cells[i])
			}
			if err := out.Write(cells); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	})
}

// harmless keeps a spreadsheet from taking a cell for a formula: names come
// from people, and from guests. An apostrophe in front is the spreadsheets' own
// way of saying that a cell is text. Some look past leading space, and at the
// wide forms of the signs.
func harmless(cell string) string {
	if cell == "" || letterOrDigit(cell[0]) || cell[0] == '{' { // nearly every one
		return cell
	}
	bare := strings.TrimLeft(cell, " \t\r\n\u00a0\ufeff")
	for _, sign := range []string{"=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠"} {
		if strings.HasPrefix(bare, sign) {
			return "'" + cell
		}
	}
	if strings.HasPrefix(cell, "\t") || strings.HasPrefix(cell, "\r") || strings.HasPrefix(cell, "\n") {
		return "'" + cell
	}
	return cell
}

func letterOrDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
