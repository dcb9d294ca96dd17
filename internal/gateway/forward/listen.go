package forward

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// mappedBy is added to a port that may not be bound.
const mappedBy = 20_000

// places are where a public address and port may be bound, the best first. A
// port below 1024 may need a privilege that this process hasn't; with one, the
// public address may not be bound at all.
func places(publicIP string, port int, one bool) ([]string, error) {
	a, err := netip.ParseAddr(publicIP)
	if err != nil || !a.IsLoopback() {
		return nil, fmt.Errorf("%s is not a loopback address: the lab binds nothing else", publicIP)
	}
	only := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	var list []string
	if !one || a == only {
		list = append(list, netip.AddrPortFrom(a, uint16(port)).String()) // #nosec G115 -- checked to be a port
		if port < 1024 {
			list = append(list, netip.AddrPortFrom(a, uint16(port+mappedBy)).String()) // #nosec G115
		}
	}
	if a != only {
		if port < 65536-mappedBy {
			list = append(list, netip.AddrPortFrom(only, uint16(port+mappedBy)).String()) // #nosec G115
		}
		list = append(list, netip.AddrPortFrom(only, 0).String())
	}
	return list, nil
}

// bind tries the places in turn. Mapped is the one that it became, where that
// isn't what was wanted.
func bind[T any](publicIP string, port int, one bool, listen func(string) (T, net.Addr, error)) (l T, mapped string, err error) {
	list, err := places(publicIP, port, one)
	if err != nil {
		return l, "", err
	}
	var first error
	for i, at := range list {
		l, addr, err := listen(at)
		if err == nil {
			if mapped = addr.String(); mapped == net.JoinHostPort(publicIP, strconv.Itoa(port)) {
				mapped = ""
			}
			return l, mapped, nil
		}
		if first == nil {
			first = err
		}
		// Somebody else's port is not evaded: it would be a surprise to find
		// the service elsewhere today.
		if i == 0 && !one && strings.Contains(err.Error(), "in use") {
			return l, "", fmt.Errorf("%s is in use by another program on this computer", at)
		}
	}
	return l, "", first
}

func listenTCP(at string) (net.Listener, net.Addr, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", at)
	if err != nil {
		return nil, nil, err
	}
	return l, l.Addr(), nil
}

func listenUDP(at string) (net.PacketConn, net.Addr, error) {
	c, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp4", at)
	if err != nil {
		return nil, nil, err
	}
	return c, c.LocalAddr(), nil
}
