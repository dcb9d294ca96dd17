package forward

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	"golang.zx2c4.com/wireguard/conn"
)

// loopbackBind is WireGuard's socket on one loopback address. The library's
// own would listen on all of the computer's.
type loopbackBind struct {
	publicIP string
	port     int
	mapped   string
	one      bool // as a system that has one loopback address

	mu     sync.Mutex
	socket *net.UDPConn
}

type endpoint netip.AddrPort

func (endpoint) ClearSrc()             {}
func (endpoint) SrcToString() string   { return "" }
func (e endpoint) DstToString() string { return netip.AddrPort(e).String() }
func (e endpoint) DstIP() netip.Addr   { return netip.AddrPort(e).Addr() }
func (endpoint) SrcIP() netip.Addr     { return netip.Addr{} }
func (e endpoint) DstToBytes() []byte {
	b, err := netip.AddrPort(e).MarshalBinary()
	if err != nil {
		return nil
	}
	return b
}

// Open listens; the port that it is asked for is the public one.
func (b *loopbackBind) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.socket != nil {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	c, mapped, err := bind(b.publicIP, b.port, b.one, listenUDP)
	if err != nil {
		return nil, 0, err
	}
	socket, ok := c.(*net.UDPConn)
	if !ok {
		return nil, 0, errors.New("not a UDP socket")
	}
	b.socket, b.mapped = socket, mapped
	receive := func(packets [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		n, from, err := socket.ReadFromUDPAddrPort(packets[0])
		if err != nil {
			return 0, err
		}
		sizes[0], eps[0] = n, endpoint(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		return 1, nil
	}
	return []conn.ReceiveFunc{receive}, addrOf(c.LocalAddr()).Port(), nil
}

// where is what the public address became, if something else.
func (b *loopbackBind) where() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mapped
}

// Close ends what Open began.
func (b *loopbackBind) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.socket == nil {
		return nil
	}
	err := b.socket.Close()
	b.socket = nil
	return err
}

// SetMark has no meaning here.
func (*loopbackBind) SetMark(uint32) error { return nil }

// BatchSize is one packet.
func (*loopbackBind) BatchSize() int { return 1 }

// ParseEndpoint reads address and port.
func (*loopbackBind) ParseEndpoint(text string) (conn.Endpoint, error) {
	p, err := netip.ParseAddrPort(text)
	return endpoint(p), err
}

// Send sends to loopback only.
func (b *loopbackBind) Send(packets [][]byte, to conn.Endpoint) error {
	b.mu.Lock()
	socket := b.socket
	b.mu.Unlock()
	e, ok := to.(endpoint)
	if socket == nil || !ok {
		return net.ErrClosed
	}
	if !e.DstIP().IsLoopback() {
		return errors.New("the lab sends to loopback only")
	}
	for _, p := range packets {
		if _, err := socket.WriteToUDPAddrPort(p, netip.AddrPort(e)); err != nil {
			return err
		}
	}
	return nil
}
