package models

import "context"

// Manager says who keeps a record: the configuration file, which makes and
// updates only what is its own, or the portal, once an operator changed it.
type Manager string

const (
	ManagedByFile   Manager = "file"
	ManagedByPortal Manager = "portal"
)

// change is an operator's only door for writing: it asks for the permission,
// and keeps nothing that isn't recorded.
func (p *Provider) change(ctx context.Context, fn func(w *Writer) error) error {
	if !p.Can(ProviderWrite) {
		return Forbidden("Provider auditors read what operators see, and change nothing.")
	}
	return p.db.changing(ctx, scopeValue{all: true}, p.actor, true, fn)
}

func (p *Provider) reading(ctx context.Context, fn func(r *Reader) error) error {
	return p.db.reading(ctx, scopeValue{all: true}, fn)
}

// Watch subscribes to every org's changes, for the operators' live pages.
func (p *Provider) Watch() (<-chan Change, func()) { return p.db.hub.subscribe("") }

// told records an operator's change in the provider's history.
func (w *Writer) told(action Action, o Object, before, after map[string]any) error {
	return w.recordFor(ProviderOrg, Event{Action: action, Outcome: OutcomeSucceeded, Object: o, Before: before, After: after})
}

// toldBoth records it in the org's own history as well.
func (w *Writer) toldBoth(org OrgID, action Action, o Object, before, after map[string]any) error {
	if err := w.told(action, o, before, after); err != nil {
		return err
	}
	return w.recordFor(org, Event{Action: action, Outcome: OutcomeSucceeded, Object: o, Before: before, After: after})
}

// RecentChanges is what was changed of one of the provider's records, newest
// first: a price's past, for one.
func (p *Provider) RecentChanges(ctx context.Context, id string) (list []AuditEvent, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		return r.tx.Omit("body").Where("org_id = ? AND object_id = ?", ProviderOrg, id).
			Order("id DESC").Limit(30).Find(&list).Error
	})
	return list, err
}
