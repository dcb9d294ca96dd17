package gateway

import (
	"fmt"
	"net/netip"
	"slices"
)

func ipv4(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return netip.Addr{}, fmt.Errorf("%q is no IPv4 address", text)
	}
	return a, nil
}

func cidr(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, e := netip.ParseAddr(text)
		if e != nil {
			return netip.Prefix{}, fmt.Errorf("%q is no network", text)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if !p.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("%q is not IPv4", text)
	}
	return p.Masked(), nil
}

func port(n int) error {
	if n < 1 || n > 65535 {
		return fmt.Errorf("port %d is not from 1 to 65535", n)
	}
	return nil
}

// publicIP takes an address for the org, unless another one has it.
func (c *orgCheck) publicIP(text string) (netip.Addr, error) {
	a, err := ipv4(text)
	if err != nil {
		return a, err
	}
	switch {
	case c.limits.Loopback && !a.IsLoopback():
		return a, fmt.Errorf("%s is not a loopback address: the lab binds nothing else", a)
	case !c.limits.Loopback && a.IsLoopback(), a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return a, fmt.Errorf("%s can't be a public address", a)
	}
	if owner, taken := c.public[a]; taken && owner != c.key {
		return a, fmt.Errorf("%s is another org's", a)
	}
	for _, n := range slices.Concat(c.networks, c.tunnel) {
		if n.Contains(a) {
			return a, fmt.Errorf("%s lies in a private network", a)
		}
	}
	c.public[a] = c.key
	return a, nil
}

// private is a range that machines or devices may live in.
func (c *orgCheck) private(p netip.Prefix) error {
	for _, special := range []string{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"} {
		if netip.MustParsePrefix(special).Overlaps(p) {
			return fmt.Errorf("%s overlaps %s", p, special)
		}
	}
	for _, n := range slices.Concat(c.networks, c.tunnel) {
		if n.Overlaps(p) {
			return fmt.Errorf("%s overlaps %s", p, n)
		}
	}
	for a, owner := range c.public {
		if owner == c.key && p.Contains(a) {
			return fmt.Errorf("%s holds the public address %s", p, a)
		}
	}
	return nil
}

// usable is neither the network's own nor its broadcast address.
func usable(p netip.Prefix, a netip.Addr) bool {
	return p.Contains(a) && a != p.Addr() && a != lastOf(p)
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}

// machine is an address that a machine of the org may have.
func (c *orgCheck) machine(text string) (netip.Addr, error) {
	a, err := ipv4(text)
	if err != nil {
		return a, err
	}
	for i, n := range c.networks {
		if usable(n, a) && a != c.gateways[i] {
			return a, nil
		}
	}
	return a, fmt.Errorf("%s is no machine's address in the org's networks", a)
}

// disjoint drops what lies within another entry: the kernel's interval sets
// refuse overlaps.
func disjoint(list []string) []string {
	var out []string
	for i, text := range list {
		p, within := netip.MustParsePrefix(text), false
		for j, other := range list {
			o := netip.MustParsePrefix(other)
			if i != j && o.Overlaps(p) && (o.Bits() < p.Bits() || o.Bits() == p.Bits() && j < i) {
				within = true
			}
		}
		if !within {
			out = append(out, text)
		}
	}
	return out
}
