// Package render writes an org's state as a ruleset of nftables and a
// configuration of HAProxy. It is pure: the same state gives the same text.
//
// Names in it are made of marks, numbers and parsed addresses. The portal's
// ids stand in comments only, so that a complaint about a line finds its
// object.
package render

// Names of an org's interfaces within its namespace.
const (
	Uplink = "up0"
	Tunnel = "wg0"
)

// Table is the name of the one table that is ours in a namespace.
const Table = "mw"
