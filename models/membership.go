package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// ErrLastAdmin keeps an org from being locked out by its own people.
var ErrLastAdmin = &Error{
	Code:    CodeConflict,
	Message: "This is the org's last active admin. Make somebody else an admin first.",
}

// Person is a member as the People page shows one.
type Person struct {
	UserID       UserID
	Name         string
	Email        string
	Role         Role
	SSO          bool // the role comes from single sign-on
	CreatedAt    time.Time
	DisabledAt   *time.Time // in this org
	LastSignInAt *time.Time
	// AccountDisabled says that the account opens nothing anywhere.
	AccountDisabled bool
}

// Active says whether the person can get in.
func (p Person) Active() bool { return p.DisabledAt == nil && !p.AccountDisabled }

func (p Person) object() Object { return Object{Kind: "user", ID: string(p.UserID), Name: p.Name} }

func (r *Reader) people() *gorm.DB {
	return r.tx.Model(&Member{}).
		Select("members.user_id, members.role, members.sso, members.created_at, members.disabled_at, users.name, users.email, " +
			"users.last_sign_in_at, users.disabled_at IS NOT NULL AS account_disabled").
		Joins("JOIN users ON users.id = members.user_id")
}

// PeopleFilter narrows the list of an org's people.
type PeopleFilter struct {
	Search string // in name or address
	Role   Role   // "" for any
	Page   Paging
}

// People returns a page of the org's members, by name.
func (r *Reader) People(f PeopleFilter) (Page[Person], error) {
	q := r.people()
	if f.Role != "" {
		q = q.Where("members.role = ?", f.Role)
	}
	if f.Search != "" {
		like := likeText(f.Search)
		q = q.Where(`(LOWER(users.name) LIKE ? ESCAPE '\' OR users.email LIKE ? ESCAPE '\')`, like, like)
	}
	return fetchPage(q, f.Page, keyset{table: "users", column: "name"}, find[Person], func(p *Person) (string, string) { return p.Name, string(p.UserID) })
}

// Person returns one member of the org.
func (r *Reader) Person(id UserID) (Person, error) {
	var row Person
	return row, absent(r.people().Where("members.user_id = ?", id).Take(&row).Error, "person")
}

// changePeople is the one way in which an org's admin changes memberships. An
// org's own transaction can't: to the database, memberships and sessions are
// the portal's. What is done is confined to the scope's org by hand, and
// changes of one org take turns, so that of two last admins one stays.
func (s *System) changePeople(ctx context.Context, scope *Scope, fn func(w *Writer, org OrgID) error) error {
	if !scope.valid() {
		return ErrNoScope
	}
	if !scope.Can(PeopleManage) {
		return Forbidden("Your role in this org doesn't include this. Ask one of its admins if you need it.")
	}
	return s.db.changing(ctx, scopeValue{all: true}, scope.actor, true, func(w *Writer) error {
		if err := w.lockMembers(scope.org.ID); err != nil {
			return err
		}
		// The admin's own role may have gone while this waited for its turn.
		me, err := w.member(scope.org.ID, UserID(scope.actor.ID))
		if err != nil || !me.Active() || !me.Role.May(PeopleManage) {
			return errors.Join(err, Forbidden("You are no admin of this org any more."))
		}
		return fn(w, scope.org.ID)
	})
}

// lockMembers makes changes of one org's memberships take turns until the
// transaction ends. Orders, which only refer to the org, don't wait.
func (w *Writer) lockMembers(org OrgID) error {
	var row orgRow
	return absent(w.tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Take(&row, "id = ?", org).Error, "org")
}

func (r *Reader) member(org OrgID, user UserID) (Person, error) {
	var row Person
	return row, absent(r.people().Where("members.org_id = ? AND members.user_id = ?", org, user).Take(&row).Error, "person")
}

// keepAnAdmin refuses to take the last active admin's role away. The members
// are locked.
func (w *Writer) keepAnAdmin(org OrgID, p Person) error {
	if p.Role != RoleAdmin || !p.Active() {
		return nil
	}
	others, err := w.otherAdmins(org, p.UserID)
	if err == nil && others == 0 {
		return ErrLastAdmin
	}
	return err
}

// errGivenBySSO says where such a role is changed.
var errGivenBySSO = Conflict("This role comes from single sign-on: change the person's groups there. Here the person can be disabled.")

// SetMemberRole gives a member of the scope's org another role.
func (s *System) SetMemberRole(ctx context.Context, scope *Scope, id UserID, role Role) error {
	if strength[role] == 0 {
		return Invalid(map[string]string{"role": "Choose a role."})
	}
	return s.changePeople(ctx, scope, func(w *Writer, org OrgID) error {
		p, err := w.member(org, id)
		switch {
		case err != nil:
			return err
		case p.SSO:
			return errGivenBySSO
		case p.Role == role:
			return Conflict(p.Name + " has this role already.")
		}
		return w.setRole(org, p, role)
	})
}

// setRole changes a role, ends what only the old one allowed, and tells of it.
func (w *Writer) setRole(org OrgID, p Person, role Role) error {
	if role != RoleAdmin {
		if err := w.keepAnAdmin(org, p); err != nil {
			return err
		}
	}
	if err := w.tx.Model(&Member{}).Where("org_id = ? AND user_id = ?", org, p.UserID).Update("role", role).Error; err != nil {
		return err
	}
	if err := w.endBeyond(org, p.UserID, role); err != nil {
		return err
	}
	w.touchOf(org, "member", string(p.UserID))
	return w.recordFor(org, Event{Action: ActionMemberRole, Outcome: OutcomeSucceeded, Object: p.object(),
		Before: map[string]any{"role": p.Role}, After: map[string]any{"role": role}})
}

// endBeyond ends what somebody has that the role doesn't allow.
func (w *Writer) endBeyond(org OrgID, user UserID, role Role) error {
	if !role.May(VPNUse) {
		if err := w.endDevicesOf(org, user); err != nil {
			return err
		}
	}
	if role.May(PeopleManage) {
		return nil
	}
	return w.endInvitationsOf(org, user)
}

// DisableMember suspends a membership of the scope's org: whatever the person
// has open there ends, their devices are shut out of the VPN, and their API
// tokens for it die.
func (s *System) DisableMember(ctx context.Context, scope *Scope, id UserID) error {
	return s.changePeople(ctx, scope, func(w *Writer, org OrgID) error {
		p, err := w.member(org, id)
		switch {
		case err != nil:
			return err
		case p.DisabledAt != nil:
			return Conflict(p.Name + " is disabled already.")
		}
		if err := w.keepAnAdmin(org, p); err != nil {
			return err
		}
		if err := w.tx.Model(&Member{}).Where("org_id = ? AND user_id = ?", org, id).Update("disabled_at", Now()).Error; err != nil {
			return err
		}
		if err := w.endMember(org, id); err != nil {
			return err
		}
		return w.recordFor(org, Event{Action: ActionMemberDisable, Outcome: OutcomeSucceeded, Object: p.object(),
			Before: map[string]any{"role": p.Role, "disabled": false}, After: map[string]any{"role": p.Role, "disabled": true}})
	})
}

// EnableMember lifts a suspension.
func (s *System) EnableMember(ctx context.Context, scope *Scope, id UserID) error {
	return s.changePeople(ctx, scope, func(w *Writer, org OrgID) error {
		p, err := w.member(org, id)
		switch {
		case err != nil:
			return err
		case p.DisabledAt == nil:
			return Conflict(p.Name + " is not disabled.")
		}
		if err := w.tx.Model(&Member{}).Where("org_id = ? AND user_id = ?", org, id).Update("disabled_at", nil).Error; err != nil {
			return err
		}
		w.touchOf(org, "member", string(id))
		return w.recordFor(org, Event{Action: ActionMemberEnable, Outcome: OutcomeSucceeded, Object: p.object(),
			Before: map[string]any{"role": p.Role, "disabled": true}, After: map[string]any{"role": p.Role, "disabled": false}})
	})
}

// RemoveMember ends a membership of the scope's org. The account stays, and
// so does what it did.
func (s *System) RemoveMember(ctx context.Context, scope *Scope, id UserID) error {
	return s.changePeople(ctx, scope, func(w *Writer, org OrgID) error {
		p, err := w.member(org, id)
		switch {
		case err != nil:
			return err
		case p.SSO:
			return errGivenBySSO
		}
		return w.removeMember(org, p)
	})
}

func (w *Writer) removeMember(org OrgID, p Person) error {
	if err := w.keepAnAdmin(org, p); err != nil {
		return err
	}
	if err := w.tx.Where("org_id = ? AND user_id = ?", org, p.UserID).Delete(&Member{}).Error; err != nil {
		return err
	}
	if err := w.endMember(org, p.UserID); err != nil {
		return err
	}
	return w.recordFor(org, Event{Action: ActionMemberRemove, Outcome: OutcomeSucceeded, Object: p.object(),
		Before: map[string]any{"role": p.Role}})
}

// endMember ends what a person has in an org that they can't enter any more:
// devices in the VPN, API tokens, open invitations that they made, and,
// announced, streams and consoles. Sessions end where they open no org at all.
func (w *Writer) endMember(org OrgID, user UserID) error {
	if err := w.endDevicesOf(org, user); err != nil {
		return err
	}
	if _, err := w.revokeTokens("org_id = ? AND user_id = ?", org, user); err != nil {
		return err
	}
	if err := w.endInvitationsOf(org, user); err != nil {
		return err
	}
	w.touchOf(org, "member", string(user))
	var left int64
	err := w.tx.Model(&User{}).Where("id = ? AND (provider_role <> '' OR EXISTS (SELECT 1 FROM members WHERE members.user_id = users.id AND members.disabled_at IS NULL))", user).
		Count(&left).Error
	if err != nil || left > 0 {
		return err
	}
	_, err = w.endSessions("user_id = ?", user)
	return err
}

// putMember gives a role, unless the org would lose its last admin by it.
func (w *Writer) putMember(org OrgID, user UserID, role Role) error {
	if err := w.lockMembers(org); err != nil {
		return err
	}
	p, err := w.member(org, user)
	known := err == nil
	switch {
	case known && p.Role == role:
		return nil
	case known && role != RoleAdmin:
		if err := w.keepAnAdmin(org, p); err != nil {
			return err
		}
		fallthrough
	case known:
		err = w.tx.Model(&Member{}).Where("org_id = ? AND user_id = ?", org, user).Update("role", role).Error
	case errors.Is(err, ErrNotFound):
		err = w.tx.Create(&Member{OrgID: org, UserID: user, Role: role, CreatedAt: Now()}).Error
	}
	if err != nil {
		return err
	}
	var u User
	if err := w.tx.Select("name").Take(&u, "id = ?", user).Error; err != nil {
		return absent(err, "account")
	}
	o := Object{Kind: "user", ID: string(user), Name: u.Name}
	after := map[string]any{"org": org, "role": role}
	if !known {
		return w.configured(o, nil, after)
	}
	if err := w.endBeyond(org, user, role); err != nil {
		return err
	}
	before := map[string]any{"org": org, "role": p.Role}
	w.touchOf(org, "member", string(user)) // announced: streams and consoles that only the old role allowed
	if err := w.recordFor(org, configuring(o, before, after)); err != nil {
		return err
	}
	return w.configured(o, before, after)
}

// PutMember gives the user a role in the org. Idempotent.
func (s *System) PutMember(ctx context.Context, org OrgID, user UserID, role Role) error {
	return s.changing(ctx, func(w *Writer) error { return w.putMember(org, user, role) })
}

// configuredMember is the role that the configuration gave last.
type configuredMember struct {
	OrgID  OrgID  `gorm:"primaryKey"`
	UserID UserID `gorm:"primaryKey"`
	Role   Role
}

func (configuredMember) TableName() string { return "configured_members" }

// ConfigureMember is PutMember for the configuration, which is applied at
// every start: what it gave once isn't given again, so that no start undoes
// what the org's admins changed since. kept says that the org's last admin
// was to lose the role, and didn't.
func (s *System) ConfigureMember(ctx context.Context, org OrgID, user UserID, role Role) (kept bool, err error) {
	err = s.changing(ctx, func(w *Writer) error {
		var had configuredMember
		err := w.tx.Limit(1).Find(&had, "org_id = ? AND user_id = ?", org, user).Error
		if err != nil || had.Role == role {
			return err
		}
		if err := w.putMember(org, user, role); errors.Is(err, ErrLastAdmin) {
			kept = true
			return nil
		} else if err != nil {
			return err
		}
		if had.Role != "" {
			return w.tx.Model(&configuredMember{}).Where("org_id = ? AND user_id = ?", org, user).Update("role", role).Error
		}
		return w.tx.Create(&configuredMember{OrgID: org, UserID: user, Role: role}).Error
	})
	return kept, err
}
