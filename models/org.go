package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

// Org is a tenant.
type Org struct {
	ID          OrgID
	Slug        string // in URLs: ^[a-z][a-z0-9-]{1,30}$
	Name        string
	CreatedAt   time.Time
	SuspendedAt *time.Time // nobody of the org gets in; its machines stay
	ManagedBy   Manager
}

// orgRow is Org as stored. Its key is a plain string: OrgID's clauses would
// ask for an org_id column that this one table doesn't have.
type orgRow struct {
	ID          string `gorm:"primaryKey"`
	Slug        string
	Name        string
	CreatedAt   time.Time
	SuspendedAt *time.Time
	ManagedBy   Manager
}

func (orgRow) TableName() string { return "orgs" }

func (o orgRow) org() Org {
	return Org{ID: OrgID(o.ID), Slug: o.Slug, Name: o.Name, CreatedAt: o.CreatedAt, SuspendedAt: o.SuspendedAt, ManagedBy: o.ManagedBy}
}

// Member is a user's role in an org.
type Member struct {
	OrgID     OrgID  `gorm:"primaryKey"`
	UserID    UserID `gorm:"primaryKey"`
	Role      Role
	CreatedAt time.Time
	// DisabledAt suspends the membership: it opens nothing until an admin of
	// the org lifts that.
	DisabledAt *time.Time
	// SSO says that single sign-on gave the membership, and takes it away again.
	SSO bool
}

// Membership is an org that a user may switch to.
type Membership struct {
	Org  Org
	Role Role
}

// membershipRow is what the joins below bring.
type membershipRow struct {
	Row  orgRow `gorm:"embedded"`
	Role Role
}

// memberships reads the user's orgs, by name, suspended ones too: their pages
// say that they are.
func (r *Reader) memberships(user UserID) ([]Membership, error) {
	var rows []membershipRow
	err := r.tx.Model(&orgRow{}).Select("orgs.*, members.role").
		Joins("JOIN members ON members.org_id = orgs.id AND members.disabled_at IS NULL").
		Where("members.user_id = ?", user).Order("orgs.name").Find(&rows).Error
	list := make([]Membership, len(rows))
	for i, row := range rows {
		list[i] = Membership{Org: row.Row.org(), Role: row.Role}
	}
	return list, err
}

// Memberships lists the user's orgs, by name.
func (s *System) Memberships(ctx context.Context, who SignedIn) (list []Membership, err error) {
	if who.orgs != nil {
		return who.orgs, nil
	}
	err = s.reading(ctx, func(r *Reader) error {
		list, err = r.memberships(who.User.ID)
		return err
	})
	return list, err
}

// Scope is the way into an org: the signed-in user's membership of the org
// that the URL names. All of the user's memberships are read, whatever the URL
// says: an org that doesn't exist and one that isn't the user's are the same
// ErrNotFound at the same cost. A token leads to its own org alone, with no more
// than its maker may do there now. Who is the provider's may be looking into
// the org, as an auditor, until that ends.
func (s *System) Scope(ctx context.Context, who SignedIn, slug string) (*Scope, error) {
	list, err := s.Memberships(ctx, who)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		switch {
		case m.Org.Slug != slug:
		case m.Org.SuspendedAt != nil && (who.Token.ID == "" || m.Org.ID == who.Token.OrgID):
			return nil, suspended(m.Org)
		case who.Token.ID == "":
			return &Scope{db: s.db, org: m.Org, role: m.Role, actor: who.Actor, memberships: list}, nil
		case m.Org.ID == who.Token.OrgID:
			role := WeakerRole(who.Token.Role, m.Role)
			only := []Membership{{Org: m.Org, Role: role}}
			return &Scope{db: s.db, org: m.Org, role: role, maker: m.Role, actor: who.Actor, memberships: only}, nil
		}
	}
	grant, found, err := s.looking(ctx, who, slug)
	if err != nil {
		return nil, err
	}
	if found {
		return &Scope{db: s.db, org: grant.Org, role: RoleAuditor, actor: who.Actor, memberships: list, look: &grant.Look}, nil
	}
	return nil, NotFound("page")
}

// suspended is what a suspended org's people are told, and nobody else.
func suspended(o Org) error {
	return &Error{Code: CodeForbidden, Reason: "org_suspended",
		Message: o.Name + " is suspended by the provider. Its machines stay as they are, and nobody of it can work here until the provider resumes it. Ask the provider why."}
}

// reservedSlug says whether the slug means the provider's own history in
// addresses, and in the names of its exports and segments.
func reservedSlug(slug string) bool { return slug == string(ProviderOrg) }

const slugReserved = "This short name stands for the provider itself. Choose another."

// PutOrg makes an org of the configuration by its slug, or renames it, and sets
// its limits. Idempotent. One that an operator changed stays as it is.
func (s *System) PutOrg(ctx context.Context, slug, name string, limits Limits) (Org, error) {
	if reservedSlug(slug) {
		return Org{}, Invalid(map[string]string{"slug": slugReserved})
	}
	var row orgRow
	err := s.changing(ctx, func(w *Writer) error {
		var before map[string]any
		err := w.tx.Take(&row, "slug = ?", slug).Error
		if err == nil && row.ManagedBy == ManagedByPortal {
			return nil
		}
		if err == nil {
			before = map[string]any{"name": row.Name}
		}
		if errors.Is(err, gorm.ErrRecordNotFound) {
			row = orgRow{ID: string(NewID[OrgID]()), Slug: slug, Name: name, CreatedAt: Now(), ManagedBy: ManagedByFile}
			err = w.tx.Create(&row).Error
		} else if err == nil && row.Name != name {
			row.Name = name
			err = w.tx.Model(&row).Update("name", name).Error
		}
		if err != nil {
			return err
		}
		was, is, err := w.setLimits(OrgID(row.ID), limits)
		if err != nil {
			return err
		}
		if before != nil {
			before["limits"] = was
		}
		return w.configured(Object{Kind: "org", ID: row.ID, Name: name}, before, map[string]any{"name": name, "limits": is})
	})
	return row.org(), err
}

// OrgBySlug finds an org for commands and checks.
func (s *System) OrgBySlug(ctx context.Context, slug string) (Org, error) {
	var row orgRow
	err := s.reading(ctx, func(r *Reader) error { return absent(r.tx.Take(&row, "slug = ?", slug).Error, "org") })
	return row.org(), err
}
