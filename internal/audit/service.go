package audit

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/millwright/millwright/models"
)

// readAtOnce is how many events are read at a time.
const readAtOnce = 1000

// Options is what the service has to be told.
type Options struct {
	// Key signs checkpoints and Outside keeps them. Both or neither: without
	// them the chain stands alone, and its owner could make it anew.
	Key     *Key
	Outside *Outside
	Logger  *slog.Logger
	// Former are the keys that Key has followed: what they have signed counts.
	Former []PublicKey
	// Archiving moves what is old out of the database once a day; nil leaves
	// all of it there.
	Archiving *Archiving
}

// Service seals, signs, exports and verifies.
type Service struct {
	system    *models.System
	key       *Key
	public    PublicKey // its other half, and the former ones'
	outside   *Outside
	log       *slog.Logger
	works     *works
	archiving *Archiving
	die       func(step string) error // for tests

	archiveEvery time.Duration
	young        time.Duration // how long an event may still come late
	signing      *turns        // one checkpoint of an org at a time, so that each stands on the one before
}

// New makes the service.
func New(system *models.System, o Options) *Service {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Service{system: system, key: o.Key, outside: o.Outside, log: o.Logger, archiving: o.Archiving, archiveEvery: archiveEvery, young: late, works: newWorks(), signing: newTurns()}
	if o.Key != nil {
		s.public = o.Key.Public().With(o.Former...)
	}
	return s
}

// Signs says whether checkpoints are made.
func (s *Service) Signs() bool { return s.key != nil && s.outside != nil }

// look is a way to read one org: a member's scope, or the portal's own.
type look func(ctx context.Context, fn func(r *models.Reader) error) error

func (s *Service) own(org models.OrgID) look {
	return func(ctx context.Context, fn func(r *models.Reader) error) error { return s.system.Look(ctx, org, fn) }
}

// known returns the org's checkpoints, from the database and from outside.
func (s *Service) known(ctx context.Context, org models.OrgID, read look) (list []models.AuditCheckpoint, err error) {
	err = read(ctx, func(r *models.Reader) error {
		list, err = r.Checkpoints()
		return err
	})
	if err != nil || s.outside == nil {
		return list, err
	}
	seen := make(map[string]bool, len(list))
	for _, c := range list {
		seen[string(message(c))+c.Signature] = true
	}
	outside, err := s.outside.Of(org)
	for _, c := range outside {
		if !seen[string(message(c))+c.Signature] {
			list = append(list, c)
		}
	}
	return list, err
}

// Verify goes over all of the org's history and tells what it found. The
// history is told that it was verified, and with what result.
func (s *Service) Verify(ctx context.Context, scope *models.Scope) (Report, error) {
	return s.verifyFor(ctx, scope.Org(), scope.Org().ID, scope.Actor(), scope.Read)
}

// VerifyChain is Verify for the provider's own people.
func (s *Service) VerifyChain(ctx context.Context, provider *models.Provider, org models.Org) (Report, error) {
	return s.verifyFor(ctx, org, models.ProviderOrg, provider.Actor(), s.own(org.ID))
}

func (s *Service) verifyFor(ctx context.Context, org models.Org, by models.OrgID, actor models.Actor, read look) (Report, error) {
	leave, err := s.works.enter(by)
	if err != nil {
		return Report{}, err
	}
	defer leave()
	report, err := s.verify(ctx, org.ID, read)
	if err != nil {
		return report, fmt.Errorf("verify the history of %s: %w", org.Slug, err)
	}
	event := models.Event{Action: models.ActionHistoryVerify, Outcome: models.OutcomeSucceeded, Object: object(org),
		After: map[string]any{"sealed": report.Sealed, "signed": report.Signed, "unsealed": report.Unsealed}}
	if report.Fault != nil {
		event.Outcome, event.After["fault"] = models.OutcomeFailed, report.Fault.String()
	}
	return report, s.system.RecordIn(ctx, org.ID, actor, event)
}

func object(org models.Org) models.Object {
	return models.Object{Kind: "org", ID: string(org.ID), Name: org.Name}
}

func (s *Service) verify(ctx context.Context, org models.OrgID, read look) (Report, error) {
	var report Report
	all, err := s.known(ctx, org, read)
	if err != nil {
		return report, err
	}
	w := newWalker(org, nil)
	if s.key != nil {
		archived, ends, err := s.archived(ctx, read)
		if err != nil {
			return report, err
		}
		var ours []models.AuditCheckpoint
		ours, report.OtherKeys, report.Fault = s.public.sift(org, all)
		w = newWalker(org, append(ours, ends...))
		w.archived, report.Archived = archived, archived
	}
	forged := report.Fault
	g := s.newGaps()
	report.Fault, err = s.walkPast(ctx, w, read, watched(g, (*models.Reader).Links, eventOf), func(models.EventID) {})
	if err != nil {
		return report, err
	}
	if report.Fault == nil {
		report.Fault, report.Unsealed, err = s.tail(ctx, w, read, g.spans())
		if err != nil {
			return report, err
		}
	}
	if report.Fault == nil {
		report.Fault = forged
	}
	w.report(&report)
	return report, err
}

// walk follows the chain in the database to its end.
func (s *Service) walk(ctx context.Context, w *walker, read look) (*Fault, error) {
	return s.walkPast(ctx, w, read, (*models.Reader).Links, func(models.EventID) {})
}

// walkPast is walk that tells which events it has passed.
func (s *Service) walkPast(ctx context.Context, w *walker, read look, next nextOf[models.LinkedEvent], passed func(models.EventID)) (*Fault, error) {
	var fault *Fault
	entries := make([]entry, 0, readAtOnce)
	err := ahead(ctx, read, w.sequence, next, sequenceOf, func(rows []models.LinkedEvent) bool {
		entries = entries[:0]
		for _, row := range rows {
			entries = append(entries, entryOf(row))
			passed(row.Link.EventID)
		}
		fault = w.walk(entries)
		return fault == nil
	})
	if err != nil || fault != nil {
		return fault, err
	}
	return w.end(), nil
}

// places hands over the chain behind a sequence, with its events.
func places(ctx context.Context, read look, after int64, fn func([]models.LinkedEvent) bool) error {
	return ahead(ctx, read, after, (*models.Reader).Links, sequenceOf, fn)
}

func sequenceOf(row *models.LinkedEvent) int64 { return row.Link.Sequence }

// nextOf reads the next page behind a place of the chain.
type nextOf[T any] func(r *models.Reader, after int64, limit int) ([]T, error)

// ahead hands over what is behind a sequence, page by page, until fn has
// enough; the next page is read while fn is at work.
func ahead[T any](ctx context.Context, read look, after int64, next nextOf[T], sequence func(*T) int64, fn func([]T) bool) error {
	type page struct {
		rows []T
		err  error
	}
	ctx, stop := context.WithCancel(ctx)
	pages := make(chan page)
	go func() {
		defer close(pages)
		for {
			var p page
			p.err = read(ctx, func(r *models.Reader) (err error) {
				p.rows, err = next(r, after, readAtOnce)
				return err
			})
			more := p.err == nil && len(p.rows) == readAtOnce
			if more {
				after = sequence(&p.rows[len(p.rows)-1])
			}
			select { // whoever takes the page may change it
			case pages <- p:
			case <-ctx.Done():
				return
			}
			if !more {
				return
			}
		}
	}()
	defer func() { // it has let go of the database when this returns
		stop()
		for range pages { // nobody wants them any more
		}
	}()
	for p := range pages {
		if p.err != nil {
			return p.err
		}
		if !fn(p.rows) {
			return nil
		}
	}
	return ctx.Err()
}
