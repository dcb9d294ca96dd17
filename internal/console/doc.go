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
// the history or a log of any level.
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
// # Text frames
//
// Beside the picture's binary frames the same socket carries text frames
// between page and portal, each one JSON object, none of it for the
// hypervisor:
//
//	page ─▶ {"ping":n}              n: a number of the page's clock
//	     ◀─ {"pong":n}              the same number: latency
//	     ◀─ {"viewers":[{"id":…,"name":…,"mode":"operate"|"view","since":…,"you":true}]}
//	     ◀─ {"notice":{"kind":…,"by":…,"text":…}}   right before the close frame
//
// The portal sends text only to a client that has sent some: a plain VNC
// client takes every frame for picture. So a page sends its first ping when the
// socket opens; the list of viewers answers it, and comes again when it changes, four
// times a second at most.
// A notice comes where the ending has a person in it: kind "taken_over" (4408)
// or "closed_by" (4410), by their name, text a sentence. Of a client's text
// frames those beyond textMax bytes end the socket (1008), those beyond
// textsPerSecond get no answer, and those that are not understood are nothing.
//
// # Tickets
//
//	POST …/machines/{id}/console/ticket   mode=operate|view  takeover=yes  resume=<id>
//	  200 {"ticket","url","mode","expires"}
//	  409 {"code":"occupied","message":…,"viewers":[{"name","since","mode"}]}
//	  429 with Retry-After: too many tickets, or too many consoles open
//	  503 with Retry-After: the machine's host does not answer
//
// One session at a time operates a machine; any number watch it. Whoever asks
// to operate one that another session operates is told of it, and comes again
// with mode=view or takeover=yes. The taker's socket ends the other one (4408)
// when it opens, not before. Two tickets that were given while nobody operated:
// the second to arrive ends with 4423, and its page asks anew. resume names the
// page's own console (id of the viewer that is "you") which was lost: it ends
// with the new one's opening, wherever it is, and doesn't count beside it.
//
// What it refuses to know: RFB, but for the lengths of client messages, by
// which a viewer's input is dropped (viewonly.go).
package console
