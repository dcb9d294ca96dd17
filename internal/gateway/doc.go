// Package gateway carries what the portal wants: public IPs, services, firewall
// and VPN of many orgs, on a gateway host or, for the lab, in a process.
//
//	Source ─Desired─▶ Loop ─ Validate ─▶ Applier ─┬─ host:    namespaces, nftables, HAProxy, WireGuard
//	Source ◀─Status── Loop ◀─ Observe ──────────── ┴─ forward: in process, loopback only
//
// # What it owns
//
// The loop, which is the same for both appliers: validate each object by
// itself, apply, keep as last good, count, report. The state folder: the last
// good state of each org (asserted again at start, before the portal is
// asked), and the ledger of counters, which outlives reloads and reboots.
//
// # What it refuses
//
// To take an identifier from anything a user typed: addresses, ports and marks
// name things, and are parsed before they are printed. To take down what
// works: a state that can't be applied leaves the last good one serving, and a
// portal that doesn't answer changes nothing.
package gateway
