package lab

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// What every guest answers on: HTTP with its name, a banner as of an SSH
// server, and an echo for datagrams.
const (
	guestHTTP = 80
	guestSSH  = 22
	guestEcho = 7
)

// mappedPort stands in for a port that this process may not bind.
const mappedPort = 20_000

// Wire is where a running guest really listens: the lab has no network of its
// own, and two orgs may use the same addresses, so that each address of each
// org's folder has a loopback address to itself.
type Wire struct {
	Folder string `json:"folder"` // the org's
	Name   string `json:"name"`
	// Addresses are the private ones, of all its cards.
	Addresses []string `json:"addresses"`
	// TCP and UDP: the guest's port → host and port on this computer.
	TCP map[int]string `json:"tcp"`
	UDP map[int]string `json:"udp"`
}

// wire is a guest that is plugged in.
type wire struct {
	Wire
	mu     sync.Mutex
	closed bool
	open   map[io.Closer]bool
}

// plug opens or closes a guest's listeners as the machine runs or doesn't. The
// caller holds the machine's lock.
func (v *VCenter) plug(vm *mo.VirtualMachine) {
	v.mu.Lock()
	defer v.mu.Unlock()
	res := v.residents[vm.Self]
	if res == nil || res.catalogue {
		return
	}
	var addresses []string
	if vm.Guest != nil && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn && vm.Guest.IpAddress != "" {
		for _, n := range vm.Guest.Net {
			addresses = append(addresses, n.IpAddress...)
		}
	}
	if res.wire != nil && slices.Equal(res.wire.Addresses, addresses) {
		return
	}
	res.unplug()
	select {
	case <-v.closed:
		return
	default:
	}
	if len(addresses) == 0 || vm.Parent == nil {
		return
	}
	res.wire = newWire(v.options.Dir, v.pathOf(*vm.Parent, v.place.vmFolder), addresses, vm.Guest.HostName)
}

// unplug ends the guest's listeners and all its connections.
func (r *resident) unplug() {
	if r.wire == nil {
		return
	}
	w := r.wire
	r.wire = nil
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for c := range w.open {
		reset(c)
	}
	w.open = nil
}

// reset ends a connection as a machine does whose power is cut: nothing is
// said any more, and who writes hears that nobody is there.
func reset(c io.Closer) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

func newWire(dir, folder string, addresses []string, name string) *wire {
	w := &wire{Wire: Wire{Folder: folder, Addresses: addresses, Name: name, TCP: map[int]string{}, UDP: map[int]string{}}, open: map[io.Closer]bool{}}
	h := sha256.Sum256([]byte(dir + "\x00" + folder + "\x00" + addresses[0]))
	own := netip.AddrFrom4([4]byte{127, 32 + h[0]%192, h[1], 1 + h[2]%250})
	for port, serve := range map[int]func(net.Listener){guestHTTP: w.serveHTTP, guestSSH: w.serveBanner} {
		if l, at := w.listen(own, port); l != nil {
			w.TCP[port] = at
			go serve(l)
		}
	}
	for _, at := range places(own, guestEcho) {
		if c, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp4", at); err == nil && w.add(c) {
			w.UDP[guestEcho] = c.LocalAddr().String()
			go w.serveEcho(c)
			break
		}
	}
	return w
}

// places are tried in turn: the guest's own loopback address, the same with a
// port that needs no privilege, and, where the system has one loopback address
// only, any port there.
func places(own netip.Addr, port int) []string {
	return []string{
		netip.AddrPortFrom(own, uint16(port)).String(),            // #nosec G115 -- one of three constants
		netip.AddrPortFrom(own, uint16(mappedPort+port)).String(), // #nosec G115 -- one of three constants
		"127.0.0.1:0",
	}
}

func (w *wire) listen(own netip.Addr, port int) (net.Listener, string) {
	for _, at := range places(own, port) {
		if l, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", at); err == nil && w.add(l) {
			return l, l.Addr().String()
		}
	}
	return nil, ""
}

// add takes c along when the guest ends; false: it ended already.
func (w *wire) add(c io.Closer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_ = c.Close()
		return false
	}
	w.open[c] = true
	return true
}

func (w *wire) drop(c io.Closer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, c)
}

// wired is a listener whose connections end with the guest.
type wired struct {
	net.Listener
	wire *wire
}

func (l wired) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.wire.add(c)
	return c, nil
}

func (w *wire) serveHTTP(l net.Listener) {
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		Handler: http.HandlerFunc(func(a http.ResponseWriter, _ *http.Request) {
			a.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = fmt.Fprintln(a, w.Name)
		}),
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				w.drop(c)
			}
		}}
	_ = s.Serve(wired{l, w}) // ends with the guest
}

func (w *wire) serveBanner(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if !w.add(c) {
			return
		}
		go func() {
			defer w.drop(c)
			defer c.Close() //nolint:errcheck // said what there is to say
			_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.9 "+w.Name+"\r\n")
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			_, _ = io.Copy(io.Discard, c)
		}()
	}
}

func (w *wire) serveEcho(c net.PacketConn) {
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = c.WriteTo([]byte(w.Name+": "+string(b[:n])), from)
	}
}

// Wires lists the guests that can be reached.
func (v *VCenter) Wires() []Wire {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := []Wire{}
	for _, res := range v.residents {
		if res.wire != nil {
			list = append(list, res.wire.Wire)
		}
	}
	return list
}

func (v *VCenter) serveWires(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v.Wires())
}
