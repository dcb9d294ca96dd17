package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway/render"
)

// A HAProxy that handed over to a new one keeps its connections for as long as
// they last, and answers no socket any more: nothing there can be told that a
// service or a node was switched off since. So connections are ended from
// beneath, in the kernel, whichever process holds them.

// legs are what tells HAProxy's connections apart: the one that a client made
// to a service, and the one that HAProxy made to a node in the client's name.
type legs struct {
	public   map[netip.Addr]bool // addresses of the org's services, now and before
	private  []netip.Prefix
	gateways map[netip.Addr]bool // from there health is asked, by us and by HAProxy

	services map[netip.AddrPort]*edge.Service // who may have connections, by public address
	nodes    map[netip.AddrPort][]*edge.Service
}

func legsOf(before, now edge.Org) legs {
	l := legs{public: map[netip.Addr]bool{}, gateways: map[netip.Addr]bool{}, services: map[netip.AddrPort]*edge.Service{}, nodes: map[netip.AddrPort][]*edge.Service{}}
	for _, o := range []edge.Org{before, now} {
		for i := range o.Services {
			l.public[netip.MustParseAddr(o.Services[i].PublicIP)] = true
		}
		for _, n := range o.Networks {
			l.private = append(l.private, netip.MustParsePrefix(n.CIDR))
			l.gateways[netip.MustParseAddr(n.Gateway)] = true
		}
		if o.VPN != nil {
			l.private = append(l.private, netip.MustParsePrefix(o.VPN.CIDR))
			l.gateways[netip.MustParseAddr(o.VPN.Address)] = true
		}
	}
	at := func(a string, port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(a), uint16(port)) // #nosec G115 -- checked to be a port
	}
	for i := range now.Services {
		s := &now.Services[i]
		if !render.HasHAProxy(*s) {
			continue
		}
		l.services[at(s.PublicIP, s.Port)] = s
		for _, n := range s.Nodes {
			if n.Enabled {
				l.nodes[at(n.Address, n.Port)] = append(l.nodes[at(n.Address, n.Port)], s)
			}
		}
	}
	return l
}

func (l legs) inside(a netip.Addr) bool {
	return slices.ContainsFunc(l.private, func(p netip.Prefix) bool { return p.Contains(a) })
}

// front tells whether a connection is a client's.
func (l legs) front(s pair) bool {
	return l.public[s.local.Addr()] || !l.inside(s.local.Addr()) && !l.inside(s.remote.Addr())
}

// welcome tells whether a client may be connected to the service at an address.
func (l legs) welcome(s pair) bool {
	service := l.services[s.local]
	return service != nil && (l.inside(s.remote.Addr()) || slices.ContainsFunc(service.Sources, func(text string) bool {
		return netip.MustParsePrefix(text).Contains(s.remote.Addr())
	}))
}

// pair is the two ends of a connection.
type pair struct{ local, remote netip.AddrPort }

// unwanted picks the connections that have to end. Where two services share a
// node, and only one of them has it switched off, the client tells whose a
// connection is; one without a client is HAProxy's to use again, or to close.
func (l legs) unwanted(list []pair) (gone []pair) {
	clients := map[netip.Addr]map[*edge.Service]bool{}
	for _, s := range list {
		switch {
		case !l.front(s):
		case !l.welcome(s):
			gone = append(gone, s)
		default:
			a := s.remote.Addr()
			if clients[a] == nil {
				clients[a] = map[*edge.Service]bool{}
			}
			clients[a][l.services[s.local]] = true
		}
	}
	for _, s := range list {
		if l.front(s) || l.gateways[s.local.Addr()] || !l.inside(s.remote.Addr()) {
			continue
		}
		of, has := clients[s.local.Addr()], l.nodes[s.remote]
		if len(has) == 0 || len(of) > 0 && !slices.ContainsFunc(has, func(service *edge.Service) bool { return of[service] }) {
			gone = append(gone, s)
		}
	}
	return gone
}

// established are the namespace's TCP connections.
func established() ([]pair, error) {
	sockets, err := netlink.SocketDiagTCP(unix.AF_INET)
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		sockets, err = netlink.SocketDiagTCP(unix.AF_INET)
	}
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("read sockets: %w", err)
	}
	var list []pair
	for _, s := range sockets {
		switch s.State {
		case netlink.TCP_LISTEN, netlink.TCP_TIME_WAIT, netlink.TCP_CLOSE:
			continue
		}
		local, okLocal := netip.AddrFromSlice(s.ID.Source.To4())
		remote, okRemote := netip.AddrFromSlice(s.ID.Destination.To4())
		if okLocal && okRemote && !local.IsLoopback() {
			list = append(list, pair{netip.AddrPortFrom(local, s.ID.SourcePort), netip.AddrPortFrom(remote, s.ID.DestinationPort)})
		}
	}
	return list, nil
}

// hangUp ends the TCP connections that now is without: of services that are
// gone or off, of clients that may come no more, to nodes that are gone or
// off. Both ends hear of it. Where the kernel can't, its memory of them is
// taken away: no packet passes any more, and HAProxy lets go when the
// service's idle timeout is over.
func hangUp(ns namespace, before, now edge.Org) error {
	return ns.do(func() error {
		l := legsOf(before, now)
		list, err := established()
		if err != nil {
			return err
		}
		gone := l.unwanted(list)
		if len(gone) == 0 {
			return nil
		}
		// The kernel lists one socket after the other: a client that came
		// meanwhile may be missing, and is not in a second list.
		if list, err = established(); err != nil {
			return err
		}
		again := l.unwanted(list)
		var errs []error
		var left []pair
		for _, s := range gone {
			if !slices.Contains(again, s) {
				continue
			}
			switch err := netlink.SocketDestroy(net.TCPAddrFromAddrPort(s.local), net.TCPAddrFromAddrPort(s.remote)); {
			case err == nil, errors.Is(err, unix.ENOENT): // ended by itself
			case errors.Is(err, unix.EOPNOTSUPP):
				left = append(left, s)
			default:
				errs = append(errs, fmt.Errorf("end a connection: %w", err))
			}
		}
		if len(left) > 0 {
			errs = append(errs, forget(ns, left))
		}
		return errors.Join(errs...)
	})
}

// forget takes connections out of the kernel's table.
func forget(ns namespace, list []pair) error {
	set := forgotten{}
	for _, s := range list {
		set[s], set[pair{s.remote, s.local}] = true, true
	}
	return ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		_, err := in.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, set)
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			_, err = in.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, set)
		}
		return err
	})
}

type forgotten map[pair]bool

// MatchConntrackFlow finds them by their original direction.
func (f forgotten) MatchConntrackFlow(c *netlink.ConntrackFlow) bool {
	source, _ := netip.AddrFromSlice(c.Forward.SrcIP.To4())
	to, _ := netip.AddrFromSlice(c.Forward.DstIP.To4())
	return c.Forward.Protocol == unix.IPPROTO_TCP && f[pair{netip.AddrPortFrom(source, c.Forward.SrcPort), netip.AddrPortFrom(to, c.Forward.DstPort)}]
}
