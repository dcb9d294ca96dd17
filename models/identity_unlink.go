package models

import (
	"context"
	"errors"
)

// The answers to a disconnection that would leave an account without a way in.
var (
	errSSOAlone = Conflict("This account has no password here: single sign-on is its only way in.")
	errSSOGives = Conflict("Everything that this account opens comes from single sign-on. Ask an administrator of an org to invite you first.")
)

// SSOGiven is what an account has by single sign-on alone, and would lose with
// it.
type SSOGiven struct {
	Orgs         []string // their names
	ProviderRole Role
	// Nothing else opens anything: it can't be disconnected.
	All bool
}

// SSOGiven reads it for a connected account.
func (s *System) SSOGiven(ctx context.Context, user User, link Identity) (g SSOGiven, err error) {
	err = s.reading(ctx, func(r *Reader) error {
		g, _, err = r.ssoGiven(user, link)
		return err
	})
	return g, err
}

func (r *Reader) ssoGiven(user User, link Identity) (g SSOGiven, orgs []OrgID, err error) {
	var members []struct {
		OrgID    OrgID
		Name     string
		SSO      bool
		Disabled bool
	}
	err = r.tx.Model(&Member{}).Select("members.org_id, orgs.name, members.sso, members.disabled_at IS NOT NULL AS disabled").
		Joins("JOIN orgs ON orgs.id = members.org_id").Where("members.user_id = ?", user.ID).
		Order("members.org_id").Find(&members).Error // in the order in which orgs are locked
	if err != nil {
		return g, nil, err
	}
	g.All = true
	for _, m := range members {
		if m.SSO {
			g.Orgs, orgs = append(g.Orgs, m.Name), append(orgs, m.OrgID)
		} else if !m.Disabled {
			g.All = false
		}
	}
	switch user.ProviderRole {
	case "":
	case link.ProviderRole:
		g.ProviderRole = link.ProviderRole
	default:
		g.All = false
	}
	return g, orgs, nil
}

// DisconnectIdentity ends the connection of an account with the issuer, and
// what single sign-on alone gave it: nobody over there could take that away
// any more. The account's other sessions end, for one of them may be the other
// person's. It says how many those were.
func (s *System) DisconnectIdentity(ctx context.Context, who SignedIn, issuer string) (ended int, err error) {
	err = s.db.changing(ctx, scopeValue{all: true}, who.Actor, true, func(w *Writer) error {
		var user User
		if err := w.tx.Take(&user, "id = ? AND disabled_at IS NULL", who.User.ID).Error; err != nil {
			return absent(err, "account")
		}
		var link Identity
		if err := w.tx.Take(&link, "issuer = ? AND user_id = ?", issuer, user.ID).Error; err != nil {
			return absent(err, "connection")
		}
		given, orgs, err := w.ssoGiven(user, link)
		switch {
		case err != nil:
			return err
		case user.PasswordHash == "":
			return errSSOAlone
		case given.All:
			return errSSOGives
		}
		err = w.recordForUser(user.ID, Event{Action: ActionAccountUnlink, Outcome: OutcomeSucceeded, Object: user.object(),
			Before: map[string]any{"issuer": link.Issuer, "email": link.Email}, After: map[string]any{"orgs_left": given.Orgs}})
		if err != nil {
			return err
		}
		for _, org := range orgs {
			if err := w.leaveWithSSO(org, user); err != nil {
				return err
			}
		}
		if given.ProviderRole != "" {
			if err := w.followProviderRole(&user, link, ""); err != nil {
				return err
			}
		}
		if err := w.tx.Where("issuer = ? AND subject = ?", link.Issuer, link.Subject).Delete(&Identity{}).Error; err != nil {
			return err
		}
		ended, err = w.endOthers(who)
		return err
	})
	return ended, err
}

// leaveWithSSO ends a membership that single sign-on gave.
func (w *Writer) leaveWithSSO(org OrgID, user User) error {
	if err := w.lockMembers(org); err != nil {
		return err
	}
	p, err := w.member(org, user.ID)
	if errors.Is(err, ErrNotFound) || err == nil && !p.SSO { // changed while this waited
		return nil
	}
	if err != nil {
		return err
	}
	return w.removeMember(org, p)
}
