package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway/render"
)

// settings writes an org's sysctls into the trial's namespace. Two are named
// by themselves: without them the gateway would count or start wrongly.
func settings(ns namespace) []edge.Feature {
	tell := func(name, sysctl string) edge.Feature {
		path := "/proc/sys/" + strings.ReplaceAll(sysctl, ".", "/")
		err := ns.do(func() error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0) // #nosec G304 -- one of the two below
			if err != nil {
				return err
			}
			_, err = f.WriteString("1")
			return errors.Join(err, f.Close())
		})
		if err != nil {
			remedy := "the kernel has no sysctl " + sysctl
			if strings.HasPrefix(sysctl, "net.netfilter.") {
				remedy += ": load the module nf_conntrack"
			}
			if !errors.Is(err, fs.ErrNotExist) {
				remedy = fmt.Sprintf("sysctl %s can't be set: %v", sysctl, err)
			}
			return edge.Feature{Name: name, Detail: remedy}
		}
		return edge.Feature{Name: name, Present: true, Detail: sysctl + " can be set"}
	}
	list := []edge.Feature{tell("connection accounting", "net.netfilter.nf_conntrack_acct"), tell("binding ahead", "net.ipv4.ip_nonlocal_bind")}
	if _, err := ns.settle(); err != nil {
		return append(list, edge.Feature{Name: "sysctls", Detail: err.Error()})
	}
	return append(list, edge.Feature{Name: "sysctls", Present: true, Detail: "can be set"})
}

// macvlan tries one on the uplink, as each org gets it.
func macvlan(ns namespace, o Options) edge.Feature {
	const name = "macvlan"
	parent, err := netlink.LinkByName(o.Uplink)
	if err != nil {
		return edge.Feature{Name: name, Detail: "can't be tried without the uplink " + o.Uplink}
	}
	err = ns.handles(func(_ *netlink.Handle, file netns.NsHandle) error {
		a := netlink.NewLinkAttrs()
		a.Name, a.ParentIndex, a.Namespace = "try0", parent.Attrs().Index, netlink.NsFd(file)
		return netlink.LinkAdd(&netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_BRIDGE})
	})
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return edge.Feature{Name: name, Detail: "load the module macvlan: orgs have no place on the uplink without it"}
	case err != nil:
		return edge.Feature{Name: name, Detail: fmt.Sprintf("can't be made on %s: %v", o.Uplink, err)}
	}
	return edge.Feature{Name: name, Present: true, Detail: "can be made on " + o.Uplink}
}

// tunDevice makes a TUN device, as a VPN gets it.
func tunDevice(ns namespace) edge.Feature {
	err := ns.do(func() error {
		link, err := tun.CreateTUN(render.Tunnel, tunnelMTU)
		if err != nil {
			return err
		}
		return link.Close()
	})
	if err != nil {
		return edge.Feature{Name: "TUN device", Detail: "can't be made: " + err.Error() + "; load the module tun, without it no VPN runs"}
	}
	return edge.Feature{Name: "TUN device", Present: true, Detail: "can be made"}
}

// hangsUp ends a connection from beneath, as those of a service that is
// switched off.
func hangsUp(ns namespace) edge.Feature {
	const name = "ending connections"
	err := ns.do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close() //nolint:errcheck // a trial
		c, err := new(net.Dialer).Dial("tcp4", l.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // a trial
		return netlink.SocketDestroy(c.LocalAddr(), c.RemoteAddr())
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return edge.Feature{Name: name, Detail: "a kernel with CONFIG_INET_DIAG_DESTROY is needed; without it, connections to what is switched off are cut silently"}
	}
	if err != nil {
		return edge.Feature{Name: name, Detail: err.Error()}
	}
	return edge.Feature{Name: name, Present: true, Detail: "the kernel does it"}
}

// tracking reads the connections, as for what is open.
func tracking(ns namespace) edge.Feature {
	if _, err := flows(ns); err != nil {
		return edge.Feature{Name: "reading connections", Detail: err.Error() + ": load the module nf_conntrack_netlink"}
	}
	return edge.Feature{Name: "reading connections", Present: true, Detail: "the kernel tells them"}
}

// proxying has HAProxy look at a configuration with all that is rendered.
func proxying(ctx context.Context, ns namespace, o Options) edge.Feature {
	const name = "proxying"
	dir, err := os.MkdirTemp("", "millwright-check-")
	if err != nil {
		return edge.Feature{Name: name, Detail: err.Error()}
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a trial
	org := edge.Org{Key: "check"}
	for i, protocol := range []string{edge.ProtocolTCP, edge.ProtocolHTTP} {
		org.Services = append(org.Services, edge.Service{ID: protocol, Mark: i + 1, PublicIP: "192.0.2.1", Protocol: protocol, Port: 80 + i, Enabled: true, IdleTimeoutSeconds: 60,
			Monitor: &edge.Monitor{Kind: "http", Path: "/"}, Nodes: []edge.Node{{ID: "node", Address: "192.0.2.2", Port: 80, Enabled: true}}})
	}
	p := haproxy{ns: ns, key: org.Key, program: o.HAProxy, dir: dir, socket: filepath.Join(dir, "sock")}
	err = os.WriteFile(p.config(), []byte(render.HAProxy(org, render.HAProxyOptions{Socket: p.socket, StateFile: p.health(), Chroot: dir, MaxConn: 256}).Text), 0o600)
	if err == nil {
		err = p.check(ctx, p.config())
	}
	if err != nil {
		return edge.Feature{Name: name, Detail: "install the package haproxy: it refuses what a gateway needs: " + strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	return edge.Feature{Name: name, Present: true, Detail: "HAProxy takes a gateway's configuration"}
}

// haproxyCan looks for what HAProxy has to be built with.
func haproxyCan(ctx context.Context, o Options) []edge.Feature {
	ctx, cancel := context.WithTimeout(ctx, patienceOf(ctx))
	defer cancel()
	out, err := exec.CommandContext(ctx, o.HAProxy, "-vv").Output() // #nosec G204 -- the operator names it
	built := map[string]bool{}
	for word := range strings.FieldsSeq(string(out)) {
		built[word] = true
	}
	var list []edge.Feature
	for _, f := range [][3]string{
		{"splice", "+LINUX_SPLICE", "bytes pass through the kernel"},
		{"client addresses", "+LINUX_TPROXY", "machines see who came"},
	} {
		switch {
		case err != nil:
			list = append(list, edge.Feature{Name: f[0], Detail: "can't be told without HAProxy: install the package haproxy"})
		case !built[f[1]]:
			list = append(list, edge.Feature{Name: f[0], Detail: "this HAProxy is built without " + f[1][1:] + ": install the distribution's package haproxy"})
		default:
			list = append(list, edge.Feature{Name: f[0], Present: true, Detail: f[2]})
		}
	}
	return list
}
