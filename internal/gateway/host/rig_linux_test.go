package host

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/testkit"
)

// The rig is a small world of network namespaces:
//
//	inet ── 203.0.113.1 ──up── gateway ─┬─trunk0── lan: br0 ── machines of org A, 10.0.0.0/24
//	 clients 198.51.100.7, .8           └─trunk1── lan: br1 ── machines of org B, 10.0.0.0/24
//
// The networks arrive without VLAN tags, each on a trunk of its own: not every
// kernel that can do all the rest can do VLANs.
//
// The agent is the real program, started inside gateway; the portal is a fake
// one on gateway's loopback.
type rig struct {
	t       testing.TB
	id      string
	inet    namespace
	gateway namespace
	lan     namespace
	portal  *portal
	state   string
	sockets string
	agent   *exec.Cmd
	ended   chan struct{}
	log     *os.File
	orgs    [2]edge.Org
}

const (
	routerAddress = "203.0.113.1"
	clientOne     = "198.51.100.7"
	clientTwo     = "198.51.100.8"
)

func randomName() string { return strings.ToLower(rand.Text()[:6]) }

func newRig(tb testing.TB) *rig {
	tb.Helper()
	id := randomName()
	r := &rig{t: tb, id: id, portal: newPortal()}
	dir, err := os.MkdirTemp("/tmp", "mwt-"+id+"-") //nolint:usetesting // paths of sockets have to be short
	r.must(err)
	r.state, r.sockets = filepath.Join(dir, "state"), filepath.Join(dir, "run")
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	r.inet, r.gateway, r.lan = r.namespace("inet"), r.namespace("gw"), r.namespace("lan")
	r.veth(r.inet, "gw", r.gateway, "up")
	r.address(r.inet, "gw", routerAddress+"/24")
	r.address(r.inet, "lo", clientOne+"/32")
	r.address(r.inet, "lo", clientTwo+"/32")
	r.address(r.gateway, "up", "203.0.113.2/24")
	r.route(r.gateway, routerAddress)
	for i := range r.orgs {
		r.orgs[i] = edge.Org{ID: fmt.Sprintf("org-%c-%s", 'a'+i, id), Key: fmt.Sprintf("%s%c", id, 'a'+i), Generation: 1, Outbound: fmt.Sprintf("203.0.113.%d", 10*(i+1)),
			Networks: []edge.Network{{ID: fmt.Sprintf("net-%s-%d", id, i), Number: 1, Cloud: fmt.Sprintf("cloud%d", i), CIDR: "10.0.0.0/24", Gateway: "10.0.0.1"}}}
		trunk := fmt.Sprintf("trunk%d", i)
		r.veth(r.lan, trunk, r.gateway, trunk)
		r.must(r.lan.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
			a := netlink.NewLinkAttrs()
			a.Name = fmt.Sprintf("br%d", i)
			bridge := &netlink.Bridge{LinkAttrs: a}
			if err := in.LinkAdd(bridge); err != nil {
				return err
			}
			link, err := in.LinkByName(trunk)
			if err != nil {
				return err
			}
			return errors.Join(in.LinkSetMaster(link, bridge), in.LinkSetUp(bridge))
		}))
	}
	tb.Cleanup(func() {
		for _, o := range r.orgs {
			_ = namespaceOf(o.Key).remove()
		}
		endWhere("", dir+"/")
	})
	listener := r.listen(r.gateway, "tcp", "127.0.0.1:0")
	server := &http.Server{Handler: r.portal}
	go func() { _ = server.Serve(listener) }()
	tb.Cleanup(func() { r.portal.stop(); _ = server.Close() })
	r.portal.address = "http://" + listener.Addr().String()
	r.must(os.WriteFile(filepath.Join(dir, "token"), []byte("secret\n"), 0o600))
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) namespace(name string) namespace {
	ns := namespace{path: filepath.Join(namespaceDir, "mwt-"+r.id+"-"+name)}
	_, err := ns.ensure()
	r.must(err)
	r.t.Cleanup(func() { _ = ns.remove() })
	r.must(ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		lo, err := in.LinkByName("lo")
		if err != nil {
			return err
		}
		return in.LinkSetUp(lo)
	}))
	if name == "inet" {
		r.must(ns.do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }))
	}
	return ns
}

// veth plugs a cable between two namespaces.
func (r *rig) veth(a namespace, nameA string, b namespace, nameB string) {
	r.t.Helper()
	r.must(a.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		file, err := netns.GetFromPath(b.path)
		if err != nil {
			return err
		}
		defer file.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name = nameA
		link := &netlink.Veth{LinkAttrs: attrs, PeerName: nameB, PeerNamespace: netlink.NsFd(file)}
		if err := in.LinkAdd(link); err != nil {
			return err
		}
		return in.LinkSetUp(link)
	}))
	r.must(b.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		link, err := in.LinkByName(nameB)
		if err != nil {
			return err
		}
		return in.LinkSetUp(link)
	}))
}

func (r *rig) address(ns namespace, link, address string) {
	r.t.Helper()
	r.must(ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		l, err := in.LinkByName(link)
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		return in.AddrAdd(l, a)
	}))
}

func (r *rig) route(ns namespace, via string) {
	r.t.Helper()
	r.must(ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		return in.RouteAdd(&netlink.Route{Gw: net.ParseIP(via), Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}})
	}))
}

// listen opens a socket inside a namespace.
func (r *rig) listen(ns namespace, network, at string) (l net.Listener) {
	r.t.Helper()
	r.must(ns.do(func() (err error) {
		l, err = new(net.ListenConfig).Listen(context.Background(), network, at)
		return err
	}))
	return l
}

// start runs the agent until the test's end.
func (r *rig) start(flags ...string) {
	r.t.Helper()
	if r.log == nil {
		f, err := os.Create(filepath.Join(filepath.Dir(r.state), "agent.log"))
		r.must(err)
		r.log = f
		r.t.Cleanup(func() {
			r.kill()
			if r.t.Failed() {
				text, _ := os.ReadFile(f.Name())
				r.t.Logf("the agent said:\n%s", text[max(0, len(text)-8000):])
			}
		})
	}
	args := append([]string{"edge", "--portal", r.portal.address, "--token-file", filepath.Join(filepath.Dir(r.state), "token"),
		"--state", r.state, "--sockets", r.sockets, "--uplink", "up", "--trunk", "cloud0=trunk0;cloud1=trunk1", "--refuse", "203.0.113.1/32", "--tick", "1s"}, flags...)
	cmd := exec.Command(testkit.Binary(r.t), args...)
	cmd.Stdout, cmd.Stderr = r.log, r.log
	r.must(r.gateway.do(cmd.Start))
	r.agent, r.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) { _ = cmd.Wait(); close(ended) }(r.ended)
}

// kill ends the agent as kill -9 does.
func (r *rig) kill() {
	if r.agent != nil {
		_ = r.agent.Process.Signal(syscall.SIGKILL)
		<-r.ended
		r.agent = nil
	}
}

// want has the portal ask for both orgs as they are now, each with another
// generation, and waits until they are applied.
func (r *rig) want() {
	r.t.Helper()
	for i := range r.orgs {
		r.orgs[i].Generation++
	}
	r.portal.set(r.orgs[:]...)
	r.applied()
}

func (r *rig) applied() {
	r.t.Helper()
	r.status(func(s edge.Status) bool {
		n := 0
		for _, o := range s.Orgs {
			for _, want := range r.orgs {
				if o.ID == want.ID && o.Applied == want.Generation {
					n++
				}
			}
		}
		return n == len(r.orgs)
	})
}

// status waits for a report that holds.
func (r *rig) status(holds func(edge.Status) bool) edge.Status {
	r.t.Helper()
	s, err := r.portal.wait(20*time.Second, holds)
	if err != nil {
		text, _ := json.MarshalIndent(s, "", " ") //nolint:errchkjson // plain times
		r.t.Fatalf("no such report; the last was\n%s", text)
	}
	return s
}

func orgOf(s edge.Status, id string) edge.OrgStatus {
	for _, o := range s.Orgs {
		if o.ID == id {
			return o
		}
	}
	return edge.OrgStatus{}
}

func serviceOf(s edge.Status, org, id string) edge.ServiceStatus {
	for _, v := range orgOf(s, org).Services {
		if v.ID == id {
			return v
		}
	}
	return edge.ServiceStatus{}
}

func nodeOf(s edge.Status, org, service, id string) edge.NodeStatus {
	for _, n := range serviceOf(s, org, service).Nodes {
		if n.ID == id {
			return n
		}
	}
	return edge.NodeStatus{}
}

// service is one with nodes on port 80 that anybody may come to.
func service(id string, mark int, protocol, publicIP string, port int, nodes ...*machine) edge.Service {
	s := edge.Service{ID: id, Mark: mark, PublicIP: publicIP, Protocol: protocol, Port: port, Enabled: true, Balancing: edge.BalanceRound,
		IdleTimeoutSeconds: 60, Sources: []string{"0.0.0.0/0"}, Monitor: &edge.Monitor{Kind: "tcp"}}
	for i, m := range nodes {
		s.Nodes = append(s.Nodes, edge.Node{ID: fmt.Sprintf("%s-%d", id, i), Address: m.address, Port: 80, Enabled: true})
	}
	return s
}

// dial connects from inside a namespace, in the name of one of its addresses.
func dial(ns namespace, from, network, at string) (c net.Conn, err error) {
	err = ns.do(func() error {
		d := net.Dialer{Timeout: 3 * time.Second}
		if from != "" {
			if network == "udp" {
				d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(from)}
			} else {
				d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
			}
		}
		c, err = d.Dial(network, at)
		return err
	})
	return c, err
}

// get asks by HTTP, over a connection of its own.
func get(ns namespace, from, url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(_ context.Context, network, at string) (net.Conn, error) { return dial(ns, from, network, at) }}}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", res.Status, text)
	}
	return string(text), err
}

// passes insists on an answer that begins with prefix.
func (r *rig) passes(ns namespace, from, url, prefix string) string {
	r.t.Helper()
	text, err := get(ns, from, url)
	if err != nil || !strings.HasPrefix(text, prefix) {
		r.t.Errorf("from %s %s answers %q, %v; want %q", from, url, text, err, prefix)
	}
	return text
}

// refused insists on none within a second.
func (r *rig) refused(ns namespace, from, network, at string) {
	r.t.Helper()
	var c net.Conn
	err := ns.do(func() (err error) {
		d := net.Dialer{Timeout: time.Second}
		if from != "" && network == "tcp" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
		}
		c, err = d.Dial(network, at)
		return err
	})
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if n, err := c.Read(make([]byte, 1)); err == nil && n > 0 {
		r.t.Errorf("from %s %s %s passes", from, network, at)
	}
}

// ask sends a datagram and returns the answer.
func ask(ns namespace, from, at string) (string, error) {
	c, err := dial(ns, from, "udp", at)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(c, "hello"); err != nil {
		return "", err
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	return string(b[:n]), err
}
