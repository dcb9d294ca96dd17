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
		if o.Orgs, err = r.orgSummaries(); err != nil {
			return err
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
