package host

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/millwright/millwright/internal/edge"
)

// flow is a connection that a service's mark is on.
type flow struct {
	mark   int
	source netip.Addr
	node   netip.AddrPort // of UDP: who answers
	udp    bool
	open   bool
	in     int64
	out    int64
}

const tcpEstablished = 3

func flowOf(f *netlink.ConntrackFlow) flow {
	source, _ := netip.AddrFromSlice(f.Forward.SrcIP.To4())
	node, _ := netip.AddrFromSlice(f.Reverse.SrcIP.To4())
	w := flow{mark: int(f.Mark), source: source, node: netip.AddrPortFrom(node, f.Reverse.SrcPort), udp: f.Forward.Protocol == unix.IPPROTO_UDP,
		in: int64(f.Forward.Bytes), out: int64(f.Reverse.Bytes)} // #nosec G115 -- would take an exabyte
	tcp, is := f.ProtoInfo.(*netlink.ProtoInfoTCP)
	w.open = !is || tcp.State == tcpEstablished
	return w
}

const serviceMarks = 0xffff

// flows lists the connections of an org's services.
func flows(ns namespace) (list []flow, err error) {
	err = ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		all, err := in.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
		if err != nil {
			return fmt.Errorf("read connections: %w", err)
		}
		for _, f := range all {
			if f.Mark != 0 && f.Mark <= serviceMarks {
				list = append(list, flowOf(f))
			}
		}
		return nil
	})
	return list, err
}

// sweep takes the connections away that are wanted no more. It looks at what
// is there and at what is wanted, never at what changed: a sweep that was
// missed is made good by the next.
func sweep(ns namespace, org edge.Org, down map[string]bool) error {
	b := broom{services: map[int]*edge.Service{}, down: down}
	for _, n := range org.Networks {
		b.own = append(b.own, netip.MustParsePrefix(n.CIDR))
	}
	if org.VPN != nil {
		b.own = append(b.own, netip.MustParsePrefix(org.VPN.CIDR))
	}
	for i := range org.Services {
		if s := &org.Services[i]; s.Enabled {
			b.services[s.Mark] = s
		}
	}
	return ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		_, err := in.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, b)
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			_, err = in.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, b)
		}
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("sweep connections: %w", err)
		}
		return nil
	})
}

type broom struct {
	services map[int]*edge.Service
	own      []netip.Prefix
	down     map[string]bool
}

// MatchConntrackFlow says which connections go: those of services that are
// gone or off, of sources that may come no more, and those of UDP whose node
// is gone, off or dead.
func (b broom) MatchConntrackFlow(c *netlink.ConntrackFlow) bool {
	if c.Mark == 0 || c.Mark > serviceMarks {
		return false
	}
	f := flowOf(c)
	s := b.services[f.mark]
	if s == nil {
		return true
	}
	within := func(p netip.Prefix) bool { return p.Contains(f.source) }
	if !slices.ContainsFunc(b.own, within) &&
		!slices.ContainsFunc(s.Sources, func(text string) bool { return within(netip.MustParsePrefix(text)) }) {
		return true
	}
	if !f.udp {
		return false
	}
	return !slices.ContainsFunc(s.Nodes, func(n edge.Node) bool {
		return n.Enabled && !b.down[n.ID] && netip.AddrPortFrom(netip.MustParseAddr(n.Address), uint16(n.Port)) == f.node // #nosec G115 -- checked to be a port
	})
}
