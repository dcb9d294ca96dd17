// Package viewer is the portal's own client of a machine's screen, for those
// who use a VNC viewer in place of the browser:
//
//	VNC viewer ──TCP──▶ Bridge ──POST ticket──▶ portal
//	 (RFB, plain)         └─────wss, binary───▶ portal ──▶ hypervisor
//
// It acts by an API token and owns nothing of the portal: what it may do is
// decided there, at each connection anew. It listens on loopback, for what it
// bridges has no password of its own.
//
// It refuses to know RFB: bytes are passed as they come.
package viewer
