package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway/render"
)

// network is a VLAN of a trunk, or a link of its own on one that brings no
// VLANs.
func (l *linker) network(n edge.Network) error {
	trunk, err := l.out.LinkByName(l.options.Trunks[n.Cloud])
	if err != nil {
		return fmt.Errorf("trunk %s: %w", l.options.Trunks[n.Cloud], err)
	}
	name := render.Link(n)
	if link, err := l.in.LinkByName(name); err == nil {
		vlan, is := link.(*netlink.Vlan)
		if is != (n.VLAN > 0) || is && vlan.VlanId != n.VLAN || link.Attrs().ParentIndex != trunk.Attrs().Index {
			if err := l.in.LinkDel(link); err != nil {
				return err
			}
		}
	}
	link, err := l.link(name, func(a netlink.LinkAttrs) netlink.Link {
		a.ParentIndex = trunk.Attrs().Index
		if n.VLAN == 0 {
			return &netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_BRIDGE}
		}
		return &netlink.Vlan{LinkAttrs: a, VlanId: n.VLAN, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
	})
	if n.VLAN > 0 && errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("VLAN %d can't be taken off the trunk: load the module 8021q on the gateway", n.VLAN)
	}
	if err != nil {
		return err
	}
	fresh, err := l.addresses(link, map[netip.Prefix]bool{
		netip.PrefixFrom(netip.MustParseAddr(n.Gateway), netip.MustParsePrefix(n.CIDR).Bits()): true})
	if err != nil {
		return err
	}
	return l.announce(link, fresh)
}

// vacate takes links away whose VLAN another network of the org has now: a
// trunk gives each VLAN out once.
func (l *linker) vacate(networks []edge.Network) error {
	type tag struct{ trunk, vlan int }
	takers := map[tag]string{}
	for _, n := range networks {
		if trunk, err := l.out.LinkByName(l.options.Trunks[n.Cloud]); err == nil && n.VLAN > 0 {
			takers[tag{trunk.Attrs().Index, n.VLAN}] = render.Link(n)
		}
	}
	if len(takers) == 0 {
		return nil
	}
	list, err := l.in.LinkList()
	if err != nil {
		return err
	}
	for _, link := range list {
		vlan, is := link.(*netlink.Vlan)
		if !is {
			continue
		}
		name := link.Attrs().Name
		if taker := takers[tag{link.Attrs().ParentIndex, vlan.VlanId}]; taker != "" && taker != name && strings.HasPrefix(name, "net") {
			if err := l.in.LinkDel(link); err != nil {
				return fmt.Errorf("remove %s: %w", name, err)
			}
			l.did("interface %s was there", name)
		}
	}
	return nil
}

func (l *linker) tunnel(v edge.VPN) error {
	link, err := l.in.LinkByName(render.Tunnel)
	if err != nil {
		return err
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err := l.in.LinkSetUp(link); err != nil {
			return err
		}
	}
	_, err = l.addresses(link, map[netip.Prefix]bool{
		netip.PrefixFrom(netip.MustParseAddr(v.Address), netip.MustParsePrefix(v.CIDR).Bits()): true})
	return err
}

// vlanPatience is for the kernel, which takes links of a namespace that has
// just ended away in its own time.
const vlanPatience = 2 * time.Second

// link finds an interface or makes it, right within the namespace.
func (l *linker) link(name string, fresh func(netlink.LinkAttrs) netlink.Link) (netlink.Link, error) {
	link, err := l.in.LinkByName(name)
	if err != nil {
		a := netlink.NewLinkAttrs()
		a.Name, a.Namespace = name, netlink.NsFd(l.file)
		for deadline := time.Now().Add(vlanPatience); ; time.Sleep(50 * time.Millisecond) {
			if err = l.out.LinkAdd(fresh(a)); !errors.Is(err, unix.EEXIST) || time.Now().After(deadline) {
				break
			}
		}
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", name, err)
		}
		l.did("interface %s was missing", name)
		if link, err = l.in.LinkByName(name); err != nil {
			return nil, err
		}
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err := l.in.LinkSetUp(link); err != nil {
			return nil, err
		}
		l.did("interface %s was down", name)
	}
	return link, nil
}
