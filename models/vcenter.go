package models

import (
	"context"
	"time"
)

// Certificate is what a vCenter shows before anybody signs in, for an operator
// to compare and confirm.
type Certificate struct {
	SHA256    string // AB:CD:…
	Subject   string
	Issuer    string
	NotBefore time.Time
	NotAfter  time.Time
	Trusted   bool // the system's roots vouch for it
}

// VCenter is who answered when a connection was tested.
type VCenter struct {
	InstanceUUID string
	Name         string
	Version      string
	Hosts        int // that the portal could use there
}

// TellTest records that an operator had the portal connect somewhere: it went
// out into the network in their name, whatever came of it.
func (p *Provider) TellTest(ctx context.Context, url string, cause error) error {
	if !p.Can(ProviderWrite) {
		return Forbidden("Provider auditors read what operators see, and change nothing.")
	}
	e := Event{Action: ActionCloudTest, Outcome: OutcomeSucceeded, Object: Object{Kind: "cloud", Name: url}}
	if cause != nil {
		e.Outcome, e.After = OutcomeFailed, map[string]any{"why": FieldsOf(cause)}
	}
	return p.db.changing(ctx, scopeValue{all: true}, p.actor, true, func(w *Writer) error { return w.recordFor(ProviderOrg, e) })
}
