package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/millwright/millwright/internal/edge"
)

// Two orgs on one CIDR, each way round: an address that both have is one's own,
// one that only the other has is nobody's, and what the other publishes is
// reached as from the Internet, by whom it lists.
func TestOrgsOfOneCIDRReachEachOtherByWhatIsPublishedAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var both, alone [2]*machine // .5 is in both orgs, .6 in the first alone, .7 in the second
	for i := range r.orgs {
		both[i], alone[i] = r.machine(i, "10.0.0.5"), r.machine(i, fmt.Sprint("10.0.0.", 6+i))
		both[i].echo(53)
		public := fmt.Sprintf("203.0.113.%d1", i+1)
		web, dns := service("web", 1, edge.ProtocolTCP, public, 80, both[i]), service("dns", 2, edge.ProtocolUDP, public, 53, both[i])
		dns.Nodes[0].Port = 53
		r.orgs[i].Services = []edge.Service{web, dns, service("shut", 3, edge.ProtocolTCP, public, 81, alone[i])}
	}
	for i := range r.orgs {
		for n := range 2 {
			r.orgs[i].Services[n].Sources = []string{r.orgs[1-i].Outbound + "/32"}
		}
		r.orgs[i].Services[2].Sources = []string{clientOne + "/32"}
	}
	r.start()
	r.want()
	for i := range r.orgs {
		mine, theirs, other := both[i], both[1-i], r.orgs[1-i].Services[0].PublicIP
		t.Run(fmt.Sprintf("from %s", r.orgs[i].Key), func(t *testing.T) {
			r := r.of(t)
			r.passes(alone[i].ns, "", "http://10.0.0.5/", mine.name+" ")
			r.refused(mine.ns, "", "tcp", alone[1-i].address+":80")
			// By a route to its own gateway, and by one over the other's.
			for _, via := range []string{"10.0.0.1", other} {
				r.must(mine.ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
					link, err := in.LinkByName("eth0")
					if err != nil {
						return err
					}
					return in.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(via), Flags: int(netlink.FLAG_ONLINK),
						Dst: &net.IPNet{IP: net.ParseIP(alone[1-i].address), Mask: net.CIDRMask(32, 32)}})
				}))
				r.refused(mine.ns, "", "tcp", alone[1-i].address+":80")
			}
			// What is published for it, and what for others.
			for _, from := range []*machine{mine, alone[i]} {
				if text := r.passes(from.ns, "", "http://"+other+"/", theirs.name+" "); !strings.Contains(text, " "+r.orgs[i].Outbound+":") {
					t.Errorf("the other org sees %q, not %s", text, r.orgs[i].Outbound)
				}
				if text, err := ask(from.ns, "", other+":53"); err != nil || !strings.HasPrefix(text, theirs.name+" "+r.orgs[i].Outbound+":") {
					t.Errorf("the other org's echo says %q, %v", text, err)
				}
				r.refused(from.ns, "", "tcp", other+":81")
			}
			r.refused(r.inet, clientTwo, "tcp", other+":80")
			if text, err := ask(r.inet, clientTwo, other+":53"); err == nil {
				t.Errorf("who isn't listed hears %q", text)
			}
		})
	}
	// Not even an org whose own rule lets everybody in.
	for i := range r.orgs {
		r.orgs[i].Firewall = []edge.Rule{{ID: "all", Direction: "in", Protocol: "any", Allow: true}}
	}
	r.want()
	for i := range r.orgs {
		r.refused(both[i].ns, "", "tcp", alone[1-i].address+":80")
		r.refused(both[i].ns, "", "tcp", r.orgs[1-i].Services[2].PublicIP+":81")
		r.passes(alone[i].ns, "", "http://10.0.0.5/", both[i].name+" ")
	}
}

// of is the rig as a part of the test sees it.
func (r *rig) of(t *testing.T) *rig {
	part := *r
	part.t = t
	return &part
}

// Each org's device reaches its own org's machine by the address that the
// other's has too, and a key opens no door but its own org's.
func TestDeviceReachesItsOwnOrgsMachineAtASharedAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var machines [2]*machine
	var keys [2]string
	var server [2]string
	for i := range r.orgs {
		machines[i] = r.machine(i, "10.0.0.5")
		var private, public string
		private, server[i] = wireguardKeys(t)
		keys[i], public = wireguardKeys(t)
		r.orgs[i].VPN = &edge.VPN{ID: fmt.Sprint("vpn-", i), PublicIP: fmt.Sprintf("203.0.113.%d2", i+1), Port: 51820, PrivateKey: private, CIDR: "10.9.0.0/24", Address: "10.9.0.1",
			Peers: []edge.Peer{{ID: fmt.Sprint("peer-", i), PublicKey: public, Address: "10.9.0.2"}}}
	}
	only := r.machine(1, "10.0.0.7")
	r.start()
	r.want()
	at := func(i int) string { return r.orgs[i].VPN.PublicIP + ":51820" }
	for i, m := range machines {
		own := r.device(keys[i], server[i], at(i), "10.9.0.2")
		if text, err := through(own, "http://10.0.0.5/", 10*time.Second); err != nil || !strings.HasPrefix(text, m.name+" ") {
			t.Errorf("the device of %s reaches %q, %v", r.orgs[i].Key, text, err)
		}
		if text, err := through(own, "http://"+only.address+"/", 3*time.Second); (err == nil) != (i == 1) {
			t.Errorf("the device of %s asks for a machine of %s alone: %q, %v", r.orgs[i].Key, r.orgs[1].Key, text, err)
		}
		if text, err := through(r.device(keys[i], server[1-i], at(1-i), "10.9.0.2"), "http://10.0.0.5/", 2*time.Second); err == nil {
			t.Errorf("the key of %s opens the other's door: %q", r.orgs[i].Key, text)
		}
	}
}

// The same address and port on both sides of both orgs, at the same time: no
// answer meets the wrong one.
func TestEqualFlowsOfTwoOrgsDontMeet(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var machines []*machine
	for i := range r.orgs {
		machines = append(machines, r.machine(i, "10.0.0.5"), r.machine(i, "10.0.0.6"))
		m := machines[2*i]
		m.echo(53)
		public := fmt.Sprintf("203.0.113.%d1", i+1)
		dns := service("dns", 2, edge.ProtocolUDP, public, 53, m)
		dns.Nodes[0].Port = 53
		r.orgs[i].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, public, 80, m), dns}
	}
	outside := r.listen(r.inet, "tcp", clientOne+":9000")
	defer outside.Close()
	go func() {
		for {
			c, err := outside.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 100)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					fmt.Fprintf(c, "%s from %s", b[:n], c.RemoteAddr())
				}
			}()
		}
	}()
	(&machine{rig: r, ns: r.inet, name: "outside"}).echoAt(clientOne + ":9001")
	r.start()
	r.want()

	// Out: four machines, of them two with one address, all by one port.
	exchange := func(network, at string) {
		t.Helper()
		seen := map[string]bool{}
		open := make([]net.Conn, len(machines))
		for i, m := range machines {
			open[i] = r.dialBy(m.ns, network, at, 40000)
			defer open[i].Close()
		}
		for round := range 3 {
			for i, c := range open {
				fmt.Fprintf(c, "%s-%d", machines[i].name, i)
			}
			for i, c := range open {
				text := heard(c)
				want := fmt.Sprintf("%s-%d from ", machines[i].name, i)
				if network == "udp" {
					want = "outside "
				}
				from := strings.TrimPrefix(text, want)
				if from == text || !strings.HasPrefix(from, r.orgs[i/2].Outbound+":") {
					t.Errorf("%s, round %d: %s hears %q, of %s", network, round, machines[i].name, text, r.orgs[i/2].Outbound)
				}
				seen[from] = true
			}
		}
		if len(seen) != len(machines) {
			t.Errorf("%s: four machines are seen as %v", network, seen)
		}
	}
	exchange("tcp", clientOne+":9000")
	exchange("udp", clientOne+":9001")

	// In: one client, by one port, to both orgs, whose machines have one address.
	for _, network := range []string{"tcp", "udp"} {
		var open [2]net.Conn
		for i := range r.orgs {
			s := r.orgs[i].Services[0]
			if network == "udp" {
				s = r.orgs[i].Services[1]
			}
			open[i] = r.dialBy(r.inet, network, fmt.Sprintf("%s:%d", s.PublicIP, s.Port), 40001)
			defer open[i].Close()
		}
		for range 3 {
			for i, c := range open {
				want := machines[2*i].name
				if network == "tcp" {
					if name := askOn(t, c); name != want {
						t.Errorf("tcp: %s answers in the place of %s", name, want)
					}
					continue
				}
				if text := say(c); !strings.HasPrefix(text, want+" ") || !strings.HasSuffix(text, ":40001") {
					t.Errorf("udp: %q answers in the place of %s", text, want)
				}
			}
		}
	}
}

// dialBy connects by a given port of its own, which others of this namespace
// may use for other ends.
func (r *rig) dialBy(ns namespace, network, at string, port int) (c net.Conn) {
	r.t.Helper()
	r.must(ns.do(func() (err error) {
		d := net.Dialer{Timeout: 3 * time.Second, Control: reuse}
		if network == "udp" {
			d.LocalAddr = &net.UDPAddr{Port: port}
		} else {
			d.LocalAddr = &net.TCPAddr{Port: port}
		}
		c, err = d.DialContext(context.Background(), network, at)
		return err
	}))
	return c
}

// reuse has several sockets on one port.
func reuse(_, _ string, raw syscall.RawConn) error {
	var err error
	failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	return errors.Join(failed, err)
}

// heard is the next that comes.
func heard(c net.Conn) string {
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil {
		return err.Error()
	}
	return string(b[:n])
}
