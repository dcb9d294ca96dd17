package forward

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	nic       = 1
	tunnelMTU = 1420
	inFlight  = 256 // connections that wait for a machine's answer
)

// netTun is the device that WireGuard writes to: a TCP/IP stack in the
// process that answers for every address of the org's networks, and hands each
// connection to dial.
type netTun struct {
	endpoint *channel.Endpoint
	stack    *stack.Stack
	events   chan tun.Event
	ctx      context.Context //nolint:containedctx // ends with the device
	stop     context.CancelFunc
	close    sync.Once
	dial     func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
}

func newNetTun(own netip.Addr, dial func(context.Context, string, netip.AddrPort) (net.Conn, error)) (*netTun, error) {
	t := &netTun{endpoint: channel.New(1024, tunnelMTU, ""), events: make(chan tun.Event, 4), dial: dial}
	t.ctx, t.stop = context.WithCancel(context.Background())
	t.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	if err := t.stack.CreateNIC(nic, t.endpoint); err != nil {
		return nil, fmt.Errorf("tunnel: %s", err)
	}
	address := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFrom4(own.As4()).WithPrefix()}
	if err := t.stack.AddProtocolAddress(nic, address, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("tunnel: %s", err)
	}
	t.stack.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: nic})
	// The machines' addresses aren't its own: take what is for them, and
	// answer in their name.
	if err := t.stack.SetPromiscuousMode(nic, true); err != nil {
		return nil, fmt.Errorf("tunnel: %s", err)
	}
	if err := t.stack.SetSpoofing(nic, true); err != nil {
		return nil, fmt.Errorf("tunnel: %s", err)
	}
	t.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(t.stack, 0, inFlight, t.takeTCP).HandlePacket)
	t.stack.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(t.stack, t.takeUDP).HandlePacket)
	t.events <- tun.EventUp
	return t, nil
}

func destination(id stack.TransportEndpointID) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(id.LocalAddress.As4()), id.LocalPort)
}

func (t *netTun) takeTCP(r *tcp.ForwarderRequest) {
	up, err := t.dial(t.ctx, "tcp", destination(r.ID()))
	if err != nil {
		r.Complete(true)
		return
	}
	var queue waiter.Queue
	ep, complaint := r.CreateEndpoint(&queue)
	if complaint != nil {
		r.Complete(true)
		_ = up.Close()
		return
	}
	r.Complete(false)
	go t.join(gonet.NewTCPConn(&queue, ep), up)
}

func (t *netTun) takeUDP(r *udp.ForwarderRequest) {
	up, err := t.dial(t.ctx, "udp", destination(r.ID()))
	if err != nil {
		return
	}
	var queue waiter.Queue
	ep, complaint := r.CreateEndpoint(&queue)
	if complaint != nil {
		_ = up.Close()
		return
	}
	go t.join(gonet.NewUDPConn(&queue, ep), up)
}

const tunnelIdle = 5 * time.Minute

// join copies both ways until the tunnel ends or nothing moves.
func (t *netTun) join(device, machine net.Conn) {
	end := context.AfterFunc(t.ctx, func() {
		_ = device.Close()
		_ = machine.Close()
	})
	defer end()
	p := pipe{client: device, node: machine, idle: tunnelIdle}
	p.run()
}

// Read gives WireGuard what the stack wants to send.
func (t *netTun) Read(buffers [][]byte, sizes []int, offset int) (int, error) {
	packet := t.endpoint.ReadContext(t.ctx)
	if packet == nil {
		return 0, os.ErrClosed
	}
	view := packet.ToView()
	packet.DecRef()
	n, err := view.Read(buffers[0][offset:])
	sizes[0] = n
	if err != nil {
		return 0, err
	}
	return 1, nil
}

// Write gives the stack what came through the tunnel.
func (t *netTun) Write(buffers [][]byte, offset int) (int, error) {
	for _, b := range buffers {
		if p := b[offset:]; len(p) > 0 && p[0]>>4 == 4 {
			packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
			t.endpoint.InjectInbound(header.IPv4ProtocolNumber, packet)
			packet.DecRef()
		}
	}
	return len(buffers), nil
}

// Close ends the stack.
func (t *netTun) Close() error {
	t.close.Do(func() {
		t.stop()
		t.stack.RemoveNIC(nic)
		t.stack.Close()
		t.endpoint.Close()
		close(t.events)
	})
	return nil
}

// File is none: there is no device of the kernel.
func (*netTun) File() *os.File { return nil }

// MTU leaves room for WireGuard's own headers.
func (*netTun) MTU() (int, error) { return tunnelMTU, nil }

// Name is for WireGuard's log.
func (*netTun) Name() (string, error) { return "lab", nil }

// Events tells WireGuard that the device is up.
func (t *netTun) Events() <-chan tun.Event { return t.events }

// BatchSize is one packet.
func (*netTun) BatchSize() int { return 1 }
