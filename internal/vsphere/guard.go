package vsphere

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Guard says whether a vCenter may be at an address. It is asked with the
// address that is about to be dialled, after the name was resolved, so that
// no name leads elsewhere than what was looked at.
type Guard func(netip.Addr) error

// ErrAddress says that the address is none where a vCenter may be.
var ErrAddress = errors.New("no vCenter may be at this address")

// metadata are addresses at which cloud providers tell a machine's secrets,
// outside the link-local ranges.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("100.100.100.200/32"), netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("192.0.0.192/32"), netip.MustParsePrefix("fd00:ec2::254/128"),
}

// embedding are IPv6 prefixes with an IPv4 address inside, and where it begins.
var embedding = map[netip.Prefix]int{
	netip.MustParsePrefix("64:ff9b::/96"):   12, // NAT64
	netip.MustParsePrefix("64:ff9b:1::/48"): 12, // NAT64 of a site's own
	netip.MustParsePrefix("2002::/16"):      2,  // 6to4
	netip.MustParsePrefix("::/96"):          12, // IPv4-compatible
}

var nowhere = netip.MustParsePrefix("0.0.0.0/8")

// inner is the address that packets to a end up at.
func inner(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() || a.IsUnspecified() || a.IsLoopback() {
		return a
	}
	for prefix, at := range embedding {
		if prefix.Contains(a) {
			b := a.As16()
			return netip.AddrFrom4([4]byte(b[at : at+4]))
		}
	}
	return a
}

// PublicGuard refuses what is never a vCenter: this machine itself (unless the
// clouds are a lab's), link-local and metadata addresses, unspecified and
// multicast ones. Private ranges are where vCenters are.
func PublicGuard(loopback bool) Guard {
	return func(a netip.Addr) error {
		a = inner(a)
		what := ""
		switch {
		case a.IsUnspecified(), nowhere.Contains(a):
			what = "stands for no machine"
		case a.IsLoopback() && !loopback:
			what = "is the portal's own machine"
		case a.IsLinkLocalUnicast():
			what = "is link-local, where a machine's metadata are"
		case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			what = "stands for several machines"
		}
		for _, p := range metadata {
			if p.Contains(a) {
				what = "is where a machine's metadata are"
			}
		}
		if what != "" {
			return fmt.Errorf("%w: %s %s", ErrAddress, a, what)
		}
		return nil
	}
}

// Control hands the address of a dial to the guard, as a net.Dialer's Control.
func (g Guard) Control(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrAddress, host)
	}
	return g(a)
}
