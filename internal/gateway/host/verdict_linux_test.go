package host

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/tun/netstack"

	"github.com/millwright/millwright/internal/edge"
)

// The dry run and the trace tell people what edge.Org.Judge says. The kernel is
// asked the same, by somebody who really stands at that source: strangers, the
// org's own machines and devices, another org's machine at the same private
// address, and a node that comes to its own service.
func TestJudgeSaysWhatTheKernelDoes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const private, other = "10.1.0.9", "10.2.0.9" // of somebody behind the router: nobody's in the org
	r.address(r.inet, "lo", private+"/32")
	r.address(r.inet, "lo", other+"/32")
	node, neighbour := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
	twin := r.machine(1, "10.0.0.5")
	node.echo(80)
	serverPrivate, serverPublic := wireguardKeys(t)
	devicePrivate, devicePublic := wireguardKeys(t)

	const at, bare = "203.0.113.11", "203.0.113.12"
	a := &r.orgs[0]
	a.VPN = &edge.VPN{ID: "vpn", PublicIP: bare, Port: 51820, PrivateKey: serverPrivate, CIDR: "10.9.0.0/24", Address: "10.9.0.1",
		Peers: []edge.Peer{{ID: "device", PublicKey: devicePublic, Address: "10.9.0.2"}}}
	a.Services = []edge.Service{
		service("open", 1, edge.ProtocolTCP, at, 80, node),
		service("listed", 2, edge.ProtocolTCP, at, 81, node),
		service("nobody", 3, edge.ProtocolHTTP, at, 82, node),
		service("off", 4, edge.ProtocolTCP, at, 83, node),
		service("twin", 5, edge.ProtocolTCP, at, 84, node),
		service("closed", 6, edge.ProtocolTCP, at, 85, node),
		service("dns", 7, edge.ProtocolUDP, at, 53, node),
	}
	a.Services[1].Sources = []string{clientOne + "/32"}
	a.Services[2].Sources = nil
	a.Services[3].Enabled = false
	a.Services[4].Sources = []string{r.orgs[1].Outbound + "/32"}
	a.Services[6].Sources = []string{clientOne + "/32"}
	a.Firewall = []edge.Rule{
		{ID: "own-in", Direction: "in", Source: "10.0.0.0/24", Protocol: "any"},
		{ID: "devices-in", Direction: "in", Source: "10.9.0.0/24", Protocol: "any"},
		{ID: "behind", Direction: "in", Source: "10.1.0.0/16", Protocol: "any"},
		{ID: "shut", Direction: "in", Protocol: "tcp", FirstPort: 85, LastPort: 85},
		{ID: "echo", Direction: "in", Source: clientTwo + "/32", Protocol: "icmp", Allow: true},
		{ID: "own-out", Direction: "out", Source: "10.0.0.0/24", Destination: at + "/32", Protocol: "any"},
		{ID: "neighbour-out", Direction: "out", Destination: "10.0.0.0/24", Protocol: "any"},
		{ID: "out", Direction: "out", Protocol: "tcp", FirstPort: 9001, LastPort: 9001},
	}
	for _, port := range []string{"9000", "9001"} {
		l := r.listen(r.inet, "tcp", clientOne+":"+port)
		defer l.Close()
		go serveOK(l)
	}
	r.start()
	r.want()
	if left := orgOf(r.status(func(s edge.Status) bool { return orgOf(s, a.ID).Applied == a.Generation }), a.ID).Failed; len(left) > 0 {
		t.Fatalf("left out: %+v", left)
	}
	device := r.device(devicePrivate, serverPublic, bare+":51820", "10.9.0.2")

	stranger := func(address string) asker { return asker{ns: r.inet, address: address, seen: address} }
	one, two := stranger(clientOne), stranger(clientTwo)
	own, next := asker{ns: node.ns, seen: node.address}, asker{ns: neighbour.ns, seen: neighbour.address}
	phone := asker{device: device, seen: "10.9.0.2"}
	twinAsks := asker{ns: twin.ns, seen: r.orgs[1].Outbound} // as the other org's gateway sends it on
	for name, c := range map[string]struct {
		from      asker
		direction string
		to        string
		protocol  string
		port      int
		want      edge.Verdict
	}{
		"a stranger at an open service":               {two, "in", at, "tcp", 80, edge.Verdict{Pass: true, Ground: edge.ByService, Service: "open"}},
		"a stranger who is listed":                    {one, "in", at, "tcp", 81, edge.Verdict{Pass: true, Ground: edge.ByService, Service: "listed"}},
		"a stranger who isn't":                        {two, "in", at, "tcp", 81, edge.Verdict{Ground: edge.BySources, Service: "listed"}},
		"a stranger where a rule denies":              {one, "in", at, "tcp", 85, edge.Verdict{Ground: edge.ByRule, Rule: "shut", Service: "closed"}},
		"a stranger at a service that is off":         {one, "in", at, "tcp", 83, edge.Verdict{Ground: edge.ByDisabled, Service: "off"}},
		"a stranger by UDP":                           {one, "in", at, "udp", 53, edge.Verdict{Pass: true, Ground: edge.ByService, Service: "dns"}},
		"a stranger by UDP who isn't listed":          {two, "in", at, "udp", 53, edge.Verdict{Ground: edge.BySources, Service: "dns"}},
		"an echo where a rule lets it":                {two, "in", at, "icmp", 0, edge.Verdict{Pass: true, Ground: edge.ByRule, Rule: "echo"}},
		"an echo otherwise":                           {one, "in", at, "icmp", 0, edge.Verdict{Ground: edge.ByDefault}},
		"a private address behind the router":         {stranger(other), "in", at, "tcp", 80, edge.Verdict{Pass: true, Ground: edge.ByService, Service: "open"}},
		"one that a rule denies":                      {stranger(private), "in", at, "tcp", 80, edge.Verdict{Ground: edge.ByRule, Rule: "behind", Service: "open"}},
		"a machine, whatever rules say":               {next, "in", at, "tcp", 80, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "open"}},
		"a machine, whatever sources say":             {next, "in", at, "tcp", 81, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "listed"}},
		"a machine where nobody is listed":            {next, "in", at, "tcp", 82, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "nobody"}},
		"a machine where a rule denies all":           {next, "in", at, "tcp", 85, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "closed"}},
		"a machine, asked about as going out":         {next, "out", at, "tcp", 81, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "listed"}},
		"a machine by UDP":                            {next, "in", at, "udp", 53, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "dns"}},
		"a machine at a service that is off":          {next, "in", at, "tcp", 83, edge.Verdict{Ground: edge.ByDisabled, Service: "off"}},
		"a machine where nothing is":                  {next, "out", at, "tcp", 443, edge.Verdict{Ground: edge.ByDefault}},
		"a machine at the VPN's address":              {next, "out", bare, "tcp", 80, edge.Verdict{Ground: edge.ByDefault}},
		"a machine's echo to a public address of its": {next, "out", at, "icmp", 0, edge.Verdict{Ground: edge.ByDefault}},
		"a machine's echo to its gateway":             {next, "out", "10.0.0.1", "icmp", 0, edge.Verdict{Pass: true, Ground: edge.ByOrg}},
		"a machine at its gateway":                    {next, "out", "10.0.0.1", "tcp", 80, edge.Verdict{Ground: edge.ByDefault}},
		"a machine at its neighbour":                  {next, "out", node.address, "tcp", 80, edge.Verdict{Pass: true, Ground: edge.ByOrg}},
		"a machine at a device":                       {next, "out", "10.9.0.2", "icmp", 0, edge.Verdict{Ground: edge.ByDefault}},
		"a machine outwards":                          {next, "out", clientOne, "tcp", 9000, edge.Verdict{Pass: true, Ground: edge.ByDefault}},
		"a machine outwards where a rule denies":      {next, "out", clientOne, "tcp", 9001, edge.Verdict{Ground: edge.ByRule, Rule: "out"}},
		"a node at its own service":                   {own, "in", at, "tcp", 81, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "listed"}},
		"a node at its own service by UDP":            {own, "in", at, "udp", 53, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "dns"}},
		"a device, whatever rules say":                {phone, "in", at, "tcp", 80, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "open"}},
		"a device, whatever sources say":              {phone, "in", at, "tcp", 82, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "nobody"}},
		"a device by UDP":                             {phone, "in", at, "udp", 53, edge.Verdict{Pass: true, Ground: edge.ByOrg, Service: "dns"}},
		"a device at a service that is off":           {phone, "in", at, "tcp", 83, edge.Verdict{Ground: edge.ByDisabled, Service: "off"}},
		"a device at a machine":                       {phone, "in", node.address, "tcp", 80, edge.Verdict{Pass: true, Ground: edge.ByOrg}},
		"a device outwards":                           {phone, "out", clientOne, "tcp", 9000, edge.Verdict{Ground: edge.ByDefault}},
		"another org's machine at the same address":   {twinAsks, "in", at, "tcp", 81, edge.Verdict{Ground: edge.BySources, Service: "listed"}},
		"another org's machine that is listed":        {twinAsks, "in", at, "tcp", 84, edge.Verdict{Pass: true, Ground: edge.ByService, Service: "twin"}},
		"another org's machine at an open service":    {twinAsks, "in", at, "tcp", 80, edge.Verdict{Pass: true, Ground: edge.ByService, Service: "open"}},
	} {
		said := a.Judge(edge.Flow{Direction: c.direction, Source: netip.MustParseAddr(c.from.seen), Destination: netip.MustParseAddr(c.to), Protocol: c.protocol, Port: c.port})
		if said != c.want {
			t.Errorf("%s: Judge says %+v, want %+v", name, said, c.want)
		}
		if did := c.from.reaches(t, c.protocol, netip.AddrPortFrom(netip.MustParseAddr(c.to), uint16(c.port))); did != said.Pass {
			t.Errorf("%s: Judge says %+v, and the kernel lets it through: %t", name, said, did)
		}
	}
}

// asker is somebody who tries: in a namespace, in the name of one of its
// addresses or its only one, or behind a tunnel.
type asker struct {
	ns      namespace
	address string
	device  *netstack.Net
	seen    string // the source that the org's gateway sees
}

func serveOK(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte("HTTP/1.0 200 OK\r\n\r\n"))
		c.Close()
	}
}

// reaches tries, and says whether anything came back.
func (a asker) reaches(t *testing.T, protocol string, to netip.AddrPort) bool {
	t.Helper()
	c, err := a.dial(protocol, to)
	if err != nil {
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &timeout) {
			t.Errorf("%s to %s: %v", protocol, to, err) // the question itself went wrong
		}
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	text := []byte("GET / HTTP/1.0\r\n\r\n")
	if protocol == "icmp" {
		text = []byte{8, 0, 0xf7, 0xfd, 0, 1, 0, 1} // an echo request with its checksum
	}
	if _, err := c.Write(text); err != nil {
		return false
	}
	n, err := c.Read(make([]byte, 1))
	return err == nil && n > 0
}

func (a asker) dial(protocol string, to netip.AddrPort) (c net.Conn, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if a.device != nil {
		return a.device.DialContext(ctx, protocol, to.String())
	}
	err = a.ns.do(func() error {
		var d net.Dialer
		ip := net.ParseIP(a.address)
		switch protocol {
		case "icmp":
			d.LocalAddr = &net.IPAddr{IP: ip}
			c, err = d.DialContext(ctx, "ip4:icmp", to.Addr().String())
			return err
		case "udp":
			d.LocalAddr = &net.UDPAddr{IP: ip}
		default:
			d.LocalAddr = &net.TCPAddr{IP: ip}
		}
		c, err = d.DialContext(ctx, protocol, to.String())
		return err
	})
	return c, err
}
