package host

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// How a machine is called: three times, a second in all.
const (
	calls       = 3
	callTimeout = 333 * time.Millisecond
)

// present says whether a machine has the address just now, by ARP, which no
// firewall of a machine's own keeps back and no machine that is off answers.
func present(ns namespace, a netip.Addr) (bool, error) {
	var link netlink.Link
	var from net.IP
	err := ns.handles(func(in *netlink.Handle, _ netns.NsHandle) error {
		routes, err := in.RouteGet(a.AsSlice())
		if err != nil {
			return err
		}
		if len(routes) == 0 || routes[0].Gw != nil {
			return errors.New("the address is on no link here")
		}
		from = routes[0].Src
		link, err = in.LinkByIndex(routes[0].LinkIndex)
		return err
	})
	if err != nil {
		return false, err
	}
	source, ok := netip.AddrFromSlice(from.To4())
	if hardware := link.Attrs().HardwareAddr; !ok || len(hardware) != 6 {
		return false, errors.New("the link has no addresses that machines could be asked by")
	}
	there := false
	err = ns.do(func() error {
		socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(ethARP))
		if err != nil {
			return err
		}
		defer unix.Close(socket) //nolint:errcheck // a descriptor
		at := &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Protocol: ethARP}
		if err := unix.Bind(socket, at); err != nil {
			return err
		}
		for range calls {
			if err := unix.Sendto(socket, request(link.Attrs().HardwareAddr, source, a), 0, at); err != nil {
				return err
			}
			if there, err = claimed(socket, a, time.Now().Add(callTimeout)); there || err != nil {
				return err
			}
		}
		return nil
	})
	return there, err
}

// claimed waits until somebody says that the address is theirs.
func claimed(socket int, a netip.Addr, until time.Time) (bool, error) {
	frame := make([]byte, 128)
	for {
		left := time.Until(until)
		if left <= 0 {
			return false, nil
		}
		wait := unix.NsecToTimeval(max(left, time.Millisecond).Nanoseconds())
		if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
			return false, err
		}
		n, _, err := unix.Recvfrom(socket, frame, 0)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case err != nil:
			return false, err
		case isReply(frame[:n], a):
			return true, nil
		}
	}
}

// arpIPv4 begins an ARP frame's body: Ethernet, IPv4.
var arpIPv4 = []byte{0, 1, 8, 0, 6, 4}

func isReply(frame []byte, a netip.Addr) bool {
	const header, operation, sender = 14, 14 + 6, 14 + 14
	return len(frame) >= header+28 && bytes.Equal(frame[header:operation], arpIPv4) && frame[operation+1] == 2 &&
		bytes.Equal(frame[sender:sender+4], a.AsSlice())
}
