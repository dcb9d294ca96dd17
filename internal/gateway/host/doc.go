// Package host carries orgs on a Linux gateway: a network namespace per org,
// with nftables, HAProxy and WireGuard in it. It needs root.
//
//	uplink ──macvlan──▶ ┌── namespace mw-KEY ─────────────┐
//	                    │ up0: public addresses            │
//	                    │ nftables · HAProxy · wg0         │
//	                    │ net1, net2: the gateways' own    │ ◀──VLAN── trunk of each cloud
//	                    └──────────────────────────────────┘
//
// Nothing that carries traffic is a child of the agent: the kernel, HAProxy (a
// daemon) and the tunnel (a process of the same binary, in its own session) go
// on when the agent is killed or replaced, and the next one finds them by their
// sockets.
package host
