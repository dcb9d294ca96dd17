package audit

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millwright/millwright/models"
)

const (
	// sealEvery is how often the sealer looks for new events.
	sealEvery = 500 * time.Millisecond
	// recent is how far back it looks each time; nearly every event is
	// committed within it.
	recent = time.Minute
	// recheckEvery is how often it looks further back, for transactions that
	// took longer, and recheckBack is how far.
	recheckEvery = 30 * time.Second
	recheckBack  = 2 * time.Hour
	// signEvery is how often checkpoints are made, after a look at everything.
	signEvery = time.Hour
	// sealAtOnce bounds one insert, which on SQLite holds the only writer.
	sealAtOnce = 200
	// indexEvery is how often new blocks of the search index are looked for.
	// What has none is searched all the same, event by event.
	indexEvery = 5 * time.Second
	// indexAtOnce is how many blocks an org gets before the next one's turn.
	indexAtOnce = 20
	// pauseAfterFault is how long the sealer waits when the database fails it.
	pauseAfterFault = 2 * time.Second
)

var zeroTime time.Time // looks at all of the history

// Run seals and signs until ctx ends, on one node at a time.
func (s *Service) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.system.Exclusively(ctx, "audit/seal", s.run)
		if ctx.Err() != nil {
			return
		}
		s.log.WarnContext(ctx, "sealing the history was interrupted", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pauseAfterFault):
		}
	}
}

func (s *Service) run(ctx context.Context) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	beside.Go(func() { s.index(ctx) })
	if s.archiving != nil {
		beside.Go(func() { s.archiveAll(ctx) })
	}
	due := make(chan struct{}, 1)
	beside.Go(func() { s.sign(ctx, due) })
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	var rechecked, signed, told time.Time
	for {
		now := time.Now()
		since := now.Add(-recent)
		switch {
		case now.Sub(signed) >= signEvery:
			since = zeroTime
		case now.Sub(rechecked) >= recheckEvery:
			since, rechecked = now.Add(-recheckBack), now
		}
		if minute := now.Truncate(time.Minute); minute.After(told) {
			if err := s.system.TellRefusals(ctx, now); err != nil {
				return err
			}
			told = minute
		}
		if err := s.sealAll(ctx, since); err != nil {
			return err
		}
		if since.IsZero() {
			signed, rechecked = now, now
			select {
			case due <- struct{}{}:
			default: // it is late, and signs what is there once it comes to it
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// sign makes checkpoints whenever they are due. Every history is verified first,
// which may take minutes, and sealing doesn't wait for it.
func (s *Service) sign(ctx context.Context, due <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-due:
		}
		for {
			err := s.signAll(ctx)
			if err == nil || ctx.Err() != nil {
				break
			}
			s.log.WarnContext(ctx, "signing the histories was interrupted", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(pauseAfterFault):
			}
		}
	}
}

// index keeps what is sealed findable by its words. It has its own pace: a
// history that comes from an older version takes a while, and sealing doesn't
// wait for it.
func (s *Service) index(ctx context.Context) {
	tick := time.NewTicker(indexEvery)
	defer tick.Stop()
	for {
		if err := s.Index(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the history could not be indexed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Index makes every history findable that isn't yet.
func (s *Service) Index(ctx context.Context) error {
	orgs, err := s.system.Histories(ctx)
	if err != nil {
		return err
	}
	for {
		made := 0
		for _, org := range orgs { // in turns
			n, err := s.system.IndexHistory(ctx, org, indexAtOnce)
			if err != nil {
				return err
			}
			made += n
		}
		if made == 0 {
			return nil
		}
	}
}

func (s *Service) sealAll(ctx context.Context, since time.Time) error {
	orgs, err := s.system.UnlinkedOrgs(ctx, since)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		if err := s.seal(ctx, org, since); err != nil {
			return err
		}
	}
	return nil
}

// Seal links all of the org's events that are committed now.
func (s *Service) Seal(ctx context.Context, org models.OrgID) error {
	return s.seal(ctx, org, zeroTime)
}

// seal takes whatever is visible and has no link, however old it is: an event
// whose transaction took long comes late, and none is passed over. It holds no
// lock while it reads and hashes. Two sealers at once do no harm: the second
// finds the sequence taken and looks again.
func (s *Service) seal(ctx context.Context, org models.OrgID, since time.Time) error {
	const tries = 20
	for conflicts := 0; ; {
		var (
			head   models.AuditLink
			events []models.AuditEvent
		)
		err := s.system.Look(ctx, org, func(r *models.Reader) error {
			var err error
			if head, err = r.ChainHead(); err != nil {
				return err
			}
			events, err = r.Unlinked(since, sealAtOnce)
			return err
		})
		if err != nil || len(events) == 0 {
			return err
		}
		err = s.system.AppendLinks(ctx, org, chain(org, head, events))
		if errors.Is(err, models.ErrConflict) && conflicts < tries {
			conflicts++
			continue
		}
		if err != nil {
			return err
		}
		if len(events) < sealAtOnce {
			return nil
		}
	}
}

// chain makes the links that follow the head.
func chain(org models.OrgID, head models.AuditLink, events []models.AuditEvent) []models.AuditLink {
	previous := head.Hash
	if head.Sequence == 0 {
		previous = genesis
	}
	links := make([]models.AuditLink, len(events))
	for i, e := range events {
		sequence := head.Sequence + int64(i) + 1
		links[i] = models.AuditLink{OrgID: org, Sequence: sequence, EventID: e.ID, PreviousHash: previous,
			Hash: Hash(previous, org, sequence, e.ID, e.Body)}
		previous = links[i].Hash
	}
	return links
}

// signAll makes a checkpoint of every history. One that is not whole is told
// to the provider's, and stays without.
func (s *Service) signAll(ctx context.Context) error {
	if !s.Signs() {
		return nil
	}
	orgs, err := s.system.Histories(ctx)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		_, err := s.Checkpoint(ctx, org)
		switch {
		case errors.Is(err, ErrUnsigned):
			s.log.ErrorContext(ctx, "a history is not whole", "org", org, "error", err)
			err = s.system.RecordProvider(ctx, models.SystemActor, models.Event{
				Action: models.ActionHistoryFault, Outcome: models.OutcomeFailed,
				Object: models.Object{Kind: "org", ID: string(org)}, After: map[string]any{"fault": err.Error()},
			})
		case err != nil && ctx.Err() == nil:
			s.log.ErrorContext(ctx, "no checkpoint could be made", "org", org, "error", err)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
