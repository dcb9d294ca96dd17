package models

import "context"

// Provider is an operator or a provider auditor: reads across orgs.
type Provider struct {
	db    *DB
	role  Role
	actor Actor
}

func (p *Provider) Role() Role               { return p.role }
func (p *Provider) Actor() Actor             { return p.actor }
func (p *Provider) Can(perm Permission) bool { return p.role.May(perm) }

// Provider is the way in for the provider's own people; for everybody else the
// pages don't exist.
func (s *System) Provider(who SignedIn) (*Provider, error) {
	if !who.User.ProviderRole.May(ProviderRead) {
		return nil, NotFound("page")
	}
	return &Provider{db: s.db, role: who.User.ProviderRole, actor: who.Actor}, nil
}

// OrgSummary is an org as the provider sees it: figures, no contents.
type OrgSummary struct {
	Org      Org
	Machines int
	Quotas   []Quota
}

// Overview is the provider's first page.
type Overview struct {
	Clouds      []Cloud
	Orgs        []OrgSummary
	ActiveTasks int
	Events      []AuditEvent // the provider's own history, newest first
}

// Overview reads the health of every cloud, the figures of every org and the
// provider's own latest history.
func (p *Provider) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	err := p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		var err error
		if o.Clouds, err = r.Clouds(); err != nil {
			return err
		}
		var orgs []orgRow
		if err := r.tx.Order("name").Find(&orgs).Error; err != nil {
			return err
		}
		var counts []struct {
			OrgID OrgID
			N     int
		}
		err = r.tx.Model(&Machine{}).Select("org_id, COUNT(*) AS n").Where("state <> 'deleted'").Group("org_id").Find(&counts).Error
		if err != nil {
			return err
		}
		quotas, err := r.Quotas()
		if err != nil {
			return err
		}
		for _, row := range orgs {
			summary := OrgSummary{Org: row.org()}
			for _, c := range counts {
				if c.OrgID == summary.Org.ID {
					summary.Machines = c.N
				}
			}
			for _, q := range quotas {
				if q.OrgID == summary.Org.ID {
					summary.Quotas = append(summary.Quotas, q)
				}
			}
			o.Orgs = append(o.Orgs, summary)
		}
		var active int64
		if err := r.tx.Model(&Task{}).Where("state IN ?", ActiveTaskStates).Count(&active).Error; err != nil {
			return err
		}
		o.ActiveTasks = int(active)
		return r.tx.Omit("body").Where("org_id = ?", ProviderOrg).Order("id DESC").Limit(20).Find(&o.Events).Error
	})
	return o, err
}
