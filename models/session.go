package models

import (
	"context"
	"time"
)

// Session is a signed-in browser. Token is stored hashed; ID is what the
// history may name.
type Session struct {
	ID         SessionID `gorm:"primaryKey"`
	TokenHash  string    // SHA-256 of the cookie's token, hex
	UserID     UserID
	Data       string // the cookie store's values, encoded
	Source     string
	UserAgent  string
	CreatedAt  time.Time
	LastSeenAt time.Time
	ExpiresAt  time.Time // absolute; idle time is checked against LastSeenAt
	RevokedAt  *time.Time
	SSO        []byte // sealed; only of one that single sign-on began
}

// SignedIn is who sits behind a request: a session, or a token and no session.
type SignedIn struct {
	User    User
	Session Session
	Token   APIToken
	Actor   Actor // as the history will tell it, with source and request id

	// orgs are the user's memberships as of the same transaction, so that the
	// way into an org costs no further one. Nil: not read yet.
	orgs []Membership
	// looks are the session's looks into orgs, read with orgs.
	looks []lookGrant
}

// AddSession stores a fresh session and, in the same transaction, tells of the
// sign-in in each of the user's orgs (or the provider's history).
func (s *System) AddSession(ctx context.Context, session Session, actor Actor) error {
	return s.db.changing(ctx, scopeValue{all: true}, actor, false, func(w *Writer) error {
		return w.addSession(session, nil)
	})
}

func (w *Writer) addSession(session Session, after map[string]any) error {
	if err := w.tx.Create(&session).Error; err != nil {
		return err
	}
	if err := w.tx.Model(&User{}).Where("id = ?", session.UserID).Update("last_sign_in_at", session.CreatedAt).Error; err != nil {
		return err
	}
	return w.recordForUser(session.UserID, Event{
		Action: ActionSignIn, Outcome: OutcomeSucceeded,
		Object: Object{Kind: "session", ID: string(session.ID), Name: w.actor.Name}, After: after,
	})
}

// recordForUser tells of something in every org of the user; one without an
// org, and everyone at the provider, appears in the provider's history.
func (w *Writer) recordForUser(user UserID, e Event) error {
	return w.eachHistoryOf(user, func(org OrgID) error { return w.recordFor(org, e) })
}

// eachHistoryOf goes over the histories that an account's sign-ins are told
// in: its orgs', and the provider's where it is the provider's or has no org.
func (w *Writer) eachHistoryOf(user UserID, tell func(org OrgID) error) error {
	var members []Member
	if err := w.tx.Order("org_id").Find(&members, "user_id = ?", user).Error; err != nil {
		return err
	}
	for _, m := range members {
		if err := tell(m.OrgID); err != nil {
			return err
		}
	}
	var provider int64
	if err := w.tx.Model(&User{}).Where("id = ? AND provider_role <> ''", user).Count(&provider).Error; err != nil {
		return err
	}
	if len(members) == 0 || provider > 0 {
		return tell(ProviderOrg)
	}
	return nil
}

// RecordForUser tells what was refused to somebody who is signed in: each
// time, for it is one known account.
func (s *System) RecordForUser(ctx context.Context, user UserID, actor Actor, e Event) error {
	return s.db.changing(ctx, scopeValue{all: true}, actor, true, func(w *Writer) error {
		return w.recordForUser(user, e)
	})
}

// sessionRow brings session and user in one query.
type sessionRow struct {
	Session
	UserEmail    string
	UserName     string
	ProviderRole Role
}

// SessionByToken returns the live session and its user. Expired, idle, revoked
// and unknown ones, and those of disabled accounts, are all ErrNotFound.
func (s *System) SessionByToken(ctx context.Context, tokenHash string, idle time.Duration) (SignedIn, error) {
	var (
		row   sessionRow
		orgs  []Membership
		looks []lookGrant
	)
	now := Now()
	err := s.reading(ctx, func(r *Reader) error {
		err := absent(r.tx.Model(&Session{}).
			Select("sessions.*, users.email AS user_email, users.name AS user_name, users.provider_role").
			Joins("JOIN users ON users.id = sessions.user_id AND users.disabled_at IS NULL").
			Where("token_hash = ? AND revoked_at IS NULL AND expires_at > ? AND last_seen_at > ?", tokenHash, now, now.Add(-idle)).
			Take(&row).Error, "session")
		if err != nil {
			return err
		}
		if orgs, err = r.memberships(row.UserID); err != nil || !row.ProviderRole.May(ProviderLook) {
			return err
		}
		looks, err = r.lasting(row.ID)
		return err
	})
	if err != nil {
		return SignedIn{}, err
	}
	user := User{ID: row.UserID, Email: row.UserEmail, Name: row.UserName, ProviderRole: row.ProviderRole}
	return SignedIn{User: user, Session: row.Session, orgs: orgs, looks: looks, Actor: Actor{
		Kind: ActorUser, ID: string(user.ID), Name: user.Name, SessionID: row.ID,
	}}, nil
}

// SaveSession updates a live session's data and last-seen time. It never makes
// one: a revoked session stays dead, whatever a late response tries to save.
func (s *System) SaveSession(ctx context.Context, id SessionID, data string) error {
	return s.changing(ctx, func(w *Writer) error {
		return w.tx.Model(&Session{}).Where("id = ? AND revoked_at IS NULL", id).
			Updates(map[string]any{"data": data, "last_seen_at": Now()}).Error
	})
}

// RevokeSession ends a session, and tells of the sign-out.
func (s *System) RevokeSession(ctx context.Context, who SignedIn) error {
	return s.db.changing(ctx, scopeValue{all: true}, who.Actor, false, func(w *Writer) error {
		done := w.tx.Model(&Session{}).Where("id = ? AND revoked_at IS NULL", who.Session.ID).Update("revoked_at", Now())
		if done.Error != nil || done.RowsAffected == 0 {
			return done.Error
		}
		w.touchOf(ProviderOrg, "session", string(who.Session.ID))
		return w.recordForUser(who.User.ID, Event{
			Action: ActionSignOut, Outcome: OutcomeSucceeded,
			Object: Object{Kind: "session", ID: string(who.Session.ID), Name: who.User.Name},
		})
	})
}

// SweepSessions removes what ended more than the given time ago.
func (s *System) SweepSessions(ctx context.Context, olderThan time.Duration) error {
	before := Now().Add(-olderThan)
	return s.changing(ctx, func(w *Writer) error {
		if err := w.tx.Where("expires_at < ? OR revoked_at < ?", before, before).Delete(&Session{}).Error; err != nil {
			return err
		}
		if err := w.tx.Where("expires_at < ?", before).Delete(&SignInChallenge{}).Error; err != nil {
			return err
		}
		return w.tx.Where("window_end < ?", before).Delete(&Throttle{}).Error
	})
}
