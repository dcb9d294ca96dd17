// Package network owns the rules of the network edge: what may be a service, a
// node, a firewall rule, a device; and it turns the records into the desired
// state that gateways pull, and their reports back into records.
//
//	handlers ──▶ Service ──▶ models.Scope.Change    intent, audit and generation together
//	gateway  ◀── Feed    ◀── models.Edge            desired state, by long poll
//	gateway  ──▶ Feed    ──▶ models.Edge            status
//
// It refuses to know HTTP, and it never speaks to a gateway: gateways ask.
package network
