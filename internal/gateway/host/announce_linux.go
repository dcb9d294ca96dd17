package host

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

const ethARP = uint16(unix.ETH_P_ARP>>8 | unix.ETH_P_ARP&0xff<<8) // in the network's order

// announce tells everybody on a link who has addresses now: a router that
// still knows the one before would send to it for minutes. The kernel does so
// by itself only for those that are there when the link comes up.
func announce(ns namespace, index int, hardware net.HardwareAddr, addresses []netip.Addr) error {
	if len(addresses) == 0 || len(hardware) != 6 {
		return nil
	}
	return ns.do(func() error {
		socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(ethARP))
		if err != nil {
			return fmt.Errorf("announce: %w", err)
		}
		defer unix.Close(socket) //nolint:errcheck // a descriptor
		for _, a := range addresses {
			if err := unix.Sendto(socket, request(hardware, a, a), 0, &unix.SockaddrLinklayer{Ifindex: index, Protocol: ethARP}); err != nil {
				return fmt.Errorf("announce %s: %w", a, err)
			}
		}
		return nil
	})
}

// request is an ARP request: who has to? From somebody who asks for their own
// address it is an announcement.
func request(hardware net.HardwareAddr, from, to netip.Addr) []byte {
	var b bytes.Buffer
	b.Write(bytes.Repeat([]byte{0xff}, 6))
	b.Write(hardware)
	b.Write([]byte{8, 6})
	b.Write(arpIPv4)
	b.Write([]byte{0, 1}) // request
	b.Write(hardware)
	b.Write(from.AsSlice())
	b.Write(make([]byte, 6))
	b.Write(to.AsSlice())
	return b.Bytes()
}
