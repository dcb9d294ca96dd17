package models

import "context"

// Machine returns a machine of any org.
func (p *Provider) Machine(ctx context.Context, id MachineID) (Machine, error) {
	var m Machine
	err := p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		return absent(r.tx.Take(&m, "id = ? AND state <> 'deleted'", id).Error, "machine")
	})
	return m, err
}

// RecordVMRC tells the machine's org and the provider's own history that an
// operator got a way to it beside the portal.
func (p *Provider) RecordVMRC(ctx context.Context, m Machine) error {
	if !p.Can(ProviderWrite) {
		return Forbidden("Only operators open machines by VMRC.")
	}
	return p.db.changing(ctx, scopeValue{all: true}, p.actor, true, func(w *Writer) error {
		e := Event{Action: ActionConsoleVMRC, Object: m.Object(), Outcome: OutcomeSucceeded}
		if err := w.recordFor(m.OrgID, e); err != nil {
			return err
		}
		return w.recordFor(ProviderOrg, e)
	})
}
