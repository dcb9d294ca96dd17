package models

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Identity is who an account is at an identity provider. The pair of issuer
// and subject decides, never an address.
type Identity struct {
	Issuer       string `gorm:"primaryKey"`
	Subject      string `gorm:"primaryKey"`
	UserID       UserID
	Email        string // as the provider told it when this was made
	ProviderRole Role   // what single sign-on gave at the provider, to be taken away again
	CreatedAt    time.Time
	LastUsedAt   time.Time
}

// GroupRole gives the members of a group a role: in the org of a slug, or at
// the provider.
type GroupRole struct {
	Group        string
	Org          string
	Role         Role
	ProviderRole Role
}

// SSOPerson is what the identity provider says of somebody.
type SSOPerson struct {
	Issuer, Subject string
	Email           string // "" unless the provider vouches for it
	Name            string
	Groups          []string
}

// The answers to a single sign-on that worked over there and opens nothing
// here.
var (
	ErrSSONoAccess = &Error{Code: CodeForbidden,
		Message: "You were recognised, but that opens nothing here. Ask your administrator for access."}
	ErrSSONoEmail = &Error{Code: CodeForbidden,
		Message: "Single sign-on doesn't vouch for an e-mail address of yours. Ask your administrator to have it verified."}
	ErrSSOOtherAccount = &Error{Code: CodeForbidden,
		Message: "There is an account with your address and a password already. Sign in with that, then connect single sign-on on your account page."}
)

// ssoActor changes memberships for the identity provider.
func ssoActor(a Actor) Actor {
	return Actor{Kind: ActorSystem, Name: "Single sign-on", Source: a.Source, RequestID: a.RequestID}
}

// EnterBySSO finds or makes the account of somebody whom the identity provider
// vouches for, and brings its memberships in line with their groups. from says
// where the request comes from. What the groups don't give any more is taken
// away although the sign-in is refused for it.
func (s *System) EnterBySSO(ctx context.Context, p SSOPerson, groups []GroupRole, from Actor) (user User, err error) {
	for range 3 { // somebody's first two sign-ins at once: the later one finds what the other made
		if user, err = s.enterBySSO(ctx, p, groups, from); !errors.Is(err, gorm.ErrDuplicatedKey) {
			break
		}
	}
	return user, err
}

func (s *System) enterBySSO(ctx context.Context, p SSOPerson, groups []GroupRole, from Actor) (user User, err error) {
	var refused error
	err = s.db.changing(ctx, scopeValue{all: true}, ssoActor(from), false, func(w *Writer) error {
		want, role, err := w.wanted(p, groups)
		if err != nil {
			return err
		}
		var link Identity
		user, link, err = w.identified(p, len(want) > 0 || role != "")
		var e *Error
		if errors.As(err, &e) && e.Code == CodeForbidden {
			refused = e
			return w.ssoRefused(user, p, e)
		}
		if err != nil {
			return err
		}
		if err := w.followGroups(user, want); err != nil {
			return err
		}
		if err := w.followProviderRole(&user, link, role); err != nil {
			return err
		}
		orgs, err := w.memberships(user.ID)
		if err != nil {
			return err
		}
		if len(orgs) == 0 && user.ProviderRole == "" {
			refused = ErrSSONoAccess
			if _, err := w.endSessions("user_id = ?", user.ID); err != nil {
				return err
			}
			return w.ssoRefused(user, p, ErrSSONoAccess)
		}
		return w.tx.Model(&Identity{}).Where("issuer = ? AND subject = ?", p.Issuer, p.Subject).Update("last_used_at", Now()).Error
	})
	if err == nil {
		err = refused
	}
	return user, err
}

// ssoRefused tells of it: in the account's histories, or at the provider.
func (w *Writer) ssoRefused(user User, p SSOPerson, why *Error) error {
	e := Event{Action: ActionSignInRefused, Outcome: OutcomeRefused, Object: user.object(),
		After: map[string]any{"by": "single sign-on", "reason": why.Message}}
	if user.ID != "" {
		return w.recordForUser(user.ID, e)
	}
	e.Object = Object{Kind: "user", Name: cmp.Or(p.Email, "somebody without an account")}
	return w.recordFor(ProviderOrg, e)
}

// wanted is what the person's groups give: the strongest role in each org, and
// at the provider.
func (w *Writer) wanted(p SSOPerson, groups []GroupRole) (map[OrgID]Role, Role, error) {
	bySlug := map[string]Role{}
	var provider Role
	for _, g := range groups {
		switch {
		case !slices.Contains(p.Groups, g.Group):
		case g.ProviderRole == RoleOperator || g.ProviderRole != "" && provider == "":
			provider = g.ProviderRole
		case strength[g.Role] > strength[bySlug[g.Org]]:
			bySlug[g.Org] = g.Role
		}
	}
	want := map[OrgID]Role{}
	if len(bySlug) == 0 {
		return want, provider, nil
	}
	var rows []orgRow
	if err := w.tx.Find(&rows).Error; err != nil {
		return nil, "", err
	}
	for _, row := range rows {
		if role := bySlug[row.Slug]; role != "" {
			want[OrgID(row.ID)] = role
		}
	}
	return want, provider, nil
}

// identified finds the account behind an identity, or makes one: where its
// groups give it anything, and nobody else could claim the address.
func (w *Writer) identified(p SSOPerson, wanted bool) (User, Identity, error) {
	var (
		link Identity
		user User
	)
	err := w.tx.Take(&link, "issuer = ? AND subject = ?", p.Issuer, p.Subject).Error
	if err == nil {
		if err := w.tx.Take(&user, "id = ?", link.UserID).Error; err != nil {
			return user, link, err
		}
		if user.DisabledAt != nil {
			return user, link, ErrSSONoAccess
		}
		return user, link, nil
	}
	if !errors.Is(err, gorm.ErrRecordNotFound) {
		return user, link, err
	}
	switch {
	case !wanted:
		return user, link, ErrSSONoAccess
	case p.Email == "":
		return user, link, ErrSSONoEmail
	}
	link = Identity{Issuer: p.Issuer, Subject: p.Subject, Email: p.Email, CreatedAt: Now(), LastUsedAt: Now()}
	err = w.tx.Take(&user, "email = ?", p.Email).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		user = User{ID: NewID[UserID](), Email: p.Email, Name: p.Name, CreatedAt: Now()}
		if err := w.tx.Create(&user).Error; err != nil {
			return user, link, err
		}
	case err != nil:
		return user, link, err
	case user.DisabledAt != nil:
		return user, link, ErrSSONoAccess
	case user.PasswordHash != "":
		// Somebody may have taken the address before its owner came: only who
		// knows the password can connect the two.
		return user, link, ErrSSOOtherAccount
	}
	link.UserID = user.ID
	return user, link, w.link(user, link)
}

// link stores an identity and tells of it.
func (w *Writer) link(user User, link Identity) error {
	var others int64
	if err := w.tx.Model(&Identity{}).Where("issuer = ? AND user_id = ?", link.Issuer, user.ID).Count(&others).Error; err != nil {
		return err
	}
	if others > 0 {
		return &Error{Code: CodeForbidden, Message: "This account is connected with another person of single sign-on already."}
	}
	if err := w.tx.Create(&link).Error; err != nil {
		return err
	}
	return w.recordForUser(user.ID, Event{Action: ActionAccountLink, Outcome: OutcomeSucceeded, Object: user.object(),
		After: map[string]any{"issuer": link.Issuer, "email": link.Email}})
}

// followGroups gives, changes and takes away what single sign-on decides. What
// an org's admins decided stays: memberships by invitation, and suspensions.
func (w *Writer) followGroups(user User, want map[OrgID]Role) error {
	var have []Member
	if err := w.tx.Find(&have, "user_id = ?", user.ID).Error; err != nil {
		return err
	}
	orgs := make([]OrgID, 0, len(want)+len(have))
	for org := range want {
		orgs = append(orgs, org)
	}
	for _, m := range have {
		orgs = append(orgs, m.OrgID)
	}
	slices.Sort(orgs) // always in one order, so that two sign-ins can't wait for each other
	for _, org := range slices.Compact(orgs) {
		if err := w.lockMembers(org); err != nil {
			return err
		}
		if err := w.followGroup(org, user, want[org]); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) followGroup(org OrgID, user User, role Role) error {
	p, err := w.member(org, user.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		if role == "" {
			return nil
		}
		if err := w.tx.Create(&Member{OrgID: org, UserID: user.ID, Role: role, CreatedAt: Now(), SSO: true}).Error; err != nil {
			return err
		}
		w.touchOf(org, "member", string(user.ID))
		return w.recordFor(org, Event{Action: ActionMemberJoin, Outcome: OutcomeSucceeded, Object: user.object(),
			After: map[string]any{"role": role, "by": "single sign-on", "email": user.Email}})
	case err != nil:
		return err
	case !p.SSO || p.Role == role:
		return nil
	case role == "":
		err = w.removeMember(org, p)
	default:
		err = w.setRole(org, p, role)
	}
	if errors.Is(err, ErrLastAdmin) { // the org keeps its admin; its history says why
		return w.recordFor(org, Event{Action: ActionMemberRole, Outcome: OutcomeRefused, Object: p.object(),
			Before: map[string]any{"role": p.Role}, After: map[string]any{"reason": ErrLastAdmin.Message, "by": "single sign-on"}})
	}
	return err
}

// followProviderRole does the same for the provider's own roles. One that the
// configuration gave stays.
func (w *Writer) followProviderRole(user *User, link Identity, role Role) error {
	if user.ProviderRole != link.ProviderRole || user.ProviderRole == role {
		return nil
	}
	if err := w.tx.Model(&User{}).Where("id = ?", user.ID).Update("provider_role", role).Error; err != nil {
		return err
	}
	if err := w.tx.Model(&Identity{}).Where("issuer = ? AND subject = ?", link.Issuer, link.Subject).Update("provider_role", role).Error; err != nil {
		return err
	}
	before := user.ProviderRole
	user.ProviderRole = role
	w.touchOf(ProviderOrg, "user", string(user.ID))
	return w.recordFor(ProviderOrg, Event{Action: ActionMemberRole, Outcome: OutcomeSucceeded, Object: user.object(),
		Before: map[string]any{"provider_role": before}, After: map[string]any{"provider_role": role, "by": "single sign-on"}})
}

// ConnectIdentity links an identity to the account of whoever is signed in.
func (s *System) ConnectIdentity(ctx context.Context, who SignedIn, p SSOPerson) error {
	return s.db.changing(ctx, scopeValue{all: true}, who.Actor, true, func(w *Writer) error {
		err := w.link(who.User, Identity{Issuer: p.Issuer, Subject: p.Subject, UserID: who.User.ID, Email: p.Email, CreatedAt: Now(), LastUsedAt: Now()})
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			return Conflict("Another account is connected with you already.")
		}
		return err
	})
}

// Identity returns who the account is at the issuer.
func (s *System) Identity(ctx context.Context, user UserID, issuer string) (Identity, error) {
	var link Identity
	err := s.reading(ctx, func(r *Reader) error {
		return absent(r.tx.Take(&link, "issuer = ? AND user_id = ?", issuer, user).Error, "identity")
	})
	return link, err
}

// SealSSO closes what signing out at the identity provider needs, for a row
// that owner names.
func (s *System) SealSSO(owner, idToken string) []byte {
	return s.db.sealSecret("sso of "+owner, idToken)
}

// OpenSSO is its reverse; "" where there is nothing.
func (s *System) OpenSSO(owner string, sealed []byte) (string, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	return s.db.openSecret("sso of "+owner, sealed)
}
