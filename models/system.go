package models

import "context"

// System is background work and whatever happens before anybody is signed in:
// it makes scopes, keeps sessions, feeds the inventory and runs Tasks.
type System struct{ db *DB }

// System returns the way in for background work. main hands it out.
func (db *DB) System() *System { return &System{db: db} }

func (s *System) reading(ctx context.Context, fn func(r *Reader) error) error {
	return s.db.reading(ctx, scopeValue{all: true}, fn)
}

func (s *System) changing(ctx context.Context, fn func(w *Writer) error) error {
	return s.db.changing(ctx, scopeValue{all: true}, SystemActor, false, fn)
}

// Within changes one org's rows from background work, as actor. Statements are
// confined to that org just as a Scope's are.
func (s *System) Within(ctx context.Context, org OrgID, actor Actor, fn func(w *Writer) error) error {
	if org == "" {
		return ErrNoScope
	}
	return s.db.changing(ctx, scopeValue{org: org}, actor, false, fn)
}

// Look reads one org's rows from background work.
func (s *System) Look(ctx context.Context, org OrgID, fn func(r *Reader) error) error {
	if org == "" {
		return ErrNoScope
	}
	return s.db.reading(ctx, scopeValue{org: org}, fn)
}

// RecordProvider adds an event to the provider's own history.
func (s *System) RecordProvider(ctx context.Context, actor Actor, e Event) error {
	return s.db.changing(ctx, scopeValue{all: true}, actor, true, func(w *Writer) error {
		return w.recordFor(ProviderOrg, e)
	})
}

// RecordIn adds an event to an org's history that no change goes with: a
// refusal, a closed console.
func (s *System) RecordIn(ctx context.Context, org OrgID, actor Actor, e Event) error {
	return s.db.changing(ctx, scopeValue{org: org}, actor, true, func(w *Writer) error { return w.Record(e) })
}

// Ready says whether the database answers.
func (s *System) Ready(ctx context.Context) error { return s.db.Ping(ctx) }
