package views

import (
	"strconv"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/topology"
	"github.com/millwright/millwright/views/ui"
)

// peerLook says whether the device is connected.
func (p TopologyProps) peerLook(peer models.PeerRow) ui.Look {
	switch {
	case peer.LastHandshake == nil:
		return ui.Look{Tone: ui.Idle, Icon: "clock", Label: "Never seen"}
	case p.Now.Sub(*peer.LastHandshake) < handshakeFresh:
		return ui.Look{Tone: ui.Good, Icon: "check", Label: "Connected"}
	}
	return ui.Look{Tone: ui.Idle, Icon: "clock", Label: "Away"}
}

// vpn stands aside: devices, and the org's end of their tunnels.
func (s *sketch) vpn() {
	t, place := &s.p.Topology, s.p.Frame.Place()
	if t.VPN == nil {
		return
	}
	end := t.VPN.PublicAddress + ":" + strconv.Itoa(t.VPN.Port)
	s.add(&s.plan.Aside, drawn{Item: topology.Item{Key: "vpn", Column: columnServices}, Title: "VPN Connect", Note: "UDP " + strconv.Itoa(t.VPN.Port), Words: "VPN Connect, " + end, URL: place.VPN(),
		Look: ui.Look{Tone: ui.Accent, Icon: "shield-lock", Label: "VPN"}})
	for _, ip := range t.IPs {
		if ip.Address == t.VPN.PublicAddress {
			s.link("ip-"+string(ip.ID), "vpn")
		}
	}
	for i, n := range t.Networks {
		if i < networkMax-1 || len(t.Networks) == networkMax {
			s.link("vpn", "network-"+string(n.ID))
		}
	}
	open := s.p.opened("devices")
	shown := len(t.Peers)
	if open {
		shown = min(shown, groupMost)
	} else if shown > groupFew {
		shown = 0
	}
	var looks []ui.Look
	for i, peer := range t.Peers {
		look := s.p.peerLook(peer)
		looks = append(looks, look)
		if i < shown {
			key := "device-" + string(peer.ID)
			s.add(&s.plan.Aside, drawn{Item: topology.Item{Key: key, Column: columnInternet, Under: "vpn"}, Title: peer.Device, Note: look.Label,
				Words: peer.Device + " of " + peer.UserName + ", " + look.Label, URL: place.VPN(), Look: look})
			s.link(key, "vpn")
		}
	}
	switch {
	case open:
		for _, b := range s.p.unfolded("devices", "vpn", columnInternet, len(t.Peers)-shown, "devices", place.VPN()) {
			s.add(&s.plan.Aside, b)
		}
	case shown < len(t.Peers):
		s.add(&s.plan.Aside, s.p.folded("devices", "vpn", columnInternet, count(len(t.Peers), "device", "devices"), looks))
		s.link("devices", "vpn")
	}
}
