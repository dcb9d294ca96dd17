package models

import (
	"context"
	"fmt"
	"maps"
)

// OrgDetail is an org's page for operators: figures and people, no contents.
type OrgDetail struct {
	OrgSummary
	// Members are the first of its people, admins before others, of
	// MemberCount in all.
	Members     []Person
	MemberCount int
	// AdminLacking says that nobody of the org can run it; Invitations are
	// those that would let somebody.
	AdminLacking bool
	Invitations  []InvitationRow
	Networks     []Network
	Catalogs     []Catalog // that it sees
	Looks        []LookRow // that are under way
}

// Orgs lists every org with its figures, by name.
func (p *Provider) Orgs(ctx context.Context) (list []OrgSummary, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		list, err = r.orgSummaries()
		return err
	})
	return list, err
}

func (r *Reader) orgSummaries() ([]OrgSummary, error) {
	var rows []orgRow
	if err := r.tx.Order("name").Find(&rows).Error; err != nil {
		return nil, err
	}
	var counts []struct {
		OrgID OrgID
		N     int
	}
	err := r.tx.Model(&Machine{}).Select("org_id, COUNT(*) AS n").Where("state <> 'deleted'").Group("org_id").Find(&counts).Error
	if err != nil {
		return nil, err
	}
	machines := make(map[OrgID]int, len(counts))
	for _, c := range counts {
		machines[c.OrgID] = c.N
	}
	all, err := r.Quotas()
	if err != nil {
		return nil, err
	}
	quotas := map[OrgID][]Quota{}
	for _, q := range all {
		quotas[q.OrgID] = append(quotas[q.OrgID], q)
	}
	list := make([]OrgSummary, len(rows))
	for i, row := range rows {
		org := row.org()
		list[i] = OrgSummary{Org: org, Machines: machines[org.ID], Quotas: quotas[org.ID]}
	}
	return list, nil
}

// Org returns one by its slug.
func (p *Provider) Org(ctx context.Context, slug string) (d OrgDetail, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		list, err := r.orgSummaries()
		if err != nil {
			return err
		}
		for _, o := range list {
			if o.Org.Slug == slug {
				d.OrgSummary = o
				return r.orgDetail(&d)
			}
		}
		return NotFound("org")
	})
	return d, err
}

func (r *Reader) orgDetail(d *OrgDetail) error {
	id := d.Org.ID
	if err := r.orgPeople(d); err != nil {
		return err
	}
	if err := r.tx.Order("name").Find(&d.Networks, "org_id = ?", id).Error; err != nil {
		return err
	}
	err := r.tx.Where("public OR id IN (?)", r.tx.Model(&CatalogOrg{}).Select("catalog_id").Where("org_id = ?", id)).
		Order("name").Find(&d.Catalogs).Error
	if err != nil {
		return err
	}
	d.Looks, err = r.looks("provider_looks.org_id = ? AND provider_looks.ended_at IS NULL AND provider_looks.expires_at > ?", id, Now())
	return err
}

// limitMost bounds what an operator can type, far from where sums overflow.
const limitMost = 1 << 40

func (l Limits) faults() map[string]string {
	faults := map[string]string{}
	for res, n := range l {
		if n < 0 || n > limitMost {
			faults["quota_"+string(res)] = "Enter a whole number from 0."
		}
	}
	return faults
}

// AddOrg makes an org with its limits. further, which may be nil, goes on in
// the same transaction: the invitation of its first admin.
func (p *Provider) AddOrg(ctx context.Context, slug, name string, limits Limits, further func(*Writer, Org) error) (Org, error) {
	faults := named(slug, name)
	if reservedSlug(slug) {
		faults["slug"] = slugReserved
	}
	maps.Copy(faults, limits.faults())
	if len(faults) > 0 {
		return Org{}, Invalid(faults)
	}
	var org Org
	err := p.change(ctx, func(w *Writer) error {
		row := orgRow{ID: string(NewID[OrgID]()), Slug: slug, Name: name, CreatedAt: Now(), ManagedBy: ManagedByPortal}
		if err := w.tx.Create(&row).Error; err != nil {
			return duplicate(err, "slug", "Another org has this short name.")
		}
		org = row.org()
		_, is, err := w.setLimits(org.ID, limits)
		if err != nil {
			return err
		}
		if err := w.toldBoth(org.ID, ActionOrgCreate, org.object(), nil, map[string]any{"slug": slug, "name": name, "limits": is}); err != nil {
			return err
		}
		if further == nil {
			return nil
		}
		return further(w, org)
	})
	return org, err
}

func (o Org) object() Object { return Object{Kind: "org", ID: string(o.ID), Name: o.Name} }

// EditOrg changes an org's name and limits. No limit goes below what is used:
// each is set by one conditional update, so that an order at the same moment
// can't slip in between.
func (p *Provider) EditOrg(ctx context.Context, slug, name string, limits Limits) error {
	faults := named(slug, name)
	maps.Copy(faults, limits.faults())
	if len(faults) > 0 {
		return Invalid(faults)
	}
	return p.change(ctx, func(w *Writer) error {
		var row orgRow
		if err := w.tx.Take(&row, "slug = ?", slug).Error; err != nil {
			return absent(err, "org")
		}
		id := OrgID(row.ID)
		was, err := w.lowerLimits(id, limits, faults)
		if err != nil {
			return err
		}
		if len(faults) > 0 {
			return Invalid(faults)
		}
		err = w.tx.Model(&orgRow{}).Where("id = ?", row.ID).Updates(map[string]any{"name": name, "managed_by": ManagedByPortal}).Error
		if err != nil {
			return err
		}
		is := Limits{}
		for _, res := range Resources {
			is[res] = was[res]
			if n, set := limits[res]; set {
				is[res] = n
			}
		}
		w.touchOf(id, "org", row.ID)
		before, after := map[string]any{"name": row.Name, "limits": was}, map[string]any{"name": name, "limits": is}
		return w.toldBoth(id, ActionQuotaChange, Object{Kind: "org", ID: row.ID, Name: name}, before, after)
	})
}

// lowerLimits sets the ceilings in the order in which rows are locked, and
// notes those that are below what is used.
func (w *Writer) lowerLimits(org OrgID, limits Limits, faults map[string]string) (was Limits, err error) {
	was = Limits{}
	for _, res := range Resources {
		var have Quota
		if err := w.tx.Limit(1).Find(&have, "org_id = ? AND resource = ?", org, res).Error; err != nil {
			return nil, err
		}
		was[res] = have.Ceiling
		n, set := limits[res]
		if !set {
			continue
		}
		if have.OrgID == "" {
			if err := w.tx.Create(&Quota{OrgID: org, Resource: res, Ceiling: n}).Error; err != nil {
				return nil, err
			}
			continue
		}
		done := w.tx.Model(&Quota{}).Where("org_id = ? AND resource = ? AND used <= ?", org, res, n).Update("ceiling", n)
		if done.Error != nil {
			return nil, done.Error
		}
		if done.RowsAffected == 0 {
			if err := w.tx.Take(&have, "org_id = ? AND resource = ?", org, res).Error; err != nil {
				return nil, err
			}
			faults["quota_"+string(res)] = fmt.Sprintf("%d %s are used already. The limit can't be below that.", have.Used, resourceNames[res])
		}
	}
	return was, nil
}

// SuspendOrg shuts an org's people out, or lets them in again. Its machines
// and services stay as they are. Open consoles and live pages end, for they ask
// anew; the devices of its VPN are out until it is resumed.
func (p *Provider) SuspendOrg(ctx context.Context, slug string, suspend bool) error {
	return p.change(ctx, func(w *Writer) error {
		var row orgRow
		if err := w.tx.Take(&row, "slug = ?", slug).Error; err != nil {
			return absent(err, "org")
		}
		action, now := ActionOrgResume, any(nil)
		q := w.tx.Model(&orgRow{}).Where("id = ? AND suspended_at IS NOT NULL", row.ID)
		if suspend {
			action, now = ActionOrgSuspend, Now()
			q = w.tx.Model(&orgRow{}).Where("id = ? AND suspended_at IS NULL", row.ID)
		}
		done := q.Update("suspended_at", now)
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return Conflict("Somebody was quicker: this is so already.")
		}
		if _, err := w.networkChanged(OrgID(row.ID)); err != nil { // what the gateway gets is without devices, or with them again
			return err
		}
		w.touchOf(OrgID(row.ID), "org", row.ID)
		return w.toldBoth(OrgID(row.ID), action, row.org().object(),
			map[string]any{"suspended": !suspend}, map[string]any{"suspended": suspend})
	})
}
