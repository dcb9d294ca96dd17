package models

import (
	"context"
	"errors"
	"sync"
	"time"
)

// refusalPatience is how long a refusal waits for the database: whoever was
// refused may be gone by then, and it is told all the same.
const refusalPatience = 10 * time.Second

// refusal is one thing that a stranger tried, and whom it concerns. Where none
// of these is known, it concerns the provider alone.
type refusal struct {
	user       UserID // each history of this account
	token      string // hash; the org whose API token it was
	invitation string // hash; the org that it was to
	edge       string // hash; the gateway whose token it was
	slug       string // the org that was addressed
	org        OrgID  // the one whose member it was
	event      Event
	actor      Actor
	tries      int64
}

// same says whether both are told by the same event.
func (r *refusal) same(other *refusal) bool {
	return r.user == other.user && r.token == other.token && r.invitation == other.invitation && r.edge == other.edge &&
		r.slug == other.slug && r.org == other.org && r.event.Action == other.event.Action && r.event.Object == other.event.Object
}

// waitingMax bounds what waits to be told for one source.
const waitingMax = 32

// refusalQueue is what a source tries while the database is being told of what it
// tried before: a flood is one statement at a time for its source, and holds
// no connection that others wait for.
type refusalQueue struct {
	mu      sync.Mutex
	waiting map[string][]*refusal // a key is there as long as somebody tells
}

// add says whether the caller is to tell; else somebody takes it along.
func (q *refusalQueue) add(source string, r *refusal) (tell bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list, busy := q.waiting[source]
	if !busy {
		if q.waiting == nil {
			q.waiting = map[string][]*refusal{}
		}
		q.waiting[source] = nil
		return true
	}
	for _, w := range list {
		if w.same(r) || len(list) >= waitingMax && w.event.Action == r.event.Action {
			w.tries++
			return false
		}
	}
	q.waiting[source] = append(list, r)
	return false
}

// take returns what waits; with nothing left, the next one tells for itself.
func (q *refusalQueue) take(source string) []*refusal {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.waiting[source]
	if len(list) == 0 {
		delete(q.waiting, source)
		return nil
	}
	q.waiting[source] = nil
	return list
}

// refuse tells the histories that it concerns, or leaves that to whoever is
// telling of the same source.
func (s *System) refuse(ctx context.Context, r refusal) error {
	r.tries = 1
	source, q := SourceNetwork(r.actor.Source), &s.db.refusing
	if !q.add(source, &r) {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	err := s.tell(ctx, &r)
	rest := q.take(source)
	if rest == nil {
		return err
	}
	// Nobody's answer waits for what others of the same address try.
	go func() {
		for ; rest != nil; rest = q.take(source) {
			for _, r := range rest {
				if err := s.tell(ctx, r); err != nil {
					s.db.log.WarnContext(ctx, "refusals could not be told", "action", r.event.Action, "tries", r.tries, "error", err)
				}
			}
		}
	}()
	return err
}

func (s *System) tell(ctx context.Context, r *refusal) error {
	ctx, cancel := context.WithTimeout(ctx, refusalPatience)
	defer cancel()
	return s.db.changing(ctx, scopeValue{all: true}, r.actor, true, func(w *Writer) error {
		tell := func(org OrgID) error { return w.refuseIn(org, r.event, r.tries) }
		if r.user != "" {
			return w.eachHistoryOf(r.user, tell)
		}
		if r.org != "" {
			return tell(r.org)
		}
		org, err := w.concernedBy(r)
		if err != nil {
			return err
		}
		return tell(org)
	})
}

// concernedBy finds the org, and names in the event what is known after all:
// a token that has ended is still somebody's.
func (w *Writer) concernedBy(r *refusal) (OrgID, error) {
	if r.token != "" {
		var t APIToken
		err := absent(w.tx.Take(&t, "token_hash = ?", r.token).Error, "token")
		if !errors.Is(err, ErrNotFound) {
			r.event.Object = t.object()
			return t.OrgID, err
		}
	}
	if r.invitation != "" {
		var i Invitation
		err := absent(w.tx.Take(&i, "token_hash = ?", r.invitation).Error, "invitation")
		if !errors.Is(err, ErrNotFound) {
			r.event.Object = i.object()
			return i.OrgID, err
		}
	}
	if r.edge != "" {
		var e Edges
		err := absent(w.tx.Joins("JOIN edge_tokens t ON t.edge_id = edges.id").Where("t.hash = ?", r.edge).Take(&e).Error, "gateway")
		if !errors.Is(err, ErrNotFound) {
			r.event.Object = e.Object()
			return ProviderOrg, err
		}
	}
	if r.slug != "" {
		var row orgRow
		err := absent(w.tx.Take(&row, "slug = ?", r.slug).Error, "org")
		if !errors.Is(err, ErrNotFound) {
			return OrgID(row.ID), err
		}
	}
	return ProviderOrg, nil
}

// RefuseMember tells an org's history of what one of its own is refused again
// and again, as by a page that tries by itself: the first at once, how many
// more there were when the minute is over.
func (s *System) RefuseMember(ctx context.Context, scope *Scope, e Event) error {
	return s.refuse(ctx, refusal{org: scope.org.ID, actor: scope.actor, event: e})
}

// RefuseStranger tells the provider's history of a refused sign-in to no
// account that there is.
func (s *System) RefuseStranger(ctx context.Context, actor Actor, e Event) error {
	return s.refuse(ctx, refusal{actor: actor, event: e})
}

// RefuseForUser tells each history that has to know of the account.
func (s *System) RefuseForUser(ctx context.Context, user UserID, actor Actor, e Event) error {
	return s.refuse(ctx, refusal{user: user, actor: actor, event: e})
}

// RefuseToken tells of an API token that opens nothing: the org whose it was,
// or the one with the slug, or the provider.
func (s *System) RefuseToken(ctx context.Context, tokenHash, slug string, actor Actor) error {
	return s.refuse(ctx, refusal{token: tokenHash, slug: slug, actor: actor, event: Event{Action: ActionTokenRefused,
		Outcome: OutcomeRefused, Object: Object{Kind: "token", Name: "an unknown token"}}})
}

// RefuseInvitation tells of an invitation that can't be redeemed: the org that
// it was to, or the provider.
func (s *System) RefuseInvitation(ctx context.Context, tokenHash string, actor Actor) error {
	return s.refuse(ctx, refusal{invitation: tokenHash, actor: actor, event: Event{Action: ActionInviteRefused,
		Outcome: OutcomeRefused, Object: Object{Kind: "invitation", Name: "an unknown invitation"}}})
}

// RefuseEdge tells the provider of a token that lets no gateway in: it is over,
// its gateway is disabled, or nobody has it.
func (s *System) RefuseEdge(ctx context.Context, token string, actor Actor) error {
	return s.refuse(ctx, refusal{edge: hashEdgeToken(token), actor: actor, event: Event{Action: ActionEdgeRefused,
		Outcome: OutcomeRefused, Object: Object{Kind: "edge", Name: "an unknown gateway"}}})
}

// RefuseSite tells of a form that another site's page sent: the org whose form
// it is, or the provider. form is the address's pattern, not what was typed.
func (s *System) RefuseSite(ctx context.Context, form, slug string, actor Actor) error {
	return s.refuse(ctx, refusal{slug: slug, actor: actor, event: Event{Action: ActionSiteRefused,
		Outcome: OutcomeRefused, Object: Object{Kind: "page", Name: form}}})
}
