// Package vsphere is the portal's only way to speak to a vCenter.
//
// There is one Client per cloud. It owns the session (made on first use, kept
// alive, made again when vCenter ended it), the deadline of every call, the
// limits on clones, the caches of inventory references, and the translation of
// vSphere's faults into the short list of codes in errors.go:
//
//	factory, console, catalog
//	         │  FindVM, StartClone, Await, AcquireScreen, …     Watch
//	         ▼                                                    │
//	      Client ── do: session, one retry on NotAuthenticated    │ own session
//	         │                                                    │
//	      caller ── deadline per call, circuit, quiet clean-up ───┤
//	         │                                                    │
//	      transport ── pinned certificate, 64 idle connections ───┘
//	         ▼
//	      vCenter  (SOAP over TLS)
//
// A machine is known by its instance UUID alone. Names and managed object
// references (Ref) are handed out for the next call and never as identity: a
// restored or re-registered VM has others.
//
// What changes something in vCenter is split in two, so that a crash between
// the two halves loses nothing: Start… submits and returns vCenter's own task
// reference, Await follows that reference from any process. Asking for what is
// already so (powered on, big enough, attached to that network) succeeds with
// an empty TaskRef, and awaiting an empty TaskRef returns at once.
//
// The package refuses: a vCenter other than the expected one, before it is
// sent a password; plain HTTP; VM names and ExtraConfig keys outside a fixed
// pattern; destroying a template or anything that is not a virtual machine.
// It knows nothing of orgs, quotas, the database or the web, imports nothing
// of ours, and never puts a password or a console ticket into an error or log.
package vsphere
