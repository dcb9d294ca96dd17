package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

// APIToken lets a program act in one org for its maker. What it may do is
// decided anew at each request: no more than its role and no more than its
// maker may at that moment. The token itself is stored hashed; its id stands
// in the history where a session's would.
type APIToken struct {
	ID         TokenID `gorm:"primaryKey"`
	OrgID      OrgID
	UserID     UserID // its maker
	Name       string
	Role       Role
	TokenHash  string // SHA-256 of the token, hex
	CreatedAt  time.Time
	ExpiresAt  time.Time
	LastUsedAt *time.Time // written once a minute at most
	RevokedAt  *time.Time
}

func (t APIToken) object() Object { return Object{Kind: "token", ID: string(t.ID), Name: t.Name} }

// InsertAPIToken stores a token of the Writer's actor in the Writer's org. A
// token can't make another, nor anybody one that is stronger than they are.
func (w *Writer) InsertAPIToken(t *APIToken) error {
	if w.actor.Kind != ActorUser {
		return Forbidden("Tokens are made on the account page, by whoever is signed in.")
	}
	var maker Member
	if err := w.tx.Take(&maker, "user_id = ? AND disabled_at IS NULL", w.actor.ID).Error; err != nil {
		return absent(err, "org")
	}
	if WeakerRole(t.Role, maker.Role) != t.Role || t.Role == "" {
		return Invalid(map[string]string{"role": "A token can't do more than you can in this org."})
	}
	t.ID, t.OrgID, t.UserID, t.CreatedAt = NewID[TokenID](), maker.OrgID, maker.UserID, Now()
	err := w.tx.Create(t).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return Invalid(map[string]string{"name": "You have a token of this name in this org already."})
	}
	if err != nil {
		return err
	}
	return w.Record(Event{Action: ActionTokenCreate, Outcome: OutcomeSucceeded, Object: t.object(),
		After: map[string]any{"role": t.Role, "expires": t.ExpiresAt.Format(time.RFC3339)}})
}

// APITokenRow is a token on its maker's page.
type APITokenRow struct {
	APIToken
	OrgName string
	// MakerRole is the maker's present role there, "" where there is none.
	MakerRole Role
}

// APITokens lists the user's tokens that were not revoked, newest first.
func (s *System) APITokens(ctx context.Context, user UserID) ([]APITokenRow, error) {
	var rows []APITokenRow
	err := s.reading(ctx, func(r *Reader) error {
		return r.tx.Model(&APIToken{}).
			Select("api_tokens.*, orgs.name AS org_name, COALESCE(members.role, '') AS maker_role").
			Joins("JOIN orgs ON orgs.id = api_tokens.org_id").
			Joins("LEFT JOIN members ON members.org_id = api_tokens.org_id AND members.user_id = api_tokens.user_id AND members.disabled_at IS NULL").
			Where("api_tokens.user_id = ? AND api_tokens.revoked_at IS NULL", user).
			Order("api_tokens.id DESC").Find(&rows).Error
	})
	return rows, err
}

// RevokeAPIToken ends one of the user's own tokens, and tells its org.
func (s *System) RevokeAPIToken(ctx context.Context, who SignedIn, id TokenID) error {
	return s.db.changing(ctx, scopeValue{all: true}, who.Actor, true, func(w *Writer) error {
		var t APIToken
		err := w.tx.Take(&t, "id = ? AND user_id = ? AND revoked_at IS NULL", id, who.User.ID).Error
		if err != nil {
			return absent(err, "token")
		}
		done := w.tx.Model(&APIToken{}).Where("id = ? AND revoked_at IS NULL", id).Update("revoked_at", Now())
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 { // another request was quicker
			return NotFound("token")
		}
		w.touchOf(t.OrgID, "token", string(id))
		return w.recordFor(t.OrgID, Event{Action: ActionTokenRevoke, Outcome: OutcomeSucceeded, Object: t.object()})
	})
}

// revokeTokens ends those that were not revoked yet, and tells each one's org.
func (w *Writer) revokeTokens(where string, args ...any) (int, error) {
	var tokens []APIToken
	if err := w.tx.Where("revoked_at IS NULL").Where(where, args...).Order("id").Find(&tokens).Error; err != nil {
		return 0, err
	}
	for _, t := range tokens {
		if err := w.tx.Model(&APIToken{}).Where("id = ? AND revoked_at IS NULL", t.ID).Update("revoked_at", Now()).Error; err != nil {
			return 0, err
		}
		w.touchOf(t.OrgID, "token", string(t.ID))
		if err := w.recordFor(t.OrgID, Event{Action: ActionTokenRevoke, Outcome: OutcomeSucceeded, Object: t.object()}); err != nil {
			return 0, err
		}
	}
	return len(tokens), nil
}

// tokenRow brings token and maker in one query.
type tokenRow struct {
	APIToken
	UserEmail string
	UserName  string
}

// liveTokens is a query for tokens that count: not revoked, not expired, of an
// account that is not disabled.
func (r *Reader) liveTokens() *gorm.DB {
	return r.tx.Model(&APIToken{}).
		Joins("JOIN users ON users.id = api_tokens.user_id AND users.disabled_at IS NULL").
		Where("api_tokens.revoked_at IS NULL AND api_tokens.expires_at > ?", Now())
}

// SignedInByToken returns whom a token acts for. Expired, revoked and unknown
// ones, and those of disabled accounts, are all ErrNotFound.
func (s *System) SignedInByToken(ctx context.Context, tokenHash string) (SignedIn, error) {
	var (
		row  tokenRow
		orgs []Membership
	)
	err := s.reading(ctx, func(r *Reader) error {
		err := absent(r.liveTokens().Select("api_tokens.*, users.email AS user_email, users.name AS user_name").
			Where("token_hash = ?", tokenHash).Take(&row).Error, "token")
		if err != nil {
			return err
		}
		orgs, err = r.memberships(row.UserID)
		return err
	})
	if err != nil {
		return SignedIn{}, err
	}
	// No provider role: a token belongs to an org and to nothing else.
	user := User{ID: row.UserID, Email: row.UserEmail, Name: row.UserName}
	return SignedIn{User: user, Token: row.APIToken, orgs: orgs, Actor: tokenActor(row.UserID, row.UserName, row.ID)}, nil
}

func tokenActor(maker UserID, name string, id TokenID) Actor {
	return Actor{Kind: ActorToken, ID: string(maker), Name: name, SessionID: SessionID(id)}
}

// SeeToken notes that a token was used, unless that was noted within the time.
func (s *System) SeeToken(ctx context.Context, id TokenID, within time.Duration) error {
	now := Now()
	return s.changing(ctx, func(w *Writer) error {
		return w.tx.Model(&APIToken{}).Where("id = ? AND (last_used_at IS NULL OR last_used_at <= ?)", id, now.Add(-within)).
			Update("last_used_at", now).Error
	})
}

// liveToken is liveMember for a token.
func (r *Reader) liveToken(org OrgID, user UserID, id TokenID) (Actor, Role, error) {
	var row struct {
		Role   Role // the token's
		Member Role
		Name   string
	}
	err := r.liveTokens().Select("api_tokens.role, members.role AS member, users.name").
		Joins("JOIN orgs ON orgs.id = api_tokens.org_id AND orgs.suspended_at IS NULL").
		Joins("JOIN members ON members.org_id = api_tokens.org_id AND members.user_id = api_tokens.user_id AND members.disabled_at IS NULL").
		Where("api_tokens.id = ? AND api_tokens.org_id = ? AND api_tokens.user_id = ?", id, org, user).
		Limit(1).Find(&row).Error
	return tokenActor(user, row.Name, id), WeakerRole(row.Role, row.Member), err
}
