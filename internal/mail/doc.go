// Package mail carries the portal's letters to a mail server.
//
//	identity.Invitations ─ Post.Send(w) ─┬ mail row, body sealed
//	                                     └ job ── one commit with the invitation ──▶ worker ──SMTP──▶ server
//
// What it promises: a letter whose invitation is stored is sent, whatever
// happens to the node meanwhile; in the worst case twice, never not at all. A
// server that is away or says "later" is asked again; one that says "never"
// ends it, and the People page says so.
//
// What it refuses: to know what a letter says, and to speak its password to a
// server without TLS.
package mail
