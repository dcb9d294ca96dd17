package models

import (
	"context"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"
)

// User is an account; its rights in an org are its Member rows.
type User struct {
	ID           UserID `gorm:"primaryKey"`
	Email        string // lower case, unique
	Name         string
	PasswordHash string // argon2id, encoded with its parameters
	ProviderRole Role   // "" for tenants
	CreatedAt    time.Time
	DisabledAt   *time.Time
	LastSignInAt *time.Time
}

// NormalEmail is the form in which addresses are stored and compared.
func NormalEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// UserByEmail finds an account for sign-in.
func (s *System) UserByEmail(ctx context.Context, email string) (User, error) {
	var u User
	err := s.reading(ctx, func(r *Reader) error {
		return absent(r.tx.Take(&u, "email = ?", NormalEmail(email)).Error, "account")
	})
	return u, err
}

// PutUser makes an account by its address, or updates name and provider role;
// an existing password stays. Used by configuration; idempotent.
func (s *System) PutUser(ctx context.Context, u User) (User, error) {
	u.Email = NormalEmail(u.Email)
	err := s.changing(ctx, func(w *Writer) error {
		var have User
		err := w.tx.Take(&have, "email = ?", u.Email).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			u.ID, u.CreatedAt = NewID[UserID](), Now()
			if err := w.tx.Create(&u).Error; err != nil {
				return err
			}
			return w.configured(u.object(), nil, u.configuration())
		}
		if err != nil {
			return err
		}
		u.ID, u.CreatedAt, u.PasswordHash = have.ID, have.CreatedAt, have.PasswordHash
		if u.ProviderRole == "" { // named as a member: that takes nothing away
			u.ProviderRole = have.ProviderRole
		}
		if u.Name == have.Name && u.ProviderRole == have.ProviderRole {
			return nil
		}
		err = w.tx.Model(&User{}).Where("id = ?", have.ID).
			Updates(map[string]any{"name": u.Name, "provider_role": u.ProviderRole}).Error
		if err != nil {
			return err
		}
		return w.configured(u.object(), have.configuration(), u.configuration())
	})
	return u, err
}

func (u *User) object() Object { return Object{Kind: "user", ID: string(u.ID), Name: u.Name} }

// configuration is what of an account the configuration decides.
func (u *User) configuration() map[string]any {
	return map[string]any{"email": u.Email, "name": u.Name, "provider_role": u.ProviderRole}
}

// SetPassword stores a new password hash, as whoever runs the portal: every
// session of the account ends, and its API tokens are revoked. A password that
// somebody else has to set is one that may be known to others.
func (s *System) SetPassword(ctx context.Context, id UserID, hash string) error {
	return s.changing(ctx, func(w *Writer) error {
		var u User
		if err := w.tx.Take(&u, "id = ?", id).Error; err != nil {
			return absent(err, "account")
		}
		if err := w.tx.Model(&User{}).Where("id = ?", id).Update("password_hash", hash).Error; err != nil {
			return err
		}
		if err := w.tx.Where("user_id = ?", id).Delete(&SignInChallenge{}).Error; err != nil {
			return err
		}
		var ended PasswordEnded
		var err error
		if ended.Sessions, err = w.endSessions("user_id = ?", id); err != nil {
			return err
		}
		if ended.Tokens, err = w.revokeTokens("user_id = ?", id); err != nil {
			return err
		}
		return w.recordForUser(id, Event{Action: ActionPasswordSet, Outcome: OutcomeSucceeded, Object: u.object(), After: ended.words()})
	})
}
