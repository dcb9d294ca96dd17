package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway/render"
)

// proxiedTable is the routing table that gives HAProxy the replies to the
// connections that it made in its clients' names.
const proxiedTable = 100

// linked brings interfaces, addresses and routes to what they have to be, and
// says what it changed. What can't be brought in is blamed. What is wanted no
// more is taken away with whole only: a change that fails later needs it again.
func (h *Host) linked(org edge.Org, whole bool) (changed []string, failed []edge.Blame, err error) {
	ns := namespaceOf(org.Key)
	err = ns.handles(func(in *netlink.Handle, file netns.NsHandle) error {
		l := linker{options: h.options, whole: whole, out: &netlink.Handle{}, in: in, file: file, announce: func(link netlink.Link, addresses []netip.Addr) error {
			return announce(ns, link.Attrs().Index, link.Attrs().HardwareAddr, addresses)
		}}
		lo, err := in.LinkByName("lo")
		if err != nil {
			return err
		}
		if lo.Attrs().Flags&net.FlagUp == 0 {
			if err := in.LinkSetUp(lo); err != nil {
				return err
			}
		}
		if err := l.uplink(org); err != nil {
			return fmt.Errorf("uplink: %w", err)
		}
		wanted := map[string]bool{"lo": true, render.Uplink: true, render.Tunnel: true}
		if err := l.vacate(org.Networks); err != nil {
			return err
		}
		for _, n := range org.Networks {
			wanted[render.Link(n)] = true
			if err := l.network(n); err != nil {
				failed = append(failed, edge.Blame{ID: n.ID, Text: err.Error()})
			}
		}
		if org.VPN != nil {
			if err := l.tunnel(*org.VPN); err != nil {
				failed = append(failed, edge.Blame{ID: org.VPN.ID, Text: "the VPN's interface: " + err.Error()})
			}
		}
		list, err := in.LinkList()
		if err != nil {
			return err
		}
		for _, link := range list {
			if name := link.Attrs().Name; whole && !wanted[name] && strings.HasPrefix(name, "net") {
				if err := in.LinkDel(link); err != nil {
					return fmt.Errorf("remove %s: %w", name, err)
				}
				l.did("interface %s was there", name)
			}
		}
		if err := l.proxied(); err != nil {
			return fmt.Errorf("routes: %w", err)
		}
		changed = l.changed
		return nil
	})
	return changed, failed, err
}

// links is the part of netlink that is spoken here, on one side of an org's
// links: the host's or its namespace's.
type links interface {
	LinkByName(name string) (netlink.Link, error)
	LinkList() ([]netlink.Link, error)
	LinkAdd(link netlink.Link) error
	LinkDel(link netlink.Link) error
	LinkSetUp(link netlink.Link) error
	AddrList(link netlink.Link, family int) ([]netlink.Addr, error)
	AddrAdd(link netlink.Link, addr *netlink.Addr) error
	AddrDel(link netlink.Link, addr *netlink.Addr) error
	RouteList(link netlink.Link, family int) ([]netlink.Route, error)
	RouteReplace(route *netlink.Route) error
	RouteListFiltered(family int, filter *netlink.Route, mask uint64) ([]netlink.Route, error)
	RuleListFiltered(family int, filter *netlink.Rule, mask uint64) ([]netlink.Rule, error)
	RuleAdd(rule *netlink.Rule) error
}

type linker struct {
	options  Options
	whole    bool  // take away what is wanted no more
	out      links // the host
	in       links // the org's namespace
	file     netns.NsHandle
	announce func(link netlink.Link, addresses []netip.Addr) error
	changed  []string
}

func (l *linker) did(format string, args ...any) {
	l.changed = append(l.changed, fmt.Sprintf(format, args...))
}

// uplink is a macvlan: it has its own hardware address on the wire, and can't
// reach the host underneath.
func (l *linker) uplink(org edge.Org) error {
	parent, err := l.out.LinkByName(l.options.Uplink)
	if err != nil {
		return fmt.Errorf("%s: %w", l.options.Uplink, err)
	}
	link, err := l.link(render.Uplink, func(a netlink.LinkAttrs) netlink.Link {
		a.ParentIndex = parent.Attrs().Index
		return &netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_BRIDGE}
	})
	if err != nil {
		return err
	}
	want := map[netip.Prefix]bool{}
	add := func(text string) {
		if text != "" {
			want[netip.PrefixFrom(netip.MustParseAddr(text), 32)] = true
		}
	}
	add(org.Outbound)
	for i := range org.Services {
		add(org.Services[i].PublicIP)
	}
	if org.VPN != nil {
		add(org.VPN.PublicIP)
	}
	fresh, err := l.addresses(link, want)
	if err != nil {
		return err
	}
	if err := l.announce(link, fresh); err != nil {
		return err
	}
	return l.uplinkRoutes(link, parent)
}

// uplinkRoutes sends what is on the wire directly, and the rest to the router.
func (l *linker) uplinkRoutes(link, parent netlink.Link) error {
	nextHop := l.options.NextHop
	own, err := l.out.AddrList(parent, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	if !nextHop.IsValid() {
		routes, err := l.out.RouteList(parent, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if g, ok := netip.AddrFromSlice(r.Gw); ok && (r.Dst == nil || r.Dst.IP.IsUnspecified()) {
				nextHop = g.Unmap()
			}
		}
	}
	var want []*netlink.Route
	for _, a := range own {
		if ones, _ := a.Mask.Size(); ones < 32 {
			want = append(want, &netlink.Route{LinkIndex: link.Attrs().Index, Scope: unix.RT_SCOPE_LINK,
				Dst: &net.IPNet{IP: a.IP.Mask(a.Mask), Mask: a.Mask}})
		}
	}
	if nextHop.IsValid() {
		want = append(want, &netlink.Route{LinkIndex: link.Attrs().Index, Gw: nextHop.AsSlice(), Flags: int(netlink.FLAG_ONLINK),
			Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}})
	}
	have, err := l.in.RouteList(link, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, r := range want {
		there := slices.ContainsFunc(have, func(o netlink.Route) bool {
			dst := "0.0.0.0/0"
			if o.Dst != nil {
				dst = o.Dst.String()
			}
			return dst == r.Dst.String() && o.Gw.Equal(r.Gw)
		})
		if !there {
			if err := l.in.RouteReplace(r); err != nil {
				return fmt.Errorf("route to %s: %w", r.Dst, err)
			}
			l.did("route to %s was missing", r.Dst)
		}
	}
	return nil
}

// addresses brings a link's addresses to what they have to be, and returns
// those that it added.
func (l *linker) addresses(link netlink.Link, want map[netip.Prefix]bool) (fresh []netip.Addr, err error) {
	list, err := l.in.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	have := map[netip.Prefix]bool{}
	for _, a := range list {
		ip, _ := netip.AddrFromSlice(a.IP.To4())
		ones, _ := a.Mask.Size()
		p := netip.PrefixFrom(ip, ones)
		have[p] = true
		if !want[p] && l.whole {
			if err := l.in.AddrDel(link, &a); err != nil {
				return nil, fmt.Errorf("remove %s: %w", p, err)
			}
			l.did("address %s was there", p)
		}
	}
	for p := range want {
		if have[p] {
			continue
		}
		a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}}
		if err := l.in.AddrAdd(link, a); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("add %s: %w", p, err)
		}
		fresh = append(fresh, p.Addr())
		l.did("address %s was missing", p)
	}
	return fresh, nil
}

// proxied routes packets that belong to HAProxy's own sockets to itself,
// whoever's address they carry.
func (l *linker) proxied() error {
	rules, err := l.in.RuleListFiltered(netlink.FAMILY_V4, &netlink.Rule{Table: proxiedTable}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	if len(rules) == 0 {
		r := netlink.NewRule()
		r.Mark, r.Table, r.Priority = 1, proxiedTable, 100
		if err := l.in.RuleAdd(r); err != nil {
			return err
		}
		l.did("routing rule was missing")
	}
	lo, err := l.in.LinkByName("lo")
	if err != nil {
		return err
	}
	routes, err := l.in.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: proxiedTable}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	if len(routes) == 0 {
		err := l.in.RouteReplace(&netlink.Route{LinkIndex: lo.Attrs().Index, Table: proxiedTable, Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST,
			Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}})
		if err != nil {
			return err
		}
		l.did("local route was missing")
	}
	return nil
}

// ownAddresses are the host's: no machine of an org may reach them.
func ownAddresses() ([]netip.Prefix, error) {
	list, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	out := []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("127.0.0.0/8")}
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP.To4())
		if ok && !ip.IsLoopback() {
			out = append(out, netip.PrefixFrom(ip, 32))
		}
	}
	return out, nil
}
