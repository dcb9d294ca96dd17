package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/millwright/millwright/internal/edge"
)

// refusing makes a program that does as the real one until a file is there;
// then it refuses what it is told by the given first argument.
func (r *rig) refusing(program, argument string) (wrapper string, refuse, allow func()) {
	r.t.Helper()
	dir := filepath.Dir(r.state)
	wrapper = filepath.Join(dir, program)
	broken := wrapper + "-broken"
	text := fmt.Sprintf("#!/bin/sh\nif [ -e %s ] && [ \"$1\" = %s ]; then echo refused by test >&2; exit 1; fi\nexec %s \"$@\"\n", broken, argument, program)
	r.must(os.WriteFile(wrapper, []byte(text), 0o700))
	return wrapper, func() { r.must(os.WriteFile(broken, nil, 0o600)) }, func() { r.must(os.Remove(broken)) }
}

// standing is all that an org has in the kernel and in HAProxy, in words.
func (r *rig) standing(key string) string {
	r.t.Helper()
	ns := namespaceOf(key)
	var b strings.Builder
	r.must(ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		links, err := in.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			addresses, err := in.AddrList(l, netlink.FAMILY_V4)
			if err != nil {
				return err
			}
			set := map[string]bool{}
			for _, a := range addresses {
				set[a.IPNet.String()] = true
			}
			fmt.Fprintln(&b, l.Attrs().Name, set)
		}
		return nil
	}))
	rules, err := ns.run(r.t.Context(), "", "nft", "-s", "list", "ruleset")
	r.must(err)
	b.WriteString(rules)
	p := haproxy{ns: ns, key: key, socket: filepath.Join(r.sockets, key+".sock")}
	now, is := p.running(r.t.Context())
	fmt.Fprintln(&b, "HAProxy", is, now.structure)
	if is {
		stats, err := p.stats(r.t.Context())
		r.must(err)
		states := map[string]string{}
		for at, s := range stats {
			states[at] = strings.Fields(s.status)[0]
		}
		fmt.Fprintln(&b, states)
	}
	return b.String()
}

// Links, HAProxy and the kernel's rules change together or not at all:
// whichever of them refuses, all stand as they did, and when it refuses no
// more all of the change is there.
func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]struct{ program, argument, flag string }{
		"nftables": {"nft", "-f", "--nft"},
		"HAProxy":  {"haproxy", "-D", "--haproxy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
			old := service("old", 1, edge.ProtocolTCP, "203.0.113.11", 80, a, b)
			r.orgs[0].Services = []edge.Service{old}
			wrapper, refuse, allow := r.refusing(part.program, part.argument)
			r.start(part.flag, wrapper)
			r.want()
			r.status(func(s edge.Status) bool { return nodeOf(s, r.orgs[0].ID, "old", "old-0").State == edge.NodeUp })
			before, good := r.standing(r.orgs[0].Key), r.orgs[0].Generation
			refuse()
			// All kinds of change in one: an address, a network, a VPN, a service,
			// and a node switched over HAProxy's own socket.
			key, _ := wireguardKeys(t)
			r.orgs[0].VPN = &edge.VPN{ID: "vpn", PublicIP: "203.0.113.13", Port: 51820, PrivateKey: key, CIDR: "10.9.0.0/24", Address: "10.9.0.1"}
			r.orgs[0].Networks = append(r.orgs[0].Networks, edge.Network{ID: "second", Number: 2, Cloud: "cloud1", CIDR: "10.2.0.0/24", Gateway: "10.2.0.1"})
			r.orgs[1].Networks = nil // whose trunk that was
			r.orgs[0].Services = []edge.Service{old, service("new", 2, edge.ProtocolTCP, "203.0.113.12", 81, a)}
			r.orgs[0].Services[0].Nodes = append([]edge.Node(nil), old.Nodes...)
			r.orgs[0].Services[0].Nodes[0].Enabled = false
			r.orgs[0].Generation++
			r.portal.set(r.orgs[:]...)
			s := r.status(func(s edge.Status) bool {
				o := orgOf(s, r.orgs[0].ID)
				return o.Observed == r.orgs[0].Generation && o.Error != ""
			})
			if o := orgOf(s, r.orgs[0].ID); o.Applied != good || !strings.Contains(o.Error, "refused by test") {
				t.Errorf("applied %d of %d, error %q", o.Applied, o.Observed, o.Error)
			}
			if after := r.standing(r.orgs[0].Key); after != before {
				t.Errorf("before:\n%s\nafter the refusal:\n%s", before, after)
			}
			r.passes(r.inet, clientOne, "http://203.0.113.11/", "a-")
			// The agent that comes next has the same to go back to.
			r.kill()
			r.start(part.flag, wrapper)
			r.status(func(s edge.Status) bool { return orgOf(s, r.orgs[0].ID).Error != "" })
			if after := r.standing(r.orgs[0].Key); after != before {
				t.Errorf("before:\n%s\nafter the next agent's refusal:\n%s", before, after)
			}
			allow()
			r.applied() // tried again by itself
			r.passes(r.inet, clientOne, "http://203.0.113.12:81/", a.name)
			for range 4 {
				r.passes(r.inet, clientOne, "http://203.0.113.11/", b.name)
			}
			after := r.standing(r.orgs[0].Key)
			for _, part := range []string{"net2", "10.2.0.1/24", "203.0.113.12/32", "10.9.0.1/24", "svc_2/", "203.0.113.12 . tcp . 81"} {
				if !strings.Contains(after, part) {
					t.Errorf("%s is missing:\n%s", part, after)
				}
			}
		})
	}
}

// An org whose first state is refused has nothing, and leaves nothing behind.
func TestRefusedFirstStateLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, r.machine(0, "10.0.0.5"))}
	wrapper, refuse, allow := r.refusing("nft", "-f")
	refuse()
	r.start("--nft", wrapper)
	r.portal.set(r.orgs[:]...)
	r.status(func(s edge.Status) bool { return orgOf(s, r.orgs[0].ID).Error != "" })
	if namespaceOf(r.orgs[0].Key).alive() {
		t.Error("a namespace stays behind")
	}
	allow()
	r.applied()
	r.passes(r.inet, clientOne, "http://203.0.113.11/", "a-")
}

// A VPN that can't have its device fails alone: the org's services, rules and
// networks apply, and it comes by itself once the device can be had.
func TestVPNWithoutDeviceFailsAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	r.start()
	r.want()
	ns := namespaceOf(r.orgs[0].Key)
	// The name is taken: no device can be made.
	r.must(ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "wg0"
		return in.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
	}))
	key, _ := wireguardKeys(t)
	r.orgs[0].VPN = &edge.VPN{ID: "vpn", PublicIP: "203.0.113.12", Port: 51820, PrivateKey: key, CIDR: "10.9.0.0/24", Address: "10.9.0.1"}
	r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
	r.want()
	s := r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Failed) > 0 })
	if o := orgOf(s, r.orgs[0].ID); o.Error != "" || len(o.Failed) != 1 || o.Failed[0].ID != "vpn" || !strings.Contains(o.Failed[0].Text, "VPN") {
		t.Errorf("error %q, failed %+v", o.Error, o.Failed)
	}
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
	r.must(ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		link, err := in.LinkByName("wg0")
		if err != nil {
			return err
		}
		return in.LinkDel(link)
	}))
	r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Failed) == 0 })
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
}

// A program that hangs for one org is ended, and keeps the other org neither
// waiting nor from being repaired; the first stays as it was, and gets its
// change when nothing hangs any more.
func TestHangingProgramIsOneOrgs(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"nft", "haproxy"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			a, b := r.machine(0, "10.0.0.5"), r.machine(1, "10.0.0.5")
			r.orgs[0].Services = []edge.Service{service("one", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
			r.orgs[1].Services = []edge.Service{service("two", 1, edge.ProtocolTCP, "203.0.113.21", 80, b)}
			wrapper := filepath.Join(filepath.Dir(r.state), program)
			hang := wrapper + "-hangs"
			text := fmt.Sprintf("#!/bin/sh\nif [ -e %s ] && [ \"$(ip netns identify)\" = mw-%s ]; then sleep 1000; fi\nexec %s \"$@\"\n", hang, r.orgs[0].Key, program)
			r.must(os.WriteFile(wrapper, []byte(text), 0o700))
			r.start("--"+program, wrapper, "--patience", "4s")
			r.want()
			before, good := r.standing(r.orgs[0].Key), r.orgs[0].Generation
			r.must(os.WriteFile(hang, nil, 0o600))
			for i := range r.orgs {
				r.orgs[i].Generation++
			}
			r.orgs[0].Services = append(r.orgs[0].Services, service("new", 2, edge.ProtocolTCP, "203.0.113.11", 81, a))
			r.orgs[1].Services = append(r.orgs[1].Services, service("other", 2, edge.ProtocolTCP, "203.0.113.21", 81, b))
			r.portal.set(r.orgs[:]...)
			began := time.Now()
			s := r.status(func(s edge.Status) bool { return orgOf(s, r.orgs[1].ID).Applied == r.orgs[1].Generation })
			if took := time.Since(began); took > 3*time.Second || orgOf(s, r.orgs[0].ID).Error != "" {
				t.Errorf("the other org waited %s, until %q", took, orgOf(s, r.orgs[0].ID).Error)
			}
			r.passes(r.inet, clientOne, "http://203.0.113.21:81/", b.name)
			if _, err := namespaceOf(r.orgs[1].Key).run(t.Context(), "", "ip", "addr", "del", "203.0.113.21/32", "dev", "up0"); err != nil {
				t.Fatal(err)
			}
			r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[1].ID).Drift) > 0 })
			s = r.status(func(s edge.Status) bool { return orgOf(s, r.orgs[0].ID).Error != "" })
			if o := orgOf(s, r.orgs[0].ID); o.Applied != good || !strings.Contains(o.Error, "too long") {
				t.Errorf("applied %d of %d, error %q", o.Applied, o.Observed, o.Error)
			}
			if after := r.standing(r.orgs[0].Key); after != before {
				t.Errorf("before:\n%s\nafter what hung:\n%s", before, after)
			}
			r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
			r.must(os.Remove(hang))
			r.applied()
			r.passes(r.inet, clientOne, "http://203.0.113.11:81/", a.name)
		})
	}
}

// A network's gateway address may change without the network going away.
func TestGatewayAddressMoves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	r.start()
	r.want()
	r.orgs[0].Networks[0].Gateway = "10.0.0.254"
	r.want()
	if s := r.standing(r.orgs[0].Key); !strings.Contains(s, "net1 map[10.0.0.254/24:true]") {
		t.Errorf("after the move:\n%s", s)
	}
	r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
	r.orgs[0].Networks[0].Gateway = "10.0.0.1" // where the machine's route leads
	r.want()
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
}
