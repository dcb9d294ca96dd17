package models

import (
	"context"
	"errors"
)

// errHasAdmin says that the provider's part in an org's people is over.
var errHasAdmin = Conflict("The org has an administrator by now, who invites people themself.")

// BringAdmin lets an operator invite the administrator of an org that has
// none: the first one, or the next where the last one is gone. Whoever comes
// in by it invites the others; as long as there is one, an org's people are
// its own affair. invite makes the invitation in the same transaction.
func (p *Provider) BringAdmin(ctx context.Context, slug string, invite func(*Writer, Org) (Invitation, error)) (org Org, err error) {
	err = p.change(ctx, func(w *Writer) error {
		var row orgRow
		if err := w.tx.Take(&row, "slug = ?", slug).Error; err != nil {
			return absent(err, "org")
		}
		org = row.org()
		if err := w.adminLacking(org.ID); err != nil {
			return err
		}
		i, err := invite(w, org)
		if err != nil {
			return err
		}
		return w.told(ActionInvite, i.object(), nil, i.toldTo(org))
	})
	return org, err
}

// RenewAdmin sends such an invitation again, by renew in the same transaction;
// the link of the last one opens nothing any more.
func (p *Provider) RenewAdmin(ctx context.Context, id InvitationID, renew func(*Writer, Org) (Invitation, error)) (org Org, err error) {
	err = p.change(ctx, func(w *Writer) error {
		if org, err = w.adminInvitation(id); err != nil {
			return err
		}
		i, err := renew(w, org)
		if err != nil {
			return err
		}
		return w.told(ActionInviteResend, i.object(), nil, i.toldTo(org))
	})
	return org, err
}

// WithdrawAdmin ends such an invitation: it went to a wrong address.
func (p *Provider) WithdrawAdmin(ctx context.Context, id InvitationID) (org Org, err error) {
	err = p.change(ctx, func(w *Writer) error {
		if org, err = w.adminInvitation(id); err != nil {
			return err
		}
		i, err := w.openInvitation(id)
		if err != nil {
			return err
		}
		if err := w.withdraw(i); err != nil {
			return err
		}
		return w.told(ActionInviteEnd, i.object(), i.toldTo(org), nil)
	})
	return org, err
}

func (i Invitation) toldTo(org Org) map[string]any {
	return map[string]any{"org": org.Name, "role": i.Role}
}

// adminInvitation is the org of an open invitation that is the provider's
// affair.
func (w *Writer) adminInvitation(id InvitationID) (Org, error) {
	i, err := w.openInvitation(id)
	if err == nil && i.Role != RoleAdmin {
		err = NotFound("invitation")
	}
	if err != nil {
		return Org{}, err
	}
	if err := w.adminLacking(i.OrgID); err != nil {
		return Org{}, err
	}
	return w.orgByID(i.OrgID)
}

func (r *Reader) orgByID(id OrgID) (Org, error) {
	var row orgRow
	err := absent(r.tx.Take(&row, "id = ?", string(id)).Error, "org")
	return row.org(), err
}

// adminLacking refuses where the org has an active admin.
func (r *Reader) adminLacking(org OrgID) error {
	var admins int64
	err := r.tx.Model(&Member{}).
		Joins("JOIN users ON users.id = members.user_id AND users.disabled_at IS NULL").
		Where("members.org_id = ? AND members.role = ? AND members.disabled_at IS NULL", org, RoleAdmin).
		Count(&admins).Error
	if err == nil && admins > 0 {
		return errHasAdmin
	}
	return err
}

// orgMembersMost is how many people an org's page for operators names: its
// admins, whom one would call, and then the rest by name.
const orgMembersMost = 20

// orgPeople fills in who is in the org, and who is invited to run it.
func (r *Reader) orgPeople(d *OrgDetail) error {
	id := d.Org.ID
	var count int64
	if err := r.tx.Model(&Member{}).Where("org_id = ?", id).Count(&count).Error; err != nil {
		return err
	}
	d.MemberCount = int(count)
	err := r.people().Where("members.org_id = ?", id).
		Order("CASE WHEN members.role = 'admin' THEN 0 ELSE 1 END, users.name, users.id").Limit(orgMembersMost).Find(&d.Members).Error
	if err != nil {
		return err
	}
	err = r.adminLacking(id)
	switch {
	case errors.Is(err, errHasAdmin):
		return nil
	case err != nil:
		return err
	}
	d.AdminLacking = true
	d.Invitations, err = r.invitationRows(r.tx.Where("org_id = ? AND role = ?", id, RoleAdmin))
	return err
}
