package models

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// AccountRow is an account as operators see it: who it is, and whether it
// opens anything.
type AccountRow struct {
	ID             UserID
	Name           string
	Email          string
	ProviderRole   Role
	Orgs           int // that it is a member of
	CreatedAt      time.Time
	DisabledAt     *time.Time
	DisabledReason string
	LastSignInAt   *time.Time
}

func (a AccountRow) object() Object { return Object{Kind: "user", ID: string(a.ID), Name: a.Name} }

// AccountOrg is one of an account's memberships.
type AccountOrg struct {
	Org        Org
	Role       Role
	DisabledAt *time.Time // the membership
	// OnlyAdmin says that the org has no other active admin.
	OnlyAdmin bool
}

// AccountDetail is an account's page for operators.
type AccountDetail struct {
	AccountRow
	Memberships []AccountOrg
	Sessions    int // that live
	Tokens      int // that open something, unless the account is disabled
}

// AccountFilter narrows the list of accounts.
type AccountFilter struct {
	Search   string // in name or address
	Disabled bool   // those alone
	Page     Paging
}

func (r *Reader) accounts() *gorm.DB {
	return r.tx.Model(&User{}).Select("users.id, users.name, users.email, users.provider_role, users.created_at, users.disabled_at, " +
		"users.disabled_reason, users.last_sign_in_at, (SELECT COUNT(*) FROM members WHERE members.user_id = users.id) AS orgs")
}

// Accounts returns a page of all accounts of the portal, by name.
func (p *Provider) Accounts(ctx context.Context, f AccountFilter) (page Page[AccountRow], err error) {
	err = p.reading(ctx, func(r *Reader) error {
		q := r.accounts()
		if f.Disabled {
			q = q.Where("users.disabled_at IS NOT NULL")
		}
		if f.Search != "" {
			like := likeText(f.Search)
			q = q.Where(`(LOWER(users.name) LIKE ? ESCAPE '\' OR users.email LIKE ? ESCAPE '\')`, like, like)
		}
		page, err = fetchPage(q, f.Page, keyset{table: "users", column: "name"}, find[AccountRow],
			func(a *AccountRow) (string, string) { return a.Name, string(a.ID) })
		return err
	})
	return page, err
}

// Account returns one with what it may enter.
func (p *Provider) Account(ctx context.Context, id UserID) (d AccountDetail, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		if err := absent(r.accounts().Where("users.id = ?", id).Take(&d.AccountRow).Error, "account"); err != nil {
			return err
		}
		var members []Member
		if err := r.tx.Order("org_id").Find(&members, "user_id = ?", id).Error; err != nil {
			return err
		}
		for _, m := range members {
			org, err := r.orgByID(m.OrgID)
			if err != nil {
				return err
			}
			a := AccountOrg{Org: org, Role: m.Role, DisabledAt: m.DisabledAt}
			if m.Role == RoleAdmin && m.DisabledAt == nil {
				others, err := r.otherAdmins(m.OrgID, id)
				if err != nil {
					return err
				}
				a.OnlyAdmin = others == 0
			}
			d.Memberships = append(d.Memberships, a)
		}
		var sessions, tokens int64
		err := r.tx.Model(&Session{}).Where("user_id = ? AND revoked_at IS NULL AND expires_at > ?", id, Now()).Count(&sessions).Error
		if err != nil {
			return err
		}
		err = r.tx.Model(&APIToken{}).Where("user_id = ? AND revoked_at IS NULL AND expires_at > ?", id, Now()).Count(&tokens).Error
		d.Sessions, d.Tokens = int(sessions), int(tokens)
		return err
	})
	return d, err
}

// otherAdmins counts the org's active admins but this one.
func (r *Reader) otherAdmins(org OrgID, user UserID) (n int64, err error) {
	err = r.tx.Model(&Member{}).
		Joins("JOIN users ON users.id = members.user_id AND users.disabled_at IS NULL").
		Where("members.org_id = ? AND members.user_id <> ? AND members.role = ? AND members.disabled_at IS NULL", org, user, RoleAdmin).
		Count(&n).Error
	return n, err
}

// reasonMaxChars bounds why an account is disabled.
const reasonMaxChars = 500

// ErrLastOperator keeps the provider from being locked out by its own people.
var ErrLastOperator = &Error{Code: CodeConflict, Message: "This is the last active operator. Nobody could let them in again."}

// DisableAccount shuts an account out of the whole portal: whatever it has
// open ends, in every org and at the provider, its API tokens are revoked and
// its VPN devices shut out. Memberships stay, for when it is enabled again.
// The reason stays with the provider: it may be about another org.
func (p *Provider) DisableAccount(ctx context.Context, id UserID, reason string) error {
	reason = strings.TrimSpace(reason)
	switch n := utf8.RuneCountInString(reason); {
	case n == 0:
		return Invalid(map[string]string{"reason": "Say why, for the other operators."})
	case n > reasonMaxChars:
		return Invalid(map[string]string{"reason": "Say it in at most 500 characters."})
	}
	return p.changeAccount(ctx, id, func(w *Writer, a AccountRow) error {
		switch {
		case string(id) == p.actor.ID:
			return Conflict("This is your own account. Another operator can disable it.")
		case a.DisabledAt != nil:
			return Conflict(a.Name + " is disabled already.")
		}
		if a.ProviderRole == RoleOperator {
			var others int64
			err := w.tx.Model(&User{}).Where("id <> ? AND provider_role = ? AND disabled_at IS NULL", id, RoleOperator).Count(&others).Error
			if err != nil {
				return err
			}
			if others == 0 {
				return ErrLastOperator
			}
		}
		err := w.tx.Model(&User{}).Where("id = ?", id).Updates(map[string]any{"disabled_at": Now(), "disabled_reason": reason}).Error
		if err != nil {
			return err
		}
		return w.endAccount(id, ActionAccountDisable, a, map[string]any{"disabled": false}, map[string]any{"disabled": true, "reason": reason})
	})
}

// EnableAccount lets the account in again, where it still has a role.
func (p *Provider) EnableAccount(ctx context.Context, id UserID) error {
	return p.changeAccount(ctx, id, func(w *Writer, a AccountRow) error {
		if a.DisabledAt == nil {
			return Conflict(a.Name + " is not disabled.")
		}
		if err := w.tx.Model(&User{}).Where("id = ?", id).Updates(map[string]any{"disabled_at": nil, "disabled_reason": ""}).Error; err != nil {
			return err
		}
		return w.tellAccount(ActionAccountEnable, a, map[string]any{"disabled": true, "reason": a.DisabledReason}, map[string]any{"disabled": false})
	})
}

// changeAccount makes changes of accounts take turns with one another, so that
// of two operators who disable each other one stays.
func (p *Provider) changeAccount(ctx context.Context, id UserID, fn func(w *Writer, a AccountRow) error) error {
	if !p.Can(AccountManage) {
		return Forbidden("Provider auditors read what operators see, and change nothing.")
	}
	return p.change(ctx, func(w *Writer) error {
		var locked []User
		err := w.tx.Clauses(clause.Locking{Strength: "UPDATE"}).Order("id").Find(&locked, "id = ? OR provider_role = ?", id, RoleOperator).Error
		if err != nil {
			return err
		}
		for _, u := range locked { // the operator's own account may have gone meanwhile
			if string(u.ID) == p.actor.ID && (u.DisabledAt != nil || !u.ProviderRole.May(AccountManage)) {
				return Forbidden("You are no operator any more.")
			}
		}
		var a AccountRow
		if err := absent(w.accounts().Where("users.id = ?", id).Take(&a).Error, "account"); err != nil {
			return err
		}
		return fn(w, a)
	})
}

// endAccount ends what the account has, org by org, and tells each.
func (w *Writer) endAccount(id UserID, action Action, a AccountRow, before, after map[string]any) error {
	var members []Member
	if err := w.tx.Order("org_id").Find(&members, "user_id = ?", id).Error; err != nil {
		return err
	}
	for _, m := range members {
		if err := w.endMember(m.OrgID, id); err != nil {
			return err
		}
	}
	if _, err := w.revokeTokens("user_id = ?", id); err != nil { // of orgs that it left
		return err
	}
	if err := w.tx.Where("user_id = ?", id).Delete(&SignInChallenge{}).Error; err != nil {
		return err
	}
	if _, err := w.endSessions("user_id = ?", id); err != nil {
		return err
	}
	return w.tellAccount(action, a, before, after)
}

// tellAccount tells each of the account's orgs, and the provider, who alone
// learns the reason.
func (w *Writer) tellAccount(action Action, a AccountRow, before, after map[string]any) error {
	if err := w.told(action, a.object(), before, after); err != nil {
		return err
	}
	var members []Member
	if err := w.tx.Order("org_id").Find(&members, "user_id = ?", a.ID).Error; err != nil {
		return err
	}
	for _, m := range members {
		w.touchOf(m.OrgID, "member", string(a.ID))
		err := w.recordFor(m.OrgID, Event{Action: action, Outcome: OutcomeSucceeded, Object: a.object(),
			Before: map[string]any{"disabled": before["disabled"]}, After: map[string]any{"disabled": after["disabled"]}})
		if err != nil {
			return err
		}
	}
	return nil
}
