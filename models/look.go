package models

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
)

// LookID is a look's.
type LookID string

// Look is one of the provider's people looking into an org: for a reason,
// within one session, for a limited time, with an auditor's rights.
type Look struct {
	ID        LookID `gorm:"primaryKey"`
	OrgID     OrgID
	UserID    UserID
	SessionID SessionID
	Reason    string
	StartedAt time.Time
	ExpiresAt time.Time
	EndedAt   *time.Time
}

// TableName says whose looks they are.
func (Look) TableName() string { return "provider_looks" }

// LookMinutes is how long a look may be asked for.
var LookMinutes = []int{15, 30, 60}

func (l *Look) words() map[string]any {
	return map[string]any{"reason": l.Reason, "look": l.ID, "expires": l.ExpiresAt.Format(time.RFC3339)}
}

// lookGrant is a look that lasts, with its org.
type lookGrant struct {
	Look Look
	Org  Org
}

// lookRow is what the join brings.
type lookRow struct {
	Look
	Slug        string
	OrgName     string
	UserName    string
	SuspendedAt *time.Time
}

// LookRow is a look for people to read.
type LookRow struct {
	Look
	Org      Org
	UserName string
}

func (r *Reader) looks(where string, args ...any) ([]LookRow, error) {
	var rows []lookRow
	err := r.tx.Model(&Look{}).Select("provider_looks.*, orgs.slug, orgs.name AS org_name, orgs.suspended_at, users.name AS user_name").
		Joins("JOIN orgs ON orgs.id = provider_looks.org_id").Joins("JOIN users ON users.id = provider_looks.user_id").
		Where(where, args...).Order("provider_looks.started_at DESC").Limit(200).Find(&rows).Error
	list := make([]LookRow, len(rows))
	for i, row := range rows {
		list[i] = LookRow{Look: row.Look, UserName: row.UserName,
			Org: Org{ID: row.OrgID, Slug: row.Slug, Name: row.OrgName, SuspendedAt: row.SuspendedAt}}
	}
	return list, err
}

// lasting reads the session's looks that have neither ended nor expired.
func (r *Reader) lasting(session SessionID) ([]lookGrant, error) {
	rows, err := r.looks("provider_looks.session_id = ? AND provider_looks.ended_at IS NULL AND provider_looks.expires_at > ?", session, Now())
	list := make([]lookGrant, len(rows))
	for i, row := range rows {
		list[i] = lookGrant{Look: row.Look, Org: row.Org}
	}
	return list, err
}

// looking finds the look that leads into an org, if there is one. Who can't
// look costs no query.
func (s *System) looking(ctx context.Context, who SignedIn, slug string) (grant lookGrant, found bool, err error) {
	if who.Token.ID != "" || who.Session.ID == "" || !who.User.ProviderRole.May(ProviderLook) {
		return grant, false, nil
	}
	list := who.looks
	if who.orgs == nil { // not read with the session
		err = s.reading(ctx, func(r *Reader) error {
			list, err = r.lasting(who.Session.ID)
			return err
		})
	}
	i := slices.IndexFunc(list, func(l lookGrant) bool { return l.Org.Slug == slug && Now().Before(l.Look.ExpiresAt) })
	if err != nil || i < 0 {
		return grant, false, err
	}
	return list[i], true, nil
}

// StartLook opens an org to the session, for a reason and a time. The org's
// own history has it.
func (p *Provider) StartLook(ctx context.Context, slug, reason string, minutes int) (Look, error) {
	reason = strings.TrimSpace(reason)
	faults := map[string]string{}
	if n := utf8.RuneCountInString(reason); n < 5 || n > 500 {
		faults["reason"] = "Say why, in 5 to 500 characters. The org reads it in its history."
	}
	if !slices.Contains(LookMinutes, minutes) {
		faults["minutes"] = "Choose one of the times."
	}
	var look Look
	if !p.Can(ProviderLook) || p.actor.SessionID == "" {
		return look, Forbidden("Your role doesn't include looking into orgs.")
	}
	err := p.db.changing(ctx, scopeValue{all: true}, p.actor, true, func(w *Writer) error {
		var row orgRow
		if err := w.tx.Take(&row, "slug = ?", slug).Error; err != nil {
			return absent(err, "org")
		}
		if len(faults) > 0 {
			return Invalid(faults)
		}
		var member int64
		if err := w.tx.Model(&Member{}).Where("org_id = ? AND user_id = ?", row.ID, p.actor.ID).Count(&member).Error; err != nil {
			return err
		}
		if member > 0 {
			return Conflict("You are a member of this org: it is open to you without a look.")
		}
		if err := w.expireLooks("session_id = ?", p.actor.SessionID); err != nil {
			return err
		}
		now := Now()
		look = Look{ID: NewID[LookID](), OrgID: OrgID(row.ID), UserID: UserID(p.actor.ID), SessionID: p.actor.SessionID,
			Reason: reason, StartedAt: now, ExpiresAt: now.Add(time.Duration(minutes) * time.Minute)}
		if err := w.tx.Create(&look).Error; err != nil {
			if errors.Is(err, gorm.ErrDuplicatedKey) {
				return Conflict("You are looking into this org already. End that look first.")
			}
			return err
		}
		w.touchOf(look.OrgID, "look", string(look.ID))
		return w.toldBoth(look.OrgID, ActionLookStart, row.org().object(), nil, look.words())
	})
	return look, err
}

// EndLook ends the session's look into an org, if it lasts.
func (p *Provider) EndLook(ctx context.Context, slug string) error {
	return p.db.changing(ctx, scopeValue{all: true}, p.actor, true, func(w *Writer) error {
		var look Look
		err := w.tx.Take(&look, "org_id = (?) AND session_id = ? AND ended_at IS NULL",
			w.tx.Model(&orgRow{}).Select("id").Where("slug = ?", slug), p.actor.SessionID).Error
		if err != nil {
			return absent(err, "look")
		}
		var row orgRow
		if err := w.tx.Take(&row, "id = ?", look.OrgID).Error; err != nil {
			return err
		}
		return w.endLook(look, row.org(), ActionLookEnd)
	})
}

// endLook ends a look once; one that another was quicker to end is a conflict.
func (w *Writer) endLook(look Look, org Org, action Action) error {
	done := w.tx.Model(&Look{}).Where("id = ? AND ended_at IS NULL", look.ID).Update("ended_at", Now())
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected == 0 {
		return Conflict("This look has ended already.")
	}
	w.touchOf(look.OrgID, "look", string(look.ID))
	return w.toldBoth(look.OrgID, action, org.object(), look.words(), nil)
}

// expireLooks closes what ran out, or whose session has ended, in the name of
// whoever looked, and tells both histories.
func (w *Writer) expireLooks(where string, args ...any) error {
	var rows []lookRow
	err := w.tx.Model(&Look{}).Select("provider_looks.*, orgs.slug, orgs.name AS org_name, users.name AS user_name").
		Joins("JOIN orgs ON orgs.id = provider_looks.org_id").Joins("JOIN users ON users.id = provider_looks.user_id").
		Where("provider_looks.ended_at IS NULL").
		Where("(provider_looks.expires_at <= ? OR users.disabled_at IS NOT NULL OR NOT EXISTS (?))", Now(),
			w.tx.Model(&Session{}).Select("1").Where("sessions.id = provider_looks.session_id AND sessions.revoked_at IS NULL AND sessions.expires_at > ?", Now())).
		Where(where, args...).Order("provider_looks.id").Limit(100).Find(&rows).Error
	if err != nil {
		return err
	}
	own := w.actor
	defer func() { w.actor = own }()
	for _, row := range rows {
		w.actor = Actor{Kind: ActorUser, ID: string(row.UserID), Name: row.UserName, SessionID: row.SessionID}
		action := ActionLookExpire
		if Now().Before(row.ExpiresAt) { // its session ended before it
			action = ActionLookEnd
		}
		err := w.endLook(row.Look, Org{ID: row.OrgID, Slug: row.Slug, Name: row.OrgName}, action)
		if err != nil && !errors.Is(err, ErrConflict) { // another node may be quicker
			return err
		}
	}
	return nil
}

// SweepLooks closes what ran out. That it ran out is enforced by every query;
// this is for the histories. Any node may call it.
func (s *System) SweepLooks(ctx context.Context) error {
	return s.changing(ctx, func(w *Writer) error {
		return w.expireLooks("1 = 1")
	})
}

// MyLooks lists what the session looks into now.
func (p *Provider) MyLooks(ctx context.Context) (list []LookRow, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		list, err = r.looks("provider_looks.session_id = ? AND provider_looks.ended_at IS NULL AND provider_looks.expires_at > ?", p.actor.SessionID, Now())
		return err
	})
	return list, err
}
