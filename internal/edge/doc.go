// Package edge is the wire form of what portal and gateway tell each other:
// the desired state that the portal owns, and the status that a gateway
// reports. Both sides import it, and it imports nothing of ours, so that
// neither side knows the other's insides.
//
//	portal ──Desired (ETag, long poll)──▶ gateway
//	portal ◀──Status────────────────────── gateway
//
// Always the full state of an org, never a difference: what was missed is
// made good by the next look. docs/edge-protocol.md tells it to those who
// write a gateway of their own.
//
// Identifiers here are the portal's own (UUIDs) or short keys and numbers that
// the portal gives out; no text that a user typed becomes one.
package edge
