package host

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/millwright/millwright/internal/edge"
)

// kernel is a pretended one: its links by name, those of the host and those of
// an org's namespace. Not every kernel that runs the tests can do VLANs.
type kernel struct {
	links
	t         *testing.T
	inside    map[string]netlink.Link
	outside   map[string]netlink.Link
	addresses map[string][]netlink.Addr
	done      []string
	refuse    error
}

type side struct {
	*kernel
	list map[string]netlink.Link
}

func (s side) LinkByName(name string) (netlink.Link, error) {
	if l := s.list[name]; l != nil {
		return l, nil
	}
	return nil, netlink.LinkNotFoundError{}
}

// LinkAdd is asked of the host, for a link within the namespace.
func (s side) LinkAdd(l netlink.Link) error {
	if s.refuse != nil {
		return s.refuse
	}
	if l.Attrs().Namespace == nil {
		s.t.Errorf("%s would be the host's", l.Attrs().Name)
	}
	text := fmt.Sprintf("add %s %s on %d", l.Type(), l.Attrs().Name, l.Attrs().ParentIndex)
	if v, is := l.(*netlink.Vlan); is {
		text += fmt.Sprintf(" tag %d proto %#x", v.VlanId, int(v.VlanProtocol))
	}
	s.inside[l.Attrs().Name] = l
	s.done = append(s.done, text)
	return nil
}

func (s side) LinkDel(l netlink.Link) error {
	delete(s.inside, l.Attrs().Name)
	delete(s.addresses, l.Attrs().Name)
	s.done = append(s.done, "remove "+l.Attrs().Name)
	return nil
}

func (s side) LinkSetUp(l netlink.Link) error {
	l.Attrs().Flags |= net.FlagUp
	s.done = append(s.done, "up "+l.Attrs().Name)
	return nil
}

func (s side) AddrList(l netlink.Link, _ int) ([]netlink.Addr, error) {
	return s.addresses[l.Attrs().Name], nil
}

func (s side) AddrAdd(l netlink.Link, a *netlink.Addr) error {
	s.addresses[l.Attrs().Name] = append(s.addresses[l.Attrs().Name], *a)
	s.done = append(s.done, "address "+a.IPNet.String())
	return nil
}

func (s side) AddrDel(l netlink.Link, a *netlink.Addr) error {
	s.addresses[l.Attrs().Name] = slices.DeleteFunc(s.addresses[l.Attrs().Name], func(b netlink.Addr) bool { return b.Equal(*a) })
	s.done = append(s.done, "address off "+a.IPNet.String())
	return nil
}

// A network's VLAN is taken off its cloud's trunk, tagged 802.1Q, straight into
// the org's namespace; another tag or trunk replaces the link; what is right is
// left alone.
func TestNetworkIsAVLANOfItsTrunk(t *testing.T) {
	t.Parallel()
	k := &kernel{t: t, inside: map[string]netlink.Link{}, addresses: map[string][]netlink.Addr{}, outside: map[string]netlink.Link{
		"ens1": &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "ens1", Index: 7}},
		"ens2": &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "ens2", Index: 8}},
	}}
	var told []netip.Addr
	apply := func(n edge.Network) (done []string, changed []string, err error) {
		k.done, told = nil, nil
		l := linker{whole: true, options: Options{Trunks: map[string]string{"east": "ens1", "west": "ens2"}}, out: side{k, k.outside}, in: side{k, k.inside},
			announce: func(_ netlink.Link, list []netip.Addr) error { told = append(told, list...); return nil }}
		err = l.network(n)
		return k.done, l.changed, err
	}
	n := edge.Network{ID: "n", Number: 3, Cloud: "east", VLAN: 101, CIDR: "10.1.0.0/24", Gateway: "10.1.0.1"}
	for _, step := range []struct {
		name   string
		change func()
		want   []string
	}{
		{"first", func() {}, []string{"add vlan net3 on 7 tag 101 proto 0x8100", "up net3", "address 10.1.0.1/24"}},
		{"again", func() {}, nil},
		{"another tag", func() { n.VLAN = 102 }, []string{"remove net3", "add vlan net3 on 7 tag 102 proto 0x8100", "up net3", "address 10.1.0.1/24"}},
		{"another cloud", func() { n.Cloud = "west" }, []string{"remove net3", "add vlan net3 on 8 tag 102 proto 0x8100", "up net3", "address 10.1.0.1/24"}},
		{"another gateway", func() { n.Gateway = "10.1.0.254" }, []string{"address off 10.1.0.1/24", "address 10.1.0.254/24"}},
		{"down by other hands", func() { k.inside["net3"].Attrs().Flags = 0 }, []string{"up net3"}},
		{"no tag", func() { n.VLAN = 0 }, []string{"remove net3", "add macvlan net3 on 8", "up net3", "address 10.1.0.254/24"}},
	} {
		step.change()
		done, _, err := apply(n)
		if err != nil || !slices.Equal(done, step.want) {
			t.Errorf("%s: %q, %v; want %q", step.name, done, err, step.want)
		}
		fresh := slices.ContainsFunc(step.want, func(s string) bool { return strings.HasPrefix(s, "address ") && !strings.HasPrefix(s, "address off") })
		if fresh != (len(told) == 1 && told[0].String() == n.Gateway) {
			t.Errorf("%s: neighbours are told of %v", step.name, told)
		}
	}

	// Where the kernel can't, the network is blamed, and says what to do.
	k.refuse = unix.EOPNOTSUPP
	n.VLAN, k.inside = 103, map[string]netlink.Link{}
	if _, _, err := apply(n); err == nil || !strings.Contains(err.Error(), "8021q") {
		t.Errorf("without VLANs: %v", err)
	}
	n.Cloud = "north"
	if _, _, err := apply(n); err == nil || !strings.Contains(err.Error(), "trunk") {
		t.Errorf("without a trunk: %v", err)
	}
}
