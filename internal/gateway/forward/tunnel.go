package forward

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.zx2c4.com/wireguard/device"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
	"github.com/millwright/millwright/internal/gateway/wg"
)

// tunnel is an org's WireGuard, in the process.
type tunnel struct {
	instance string
	bind     *loopbackBind
	device   *device.Device

	mu       sync.Mutex
	vpn      edge.VPN
	networks []netip.Prefix
}

// applyVPN opens, changes or closes an org's tunnel. Devices that stay keep
// their sessions.
func (g *Gateway) applyVPN(o *org, state edge.Org) error {
	w := state.VPN
	if o.tunnel != nil && (w == nil || !o.tunnel.same(*w)) {
		o.tunnel.close()
		o.tunnel = nil
	}
	if w == nil {
		return nil
	}
	if o.tunnel == nil {
		t, err := g.openTunnel(state)
		if err != nil {
			return err
		}
		o.tunnel = t
	}
	return o.tunnel.change(state)
}

func (t *tunnel) same(w edge.VPN) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.vpn.PublicIP == w.PublicIP && t.vpn.Port == w.Port && t.vpn.Address == w.Address && t.vpn.CIDR == w.CIDR
}

func (g *Gateway) openTunnel(state edge.Org) (*tunnel, error) {
	t := &tunnel{instance: g.instance + " " + state.VPN.ID, vpn: *state.VPN, bind: &loopbackBind{publicIP: state.VPN.PublicIP, port: state.VPN.Port, one: g.oneAddress}}
	own, err := netip.ParseAddr(state.VPN.Address)
	if err != nil {
		return nil, err
	}
	link, err := newNetTun(own, func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
		if !t.reaches(to.Addr()) {
			return nil, errors.New("not in the org's networks")
		}
		return g.dial(ctx, state.ID, network, to.Addr().String(), int(to.Port()))
	})
	if err != nil {
		return nil, err
	}
	t.device = device.NewDevice(link, t.bind, &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf})
	if err := t.device.Up(); err != nil {
		t.device.Close()
		return nil, err
	}
	return t, nil
}

func (t *tunnel) reaches(a netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (t *tunnel) change(state edge.Org) error {
	t.mu.Lock()
	t.vpn = *state.VPN
	t.networks = nil
	for _, n := range state.Networks {
		if p, err := netip.ParsePrefix(n.CIDR); err == nil {
			t.networks = append(t.networks, p)
		}
	}
	w := t.vpn
	t.mu.Unlock()
	text, err := t.device.IpcGet()
	if err != nil {
		return err
	}
	// The port is bound by the bind, which may have mapped it.
	request, _ := wg.Change(text, w)
	return t.device.IpcSet(wg.WithoutPort(request))
}

func (t *tunnel) observe(w edge.VPN, into gateway.Observation) {
	if text, err := t.device.IpcGet(); err == nil {
		wg.Observe(text, w, t.instance, into)
	}
}

func (t *tunnel) close() { t.device.Close() }
