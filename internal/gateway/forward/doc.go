// Package forward is the lab's gateway: it carries orgs in this process,
// without root, between loopback addresses. The loop, the desired state and
// the reports are those of a real gateway; only the carrying is done by hand.
//
//	127.0.x.y:port ── firewall, sources ── a node that lives ──▶ guest's listener
//	        HTTP: each request by itself, with X-Forwarded-For
//	127.0.x.y:udp  ── WireGuard ── TCP/IP in the process ───────▶ guest's listener
//
// It binds loopback addresses and nothing else. A port below 1024 that may not
// be bound becomes 20000 + port; where the system has no such address (macOS
// knows 127.0.0.1 only), a port of 127.0.0.1 stands in. The report says where.
package forward
