package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

// SecondFactor is a user's time-based code generator. Until ConfirmedAt it is
// only being set up and asked of nobody.
type SecondFactor struct {
	UserID      UserID `gorm:"primaryKey"`
	Secret      []byte // sealed
	LastStep    int64  // the 30-second step of the newest code that was taken
	CreatedAt   time.Time
	ConfirmedAt *time.Time
}

// RecoveryCode takes the place of a code, once. It is stored hashed.
type RecoveryCode struct {
	UserID UserID `gorm:"primaryKey"`
	Hash   string `gorm:"primaryKey"`
	UsedAt *time.Time
}

// SignInChallenge is a sign-in whose password was right and whose code is
// still to come. Its token is stored hashed.
type SignInChallenge struct {
	TokenHash string `gorm:"primaryKey"`
	UserID    UserID
	CreatedAt time.Time
	ExpiresAt time.Time
	SSO       []byte // sealed, for the session to come
}

// Factor is a second factor with its secret open.
type Factor struct {
	Secret       string
	LastStep     int64
	Confirmed    bool
	RecoveryLeft int
	sealed       []byte
}

func factorOwner(user UserID) string { return "second factor of " + string(user) }

// ErrCodeTaken says that a code or recovery code was used before, or never was
// one.
var ErrCodeTaken = &Error{Code: CodeConflict, Message: "This code was used already."}

// BeginFactor stores a fresh secret that is to be confirmed, in place of an
// unconfirmed one.
func (s *System) BeginFactor(ctx context.Context, user UserID, secret string) error {
	return s.changing(ctx, func(w *Writer) error {
		if err := w.tx.Where("user_id = ? AND confirmed_at IS NULL", user).Delete(&SecondFactor{}).Error; err != nil {
			return err
		}
		err := w.tx.Create(&SecondFactor{UserID: user, Secret: s.db.sealSecret(factorOwner(user), secret), CreatedAt: Now()}).Error
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			return Conflict("Your second factor is on already.")
		}
		return err
	})
}

// Factor returns the user's second factor, confirmed or not.
func (s *System) Factor(ctx context.Context, user UserID) (Factor, error) {
	var row SecondFactor
	var left int64
	err := s.reading(ctx, func(r *Reader) error {
		if err := r.tx.Take(&row, "user_id = ?", user).Error; err != nil {
			return absent(err, "second factor")
		}
		return r.tx.Model(&RecoveryCode{}).Where("user_id = ? AND used_at IS NULL", user).Count(&left).Error
	})
	if err != nil {
		return Factor{}, err
	}
	secret, err := s.db.openSecret(factorOwner(user), row.Secret)
	return Factor{
		Secret: secret, LastStep: row.LastStep, Confirmed: row.ConfirmedAt != nil, RecoveryLeft: int(left), sealed: row.Secret,
	}, err
}

// ConfirmFactor turns the factor on: its owner has shown the code of a step.
// The hashes are those of the recovery codes.
func (s *System) ConfirmFactor(ctx context.Context, who SignedIn, f Factor, step int64, recoveryHashes []string) error {
	return s.db.changing(ctx, scopeValue{all: true}, who.Actor, true, func(w *Writer) error {
		done := w.tx.Model(&SecondFactor{}).
			Where("user_id = ? AND confirmed_at IS NULL AND secret = ?", who.User.ID, f.sealed).
			Updates(map[string]any{"confirmed_at": Now(), "last_step": step})
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return Conflict("This was set up in another window meanwhile. Look at your account.")
		}
		codes := make([]RecoveryCode, len(recoveryHashes))
		for i, hash := range recoveryHashes {
			codes[i] = RecoveryCode{UserID: who.User.ID, Hash: hash}
		}
		if err := w.tx.Create(&codes).Error; err != nil {
			return err
		}
		return w.recordForUser(who.User.ID, Event{Action: ActionFactorOn, Outcome: OutcomeSucceeded, Object: who.User.object()})
	})
}

// RemoveFactor turns the factor off.
func (s *System) RemoveFactor(ctx context.Context, who SignedIn) error {
	return s.db.changing(ctx, scopeValue{all: true}, who.Actor, true, func(w *Writer) error {
		if err := w.tx.Where("user_id = ?", who.User.ID).Delete(&RecoveryCode{}).Error; err != nil {
			return err
		}
		done := w.tx.Where("user_id = ?", who.User.ID).Delete(&SecondFactor{})
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return Conflict("Your second factor is off already.")
		}
		return w.recordForUser(who.User.ID, Event{Action: ActionFactorOff, Outcome: OutcomeSucceeded, Object: who.User.object()})
	})
}

// AddChallenge stores that a password was right and a code is to come.
func (s *System) AddChallenge(ctx context.Context, c SignInChallenge) error {
	return s.changing(ctx, func(w *Writer) error { return w.tx.Create(&c).Error })
}

// ChallengedUser returns whose code a challenge waits for. Unknown and expired
// ones, and those of disabled accounts, are all ErrNotFound.
func (s *System) ChallengedUser(ctx context.Context, tokenHash string) (User, error) {
	var u User
	err := s.reading(ctx, func(r *Reader) error {
		return absent(r.tx.Model(&User{}).
			Joins("JOIN sign_in_challenges c ON c.user_id = users.id AND c.token_hash = ? AND c.expires_at > ?", tokenHash, Now()).
			Where("users.disabled_at IS NULL").Take(&u).Error, "sign-in")
	})
	return u, err
}

// ChallengeSSO is what single sign-on left with a challenge, sealed.
func (s *System) ChallengeSSO(ctx context.Context, tokenHash string) ([]byte, error) {
	var c SignInChallenge
	err := s.reading(ctx, func(r *Reader) error {
		return absent(r.tx.Take(&c, "token_hash = ?", tokenHash).Error, "sign-in")
	})
	return c.SSO, err
}

// Proof is what answers a challenge: the step of a right code, or the hash of
// a recovery code.
type Proof struct {
	Step         int64
	RecoveryHash string
}

// AnswerChallenge spends the challenge and the proof and stores the session,
// in one transaction: a code that was taken before, or a challenge that was
// answered, makes no session. Each is decided by one statement.
func (s *System) AnswerChallenge(ctx context.Context, challengeHash string, p Proof, session Session, actor Actor) error {
	return s.db.changing(ctx, scopeValue{all: true}, actor, true, func(w *Writer) error {
		done := w.tx.Where("token_hash = ? AND user_id = ? AND expires_at > ?", challengeHash, session.UserID, Now()).Delete(&SignInChallenge{})
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return NotFound("sign-in")
		}
		if err := w.spend(session.UserID, p); err != nil {
			return err
		}
		factor := "code"
		if p.RecoveryHash != "" {
			factor = "recovery code"
		}
		return w.addSession(session, map[string]any{"second_factor": factor})
	})
}

func (w *Writer) spend(user UserID, p Proof) error {
	if p.RecoveryHash == "" {
		done := w.tx.Model(&SecondFactor{}).
			Where("user_id = ? AND confirmed_at IS NOT NULL AND last_step < ?", user, p.Step).Update("last_step", p.Step)
		if done.Error == nil && done.RowsAffected == 0 {
			return ErrCodeTaken
		}
		return done.Error
	}
	done := w.tx.Model(&RecoveryCode{}).Where("user_id = ? AND hash = ? AND used_at IS NULL", user, p.RecoveryHash).Update("used_at", Now())
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected == 0 {
		return ErrCodeTaken
	}
	return w.recordForUser(user, Event{Action: ActionRecoveryUse, Outcome: OutcomeSucceeded,
		Object: Object{Kind: "user", ID: string(user), Name: w.actor.Name}})
}
