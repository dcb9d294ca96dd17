package host

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// machine is a machine of an org: a namespace with one card.
type machine struct {
	rig     *rig
	ns      namespace
	name    string
	address string
	link    string // its end in lan
	cut     func() // ends its HTTP server and all its connections
}

// machine plugs one into org's network, with an HTTP server on port 80 that
// tells its name and who asks.
func (r *rig) machine(org int, address string) *machine {
	r.t.Helper()
	name := fmt.Sprintf("%c-%s", 'a'+org, address[strings.LastIndexByte(address, '.')+1:])
	m := &machine{rig: r, ns: r.namespace(name), name: name, address: address, link: "p" + name}
	r.veth(r.lan, m.link, m.ns, "eth0")
	r.must(r.lan.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		l, err := in.LinkByName(m.link)
		if err != nil {
			return err
		}
		bridge, err := in.LinkByName(fmt.Sprintf("br%d", org))
		if err != nil {
			return err
		}
		return in.LinkSetMaster(l, bridge)
	}))
	r.address(m.ns, "eth0", address+"/24")
	r.route(m.ns, "10.0.0.1")
	m.serve()
	return m
}

func (m *machine) serve() {
	l := m.rig.listen(m.ns, "tcp", ":80")
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/slow" { // a stream that lasts
			for range 40 {
				_, _ = io.WriteString(w, strings.Repeat("x", 1000))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(100 * time.Millisecond)
			}
			return
		}
		if host, asked := strings.CutPrefix(q.URL.Path, "/called/"); asked && q.Host != host {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
		fmt.Fprintf(w, "%s %s %s", m.name, q.RemoteAddr, q.Header.Get("X-Forwarded-For"))
	})}
	go func() { _ = server.Serve(l) }()
	m.cut = func() { _ = server.Close() }
	m.rig.t.Cleanup(m.cut)
}

// echo answers datagrams on a port with the machine's name and who asks.
func (m *machine) echo(port int) (stop func()) { return m.echoAt(fmt.Sprintf(":%d", port)) }

func (m *machine) echoAt(at string) (stop func()) {
	var c net.PacketConn
	m.rig.must(m.ns.do(func() (err error) {
		c, err = new(net.ListenConfig).ListenPacket(context.Background(), "udp4", at)
		return err
	}))
	go func() {
		b := make([]byte, 2000)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if n > 0 { // an empty one only asks whether somebody listens
				_, _ = c.WriteTo([]byte(m.name+" "+from.String()), from)
			}
		}
	}()
	m.rig.t.Cleanup(func() { _ = c.Close() })
	return func() { _ = c.Close() }
}

// unplug takes the cable out: what was sent to it is lost.
func (m *machine) unplug() {
	m.rig.must(m.rig.lan.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		l, err := in.LinkByName(m.link)
		if err != nil {
			return err
		}
		return in.LinkSetDown(l)
	}))
}

// drop has the machine's own firewall throw away whatever comes in.
func (m *machine) drop() error {
	_, err := m.ns.run(context.Background(), "table inet own {\n chain in {\n type filter hook input priority 0; policy drop;\n }\n}\n", "nft", "-f", "-")
	return err
}
