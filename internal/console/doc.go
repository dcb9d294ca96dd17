// Package console carries a machine's screen from its hypervisor to a browser.
//
//	page ──POST ticket──▶ Issue ──▶ database (hash, 30 s, one use)
//	  │                                 ▲
//	  └─wss /console────▶ Serve ────────┘ redeem: one statement, on any node
//	     binary,            │
//	     ticket.<…>         ├─ Screens.AcquireScreen ──▶ vCenter: one-time ticket
//	                        └─ wss, pinned certificate ─▶ hypervisor
//
// It owns the tickets, the sockets that are open on this node, and how each of
// them ends: the close codes of ending.go are all that a page is ever told. An
// address, a vSphere ticket or an error's text never gets into one, nor into
// the history or a log above debug level.
//
// After the Origin check everything fails by close code, because a browser
// shows its page nothing of an upgrade that was refused. So the socket is
// upgraded first and judged afterwards.
//
// Nothing of a console is kept on the node but the socket itself: the ticket
// may come from one node and the socket go to another, and a lost socket is
// resumed by a fresh ticket, authorised anew. There is no resuming inside an
// RFB stream, whose compression has state.
//
// A live socket is judged again whenever the database announces a change that
// may concern it, and every few seconds besides (guard.go). The package
// refuses to serve while that isn't running: see Service.Run.
//
// What it refuses to know: RFB, but for the lengths of client messages, by
// which a viewer's input is dropped (viewonly.go).
package console
