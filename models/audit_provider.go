package models

import "context"

// ProviderHistory is a page of all histories, or of one.
type ProviderHistory struct {
	Page   Page[AuditEvent]
	Orgs   []Org // all that there are, by name
	Sealed map[EventID]bool
	Signed AuditCheckpoint // of the one chain, where one was chosen
	// Archived is its last segment.
	Archived AuditSegment
}

// History returns a page of the events of all orgs and of the provider's own;
// chain narrows it to one org's, or to ProviderOrg's.
func (p *Provider) History(ctx context.Context, chain OrgID, f EventFilter) (ProviderHistory, error) {
	var h ProviderHistory
	err := p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		var rows []orgRow
		if err := r.tx.Order("name").Find(&rows).Error; err != nil {
			return err
		}
		chains := []OrgID{ProviderOrg}
		for _, row := range rows {
			h.Orgs = append(h.Orgs, row.org())
			chains = append(chains, row.org().ID)
		}
		if chain != "" {
			chains = []OrgID{chain}
		}
		var err error
		h.Page, err = pageOfEvents(f.Page, func(cursor EventID, down bool, wanted int) ([]AuditEvent, error) {
			if chain == "" && len(f.terms()) == 0 {
				return r.searchOrg("", f, cursor, down, wanted)
			}
			return r.searchOrgs(chains, f, cursor, down, wanted)
		})
		if err != nil {
			return err
		}
		if h.Sealed, err = r.Sealed(h.Page.Rows); err != nil || chain == "" {
			return err
		}
		if h.Archived, err = r.lastSegmentOf(chain); err != nil {
			return err
		}
		var last []AuditCheckpoint
		if err := r.tx.Where("org_id = ?", chain).Order("sequence DESC, at DESC").Limit(1).Find(&last).Error; err != nil {
			return err
		}
		if len(last) > 0 {
			h.Signed = last[0]
		}
		return nil
	})
	return h, err
}

// searchOrgs takes of each org what a page may have, and of all that the page.
func (r *Reader) searchOrgs(orgs []OrgID, f EventFilter, cursor EventID, down bool, wanted int) ([]AuditEvent, error) {
	all := hunt{down: down, wanted: wanted}
	for _, org := range orgs {
		rows, err := r.searchOrg(org, f, cursor, down, wanted)
		if err != nil {
			return nil, err
		}
		all.keep(rows)
	}
	return all.found, nil
}

// Event returns one event of any history, body included, and its link.
func (p *Provider) Event(ctx context.Context, id EventID) (e AuditEvent, link AuditLink, err error) {
	err = p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		e, link, err = r.EventAndLink(id)
		return err
	})
	return e, link, err
}

// Chain finds the history that a slug names; "provider" is the provider's own.
func (p *Provider) Chain(ctx context.Context, slug string) (Org, error) {
	if slug == string(ProviderOrg) {
		return Org{ID: ProviderOrg, Slug: slug, Name: "Provider"}, nil
	}
	var rows []orgRow
	err := p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		return r.tx.Where("slug = ?", slug).Limit(1).Find(&rows).Error
	})
	if err != nil {
		return Org{}, err
	}
	if len(rows) == 0 {
		return Org{}, NotFound("history")
	}
	return rows[0].org(), nil
}

// ChainName is the name of the org whose history it is.
func (p *Provider) ChainName(ctx context.Context, org OrgID) (string, error) {
	if org == ProviderOrg {
		return "Provider", nil
	}
	var rows []orgRow
	err := p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		return r.tx.Where("id = ?", string(org)).Limit(1).Find(&rows).Error
	})
	if err != nil || len(rows) == 0 {
		return string(org), err
	}
	return rows[0].Name, nil
}

// EventAndLink returns one event, body included, and its place in the chain;
// the link's sequence is 0 where it has none yet.
func (r *Reader) EventAndLink(id EventID) (AuditEvent, AuditLink, error) {
	e, err := r.Event(id)
	if err != nil {
		return e, AuditLink{}, err
	}
	links, err := r.linksOf([]EventID{id})
	return e, links[id], err
}
