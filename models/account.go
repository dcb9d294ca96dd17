package models

import (
	"context"
	"time"
)

// LiveSessions lists the user's sessions that still open something, the one
// used last first.
func (s *System) LiveSessions(ctx context.Context, user UserID, idle time.Duration) ([]Session, error) {
	var rows []Session
	now := Now()
	err := s.reading(ctx, func(r *Reader) error {
		return r.tx.Omit("token_hash", "data", "sso").
			Where("user_id = ? AND revoked_at IS NULL AND expires_at > ? AND last_seen_at > ?", user, now, now.Add(-idle)).
			Order("last_seen_at DESC, id").Find(&rows).Error
	})
	return rows, err
}

// RevokeOwnSession ends one of the user's own sessions. Anybody else's is as
// absent as an invented one.
func (s *System) RevokeOwnSession(ctx context.Context, who SignedIn, id SessionID) error {
	return s.db.changing(ctx, scopeValue{all: true}, who.Actor, true, func(w *Writer) error {
		ended, err := w.endSessions("user_id = ? AND id = ?", who.User.ID, id)
		if err != nil {
			return err
		}
		if ended == 0 {
			return NotFound("session")
		}
		return w.recordRevoked(who.User, Object{Kind: "session", ID: string(id), Name: who.User.Name}, ended)
	})
}

// RevokeOtherSessions ends all of the user's sessions but this one, and says
// how many there were.
func (s *System) RevokeOtherSessions(ctx context.Context, who SignedIn) (ended int, err error) {
	err = s.db.changing(ctx, scopeValue{all: true}, who.Actor, false, func(w *Writer) error {
		if ended, err = w.endOthers(who); err != nil || ended == 0 {
			return err
		}
		return w.recordRevoked(who.User, who.User.object(), ended)
	})
	return ended, err
}

// PasswordEnded is what a new password put an end to.
type PasswordEnded struct{ Sessions, Tokens int }

// words say no more than numbers: each org learns of the tokens that were its
// own, by name, from an event of their own.
func (e PasswordEnded) words() map[string]any {
	words := map[string]any{"sessions_ended": e.Sessions}
	if e.Tokens > 0 {
		words["tokens_revoked"] = e.Tokens
	}
	return words
}

// ChangePassword stores a new hash in place of the old one, ends the user's
// other sessions and half-way sign-ins, and tells of it. Where the password
// was changed meanwhile it is a conflict. API tokens stay unless tokensToo:
// programs go on, whoever it was that knew the password.
func (s *System) ChangePassword(ctx context.Context, who SignedIn, oldHash, hash string, tokensToo bool) (ended PasswordEnded, err error) {
	err = s.db.changing(ctx, scopeValue{all: true}, who.Actor, true, func(w *Writer) error {
		done := w.tx.Model(&User{}).Where("id = ? AND password_hash = ?", who.User.ID, oldHash).Update("password_hash", hash)
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return Conflict("Your password was changed a moment ago. Try again with that one.")
		}
		if err := w.tx.Where("user_id = ?", who.User.ID).Delete(&SignInChallenge{}).Error; err != nil {
			return err
		}
		if ended.Sessions, err = w.endOthers(who); err != nil {
			return err
		}
		if tokensToo {
			if ended.Tokens, err = w.revokeTokens("user_id = ?", who.User.ID); err != nil {
				return err
			}
		}
		return w.recordForUser(who.User.ID, Event{Action: ActionPasswordSet, Outcome: OutcomeSucceeded, Object: who.User.object(),
			After: ended.words()})
	})
	return ended, err
}

// PasswordHash is what an account's password is compared with.
func (s *System) PasswordHash(ctx context.Context, user UserID) (string, error) {
	var u User
	err := s.reading(ctx, func(r *Reader) error {
		return absent(r.tx.Take(&u, "id = ? AND disabled_at IS NULL", user).Error, "account")
	})
	return u.PasswordHash, err
}

func (w *Writer) recordRevoked(user User, o Object, ended int) error {
	return w.recordForUser(user.ID, Event{Action: ActionSessionRevoke, Outcome: OutcomeSucceeded, Object: o,
		After: map[string]any{"sessions_ended": ended}})
}

func (w *Writer) endOthers(who SignedIn) (int, error) {
	return w.endSessions("user_id = ? AND id <> ?", who.User.ID, who.Session.ID)
}

// endSessions revokes those that live, and announces each: what they hold open
// closes at once.
func (w *Writer) endSessions(where string, args ...any) (int, error) {
	var live []Session
	err := w.tx.Select("id").Where("revoked_at IS NULL AND expires_at > ?", Now()).Where(where, args...).Find(&live).Error
	if err != nil || len(live) == 0 {
		return 0, err
	}
	ids := make([]SessionID, len(live))
	for i, session := range live {
		ids[i] = session.ID
	}
	done := w.tx.Model(&Session{}).Where("id IN ? AND revoked_at IS NULL", ids).Update("revoked_at", Now())
	if done.Error != nil {
		return 0, done.Error
	}
	for _, id := range ids {
		w.touchOf(ProviderOrg, "session", string(id))
	}
	return int(done.RowsAffected), nil
}
