package host

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/millwright/millwright/internal/edge"
)

// Sources of a service and rules of the firewall, in their order, decide who
// comes in and what goes out; and what the kernel does is what edge.Org.Judge
// says.
func TestFirewallDecidesInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	r.orgs[0].Services = []edge.Service{
		service("open", 1, edge.ProtocolTCP, "203.0.113.11", 80, a),
		service("listed", 2, edge.ProtocolTCP, "203.0.113.11", 81, a),
		service("off", 3, edge.ProtocolTCP, "203.0.113.11", 82, a),
		service("nobody", 4, edge.ProtocolTCP, "203.0.113.11", 83, a),
	}
	r.orgs[0].Services[1].Sources = []string{clientOne + "/32"}
	r.orgs[0].Services[2].Enabled = false
	r.orgs[0].Services[3].Sources = nil
	outside := r.listen(r.inet, "tcp", clientOne+":9000")
	defer outside.Close()
	r.start()

	judge := func(step string) {
		t.Helper()
		for _, from := range []string{clientOne, clientTwo} {
			for port := 80; port <= 84; port++ {
				v := r.orgs[0].Judge(edge.Flow{Direction: edge.DirectionIn, Source: netip.MustParseAddr(from), Destination: netip.MustParseAddr("203.0.113.11"), Protocol: "tcp", Port: port})
				at := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.11"), uint16(port)).String()
				if v.Pass {
					r.passes(r.inet, from, "http://"+at+"/", a.name)
				} else {
					r.refused(r.inet, from, "tcp", at)
				}
			}
		}
		if t.Failed() {
			t.Fatalf("at the step: %s", step)
		}
	}
	r.want()
	judge("services alone")
	// Established first: what is open stays open under a new deny.
	stream, err := dial(r.inet, clientTwo, "tcp", "203.0.113.11:80")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	r.orgs[0].Firewall = []edge.Rule{{ID: "deny-two", Direction: "in", Source: clientTwo + "/32", Protocol: "tcp", FirstPort: 80, LastPort: 81}}
	r.want()
	judge("a deny closes an open service to one source")
	_ = stream.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := stream.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		t.Error(err)
	}
	if n, err := stream.Read(make([]byte, 100)); err != nil || n == 0 {
		t.Errorf("what was established is cut: %v", err)
	}
	r.orgs[0].Firewall = append([]edge.Rule{{ID: "allow-two", Direction: "in", Source: clientTwo + "/32", Protocol: "any", Allow: true}}, r.orgs[0].Firewall...)
	r.want()
	judge("an allow before it spares the deny, not the service's own sources")
	r.orgs[0].Firewall = []edge.Rule{{ID: "deny-machine", Direction: "in", Destination: "10.0.0.5/32", Protocol: "any"}}
	r.want()
	judge("a deny of a machine closes every service that it is a node of")

	// Out: allowed by default, denied by rule, in order.
	out := func(pass bool, step string) {
		t.Helper()
		c, err := dial(a.ns, "", "tcp", clientOne+":9000")
		if err == nil {
			c.Close()
		}
		if (err == nil) != pass {
			t.Errorf("%s: a machine's connection outwards ends with %v", step, err)
		}
	}
	out(true, "without a rule")
	r.orgs[0].Firewall = []edge.Rule{{ID: "deny-out", Direction: "out", Source: "10.0.0.0/24", Destination: clientOne + "/32", Protocol: "tcp", FirstPort: 9000, LastPort: 9000}}
	r.want()
	out(false, "denied")
	r.orgs[0].Firewall = append([]edge.Rule{{ID: "allow-out", Direction: "out", Source: "10.0.0.5/32", Protocol: "any", Allow: true}}, r.orgs[0].Firewall...)
	r.want()
	out(true, "allowed before")
	r.orgs[0].Firewall = nil
	r.orgs[0].Outbound = ""
	r.want()
	out(false, "without a public address")
}

// Orgs don't reach each other but by what each publishes, nor the gateway.
func TestNothingLeaksBetweenOrgsOrToTheHost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(1, "10.0.0.6")
	r.orgs[0].Services = []edge.Service{service("a", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
	r.orgs[1].Services = []edge.Service{service("b", 1, edge.ProtocolTCP, "203.0.113.21", 80, b)}
	r.orgs[1].Services[0].Sources = []string{r.orgs[0].Outbound + "/32"}
	// The host's management, on all its addresses; and a network behind the
	// router that only the operator is to reach.
	manage := r.listen(r.gateway, "tcp", "0.0.0.0:2200")
	defer manage.Close()
	go func() {
		for {
			c, err := manage.Accept()
			if err != nil {
				return
			}
			t.Errorf("the host's management is reached from %s", c.RemoteAddr())
			c.Close()
		}
	}()
	router := r.listen(r.inet, "tcp", routerAddress+":2200")
	defer router.Close()
	r.start()
	r.want()

	// What is published passes, as from the internet: by the other's address.
	if text := r.passes(a.ns, "", "http://203.0.113.21/", b.name); !strings.Contains(text, r.orgs[0].Outbound) {
		t.Errorf("the other org sees %q", text)
	}
	r.refused(b.ns, "", "tcp", "203.0.113.21:81")
	// Not listed: org B's own machine may (it is its service), the client not.
	r.refused(r.inet, clientOne, "tcp", "203.0.113.21:80")

	// By private addresses: A has no .6, B has no .5; neither finds the other's.
	r.refused(a.ns, "", "tcp", "10.0.0.6:80")
	r.refused(b.ns, "", "tcp", "10.0.0.5:80")
	// With a route to the other org's gateway as if it were a neighbour.
	for _, ns := range []namespace{a.ns, b.ns, r.inet} {
		for _, at := range []string{"203.0.113.2:2200", "127.0.0.1:2200"} {
			if ns == r.inet {
				continue
			}
			r.refused(ns, "", "tcp", at)
		}
	}
	r.refused(a.ns, "", "tcp", routerAddress+":2200") // refused by --refuse
	r.refused(a.ns, "", "tcp", "10.0.0.1:2200")
	// From the internet to private addresses, by a router that was told so.
	for _, public := range []string{"203.0.113.11", "203.0.113.21"} {
		if err := r.inet.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
			return in.RouteReplace(&netlink.Route{Gw: net.ParseIP(public), Dst: &net.IPNet{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(24, 32)}})
		}); err != nil {
			t.Fatal(err)
		}
		r.refused(r.inet, clientOne, "tcp", "10.0.0.5:80")
		r.refused(r.inet, clientOne, "tcp", "10.0.0.6:80")
		r.refused(r.inet, clientOne, "tcp", "10.0.0.1:2200")
	}
	// The uplink does not answer for private addresses.
	if err := arping(r.inet, "gw", "10.0.0.1"); err == nil {
		t.Error("the uplink tells where 10.0.0.1 is")
	}
	if err := arping(r.inet, "gw", "203.0.113.11"); err != nil {
		t.Errorf("the uplink does not tell where 203.0.113.11 is: %v", err)
	}
}

// arping asks on a link who has an address.
func arping(ns namespace, link, address string) error {
	return ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		l, err := in.LinkByName(link)
		if err != nil {
			return err
		}
		ip := net.ParseIP(address)
		_ = in.NeighDel(&netlink.Neigh{LinkIndex: l.Attrs().Index, IP: ip})
		_ = in.RouteReplace(&netlink.Route{LinkIndex: l.Attrs().Index, Scope: unix.RT_SCOPE_LINK, Dst: &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)}})
		_ = ns.do(func() error {
			d := net.Dialer{Timeout: 100 * time.Millisecond}
			c, err := d.DialContext(context.Background(), "udp", address+":9")
			if err == nil {
				_, _ = c.Write([]byte("x"))
				c.Close()
			}
			return err
		})
		for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			list, err := in.NeighList(l.Attrs().Index, netlink.FAMILY_V4)
			if err != nil {
				return err
			}
			for _, n := range list {
				if n.IP.Equal(ip) && n.State&(netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY) != 0 {
					return nil
				}
			}
		}
		return context.DeadlineExceeded
	})
}
