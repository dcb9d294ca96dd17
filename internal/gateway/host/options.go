package host

import (
	"log/slog"
	"net/netip"
	"time"
)

// Options of a gateway host.
type Options struct {
	Dir string // the state folder
	// Run holds sockets: their paths may be no longer than 108 bytes. Empty:
	// below Dir.
	Run string
	// Uplink is the interface towards the internet; each org's namespace gets
	// a macvlan on it. NextHop is the router there; unset: that of the host's
	// default route.
	Uplink  string
	NextHop netip.Addr
	// Trunks are the interfaces on which the clouds' VLANs arrive, by slug.
	Trunks map[string]string
	// Refuse is where machines may not send to, beside the host's own
	// addresses and 169.254.0.0/16.
	Refuse  []netip.Prefix
	HAProxy string // program paths
	NFT     string
	// Patience is how long one run of a program may take; 0: 30 s.
	Patience   time.Duration
	Executable string // this program: it is also the tunnel
	Logger     *slog.Logger
}
