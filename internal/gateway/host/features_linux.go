package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/millwright/millwright/internal/edge"
)

// Features says what the host has, and what to do about what it lacks.
func (h *Host) Features(ctx context.Context) []edge.Feature {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.features == nil {
		h.features = look(ctx, h.options)
	}
	return h.features
}

func look(ctx context.Context, o Options) []edge.Feature {
	list := []edge.Feature{
		{Name: "root", Present: os.Geteuid() == 0, Detail: "the gateway has to run as root"},
		program(ctx, "nftables", o.NFT, "--version", nftLeast),
		program(ctx, "haproxy", o.HAProxy, "-v", haproxyLeast),
		path("tun", "/dev/net/tun", "load the module tun"),
		path("connection tracking", "/proc/sys/net/netfilter/nf_conntrack_acct", "load the module nf_conntrack"),
		link("uplink", o.Uplink),
	}
	for cloud, name := range o.Trunks {
		list = append(list, link("trunk of "+cloud, name))
	}
	return append(list, trial(ctx, o)...)
}

// The oldest versions that take what is rendered.
var (
	nftLeast     = [3]int{1, 0, 6}
	haproxyLeast = [3]int{2, 6, 0}
)

var versionForm = regexp.MustCompile(`(\d+)\.(\d+)(?:\.(\d+))?`)

// program asks a program for its version, which has to be no older than least.
func program(ctx context.Context, name, path, flag string, least [3]int) edge.Feature {
	ctx, cancel := context.WithTimeout(ctx, patienceOf(ctx))
	defer cancel()
	out, err := exec.CommandContext(ctx, path, flag).Output() // #nosec G204 -- the operator names it
	if err != nil {
		return edge.Feature{Name: name, Detail: "install the package " + name + ": " + err.Error()}
	}
	first, _, _ := strings.Cut(string(out), "\n")
	m := versionForm.FindStringSubmatch(first)
	if m == nil {
		return edge.Feature{Name: name, Detail: fmt.Sprintf("%s tells no version: %q; install the package %s", path, first, name)}
	}
	var version [3]int
	for i := range version {
		version[i], _ = strconv.Atoi(m[i+1])
	}
	if slices.Compare(version[:], least[:]) < 0 {
		words := strings.TrimSuffix(fmt.Sprintf("%d.%d.%d", least[0], least[1], least[2]), ".0")
		return edge.Feature{Name: name, Detail: fmt.Sprintf("it is version %s; install the package %s in version %s or newer", m[0], name, words)}
	}
	return edge.Feature{Name: name, Present: true, Detail: first}
}

func path(name, at, remedy string) edge.Feature {
	if _, err := os.Stat(at); err != nil {
		return edge.Feature{Name: name, Detail: remedy}
	}
	return edge.Feature{Name: name, Present: true, Detail: at}
}

func link(name, at string) edge.Feature {
	if _, err := netlink.LinkByName(at); err != nil {
		return edge.Feature{Name: name, Detail: "no interface " + at}
	}
	return edge.Feature{Name: name, Present: true, Detail: at}
}

// trial makes a namespace and has the kernel look at every kind of rule that
// is used, and takes it away again.
func trial(ctx context.Context, o Options) []edge.Feature {
	ns := namespaceOf("check-" + strconv.Itoa(os.Getpid()))
	_, err := ns.ensure()
	if err != nil {
		return []edge.Feature{{Name: "network namespaces", Detail: err.Error()}}
	}
	defer func() { _ = ns.remove() }()
	list := []edge.Feature{{Name: "network namespaces", Present: true, Detail: "can be made"}}
	list = append(list, settings(ns)...)
	list = append(list, macvlan(ns, o), tunDevice(ns), hangsUp(ns), tracking(ns), proxying(ctx, ns, o))
	list = append(list, haproxyCan(ctx, o)...)
	list = append(list, vlans(ns))
	// A chain and expression of each kind that the ruleset has.
	for _, t := range [][2]string{
		{"address translation", "table ip t {\n chain c {\n type nat hook prerouting priority -100;\n meta l4proto udp dnat ip addr . port to numgen inc mod 1 map { 0 : 10.0.0.1 . 1 }\n}\n}\n"},
		{"transparent proxy", "table ip t {\n chain c {\n type filter hook prerouting priority -90;\n meta l4proto tcp socket transparent 1 meta mark set 1\n}\n}\n"},
		{"connection marks", "table ip t {\n counter a {\n }\n chain c {\n type filter hook input priority 0;\n counter name ct mark map { 1 : \"a\" }\n}\n}\n"},
		{"interval sets", "table ip t {\n set s {\n type mark . ipv4_addr\n flags interval\n elements = { 1 . 10.0.0.0/8 }\n}\n}\n"},
		{"connection timeouts", "table ip t {\n ct timeout a {\n protocol udp\n l3proto ip\n policy = { replied : 60 }\n }\n}\n"},
	} {
		f := edge.Feature{Name: t[0], Present: true, Detail: "nftables takes it"}
		if _, err := ns.run(ctx, t[1], o.NFT, "-c", "-f", "-"); err != nil {
			f.Present, f.Detail = false, err.Error()
		}
		list = append(list, f)
	}
	return list
}

// vlans tries one on the namespace's own loopback, where it does no harm.
func vlans(ns namespace) edge.Feature {
	err := ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		lo, err := in.LinkByName("lo")
		if err != nil {
			return err
		}
		a := netlink.NewLinkAttrs()
		a.Name, a.ParentIndex = "vlan1", lo.Attrs().Index
		return in.LinkAdd(&netlink.Vlan{LinkAttrs: a, VlanId: 1, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return edge.Feature{Name: "VLANs", Detail: "load the module 8021q; without it only networks that arrive untagged can be carried"}
	}
	if err != nil {
		return edge.Feature{Name: "VLANs", Detail: err.Error()}
	}
	return edge.Feature{Name: "VLANs", Present: true, Detail: "can be made"}
}
