package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// networkScreens are the pages of an org's network.
func networkScreens(r records, f views.Frame) []screen {
	uses := map[models.IPID][]string{mainIP: {"service shop", "service api", "service new-shop", "VPN", "what machines send"}, "ip-2": {"service games"}}
	overview := views.NetworkProps{Frame: f, Gateway: r.gateway(), Services: r.services(), Networks: r.networkRows(), IPs: r.ips(), Uses: uses,
		Offer: models.Offer{Available: true, PricePerHourMicros: 4000}, CanManage: true}
	asked := overview
	asked.AcceptError = "Accept the price to go on."
	user := overview
	user.CanManage = false
	networks := r.networkRows()
	full := networks[1]
	full.Taken = 14
	firewall := views.FirewallProps{Frame: f, Gateway: r.gateway(), Rules: r.rules(), Networks: networks, IPs: r.ips(), Outbound: "198.51.100.4", CanManage: true,
		Form: views.RuleForm{Direction: "in", Protocol: "tcp", Allow: true, Enabled: true},
		Ask:  views.AskForm{Direction: "in", Source: "203.0.113.9", Destination: "198.51.100.4", Protocol: "tcp", Port: "22"}}
	firewall.Machines = []models.MachineChoice{{ID: "m-web-1", Name: "web-1", Address: "10.20.0.11"}}
	answered := firewall
	answered.Answer = &views.AnswerProps{Text: "203.0.113.9 → 198.51.100.4 tcp/22 is refused, by rule 1.", Rule: "r-1"}
	wrong := firewall
	wrong.Form, wrong.Errors = views.RuleForm{Direction: "in", Protocol: "icmp", Outside: "300.1.1.1", Ports: "22", Enabled: true}, map[string]string{
		"outside": "Enter an IPv4 address or a network such as 203.0.113.0/24, or nothing for anywhere.", "ports": "Ports go with TCP or UDP. Choose one of them, or leave the ports empty."}
	vpn := r.vpn()
	devices := views.VPNProps{Frame: f, Gateway: r.gateway(), VPN: &vpn, IPs: r.ips(), Peers: r.peers(), Networks: networks, Own: "u", CanManage: true, CanUse: true}
	device := views.DeviceProps{Frame: f, Peer: r.peers()[0], KeyHere: true, Placeholder: "PRIVATE_KEY_OF_THIS_DEVICE",
		Config: "[Interface]\nPrivateKey = mMk1vV0n4y3c2m0f6XbN1r3xq7V0n4y3c2m0f6XbN1o=\nAddress = 100.96.0.2/32\n\n[Peer]\nPublicKey = q3mXbN1r3xq7V0n4y3c2m0f6XbN1r3xq7V0n4y3c2mw=\nEndpoint = 198.51.100.4:51820\nAllowedIPs = 100.96.0.1/32, 10.20.0.0/22, 10.60.0.0/24\nPersistentKeepalive = 25\n",
		QR:     views.QR{Size: 45}}
	for i := range 45 {
		device.QR.Add(i, i, 1)
	}
	long := device // made in the browser, and leading to more networks than a QR code holds
	long.KeyHere, long.QR, long.Config = false, views.QR{}, longConfiguration(long.Placeholder)
	longHere := long
	longHere.KeyHere = true
	list := []screen{
		{"network", views.Network(overview)},
		{"network-ask", views.Network(asked)},
		{"network-user", views.Network(user)},
		{"network-empty", views.Network(views.NetworkProps{Frame: f, CanManage: true})},
		{"private", views.Private(views.PrivateProps{Frame: f, Network: full, Addresses: r.addresses(), CanManage: true})},
		{"private-empty", views.Private(views.PrivateProps{Frame: f, Network: networks[2], CanManage: true, Problem: "Machines are in this network. Delete them first."})},
		{"private-new", views.PrivateNew(views.PrivateNewProps{Frame: f, Clouds: r.clouds(), Name: "backend", CIDR: "10.20.0.0/24", Errors: map[string]string{"cidr": "This overlaps the network default, 10.20.0.0/22. Choose another range."}})},
		{"firewall", views.Firewall(answered)},
		{"firewall-refused", views.Firewall(wrong)},
		{"firewall-empty", views.Firewall(views.FirewallProps{Frame: f, Form: views.RuleForm{Enabled: true}, CanManage: true})},
		{"vpn", views.VPN(devices)},
		{"vpn-off", views.VPN(views.VPNProps{Frame: f, IPs: r.ips(), CanManage: true})},
		{"vpn-fips", views.VPN(views.VPNProps{Frame: f, IPs: r.ips(), CanManage: true, Refused: "VPN Connect isn't available here: this portal runs under enforced FIPS 140-3, which doesn't approve WireGuard's cryptography. Publish what has to be reached as an Internet service."})},
		{"vpn-device", views.Device(device)},
		{"vpn-device-long", views.Device(long)},
		{"vpn-device-long-here", views.Device(longHere)},
		{"publish", views.Publish(views.PublishProps{Frame: f, Machine: r.machine(3, "web-1", models.MachineRunning), Services: r.services()})},
	}
	return slices.Concat(list, serviceScreens(r, f), facadeScreens(r, f), refusedScreens(r, f), topologyScreens(r, f), edgeScreens(r))
}

func longConfiguration(key string) string {
	var networks strings.Builder
	networks.WriteString("100.96.0.1/32")
	for i := range 60 {
		fmt.Fprintf(&networks, ", 10.%d.100.0/24", 100+i)
	}
	return "[Interface]\nPrivateKey = " + key + "\nAddress = 100.96.0.2/32\n\n[Peer]\nAllowedIPs = " + networks.String() + "\n"
}

// serviceScreens are both wizards, and a service in several conditions.
func serviceScreens(r records, f views.Frame) []screen {
	services := r.services()
	form := views.ServiceForm{Name: "shop", Protocol: "tcp", Port: "22", Balancing: "least_connections", Monitor: "http", Path: "/healthz", Status: "200", Idle: "300", Sources: "0.0.0.0/0"}
	wizard := func(step int, errors map[string]string) views.ServiceNewProps {
		return views.ServiceNewProps{Frame: f, Step: step, Form: form, Errors: errors, Gateway: r.gateway(), IPs: r.ips(), Offer: models.Offer{Available: true, PricePerHourMicros: 4000}, ServiceMicros: 6000}
	}
	udp, udpHealth := wizard(1, nil), wizard(2, nil)
	udp.Form = views.ServiceForm{Name: "dns", Protocol: "udp", Port: "53", Balancing: "source", Monitor: "tcp", Path: "/", Idle: "30", Sources: "0.0.0.0/0"}
	udpHealth.Form = udp.Form
	open := wizard(3, map[string]string{"open_to_all": "Port 22 is SSH, over which machines are attacked all day. Name your own networks, or confirm that everybody may try."})
	open.AdminPort = "SSH"
	page := views.ServiceProps{Frame: f, Service: services[4], Gateway: r.gateway(), Events: r.events()[:3], CanManage: true}
	down := page
	down.Service = services[1]
	failed := page
	failed.Gateway.Failed = `[{"id":"s-1","text":"its port is the gateway's own"}]`
	bare := page
	bare.Service = services[3]
	node := views.NodeNewProps{Frame: f, Service: services[4], Machines: models.Page[models.MachineRow]{Rows: r.machines()[:6], Next: "n"}, Enabled: true}
	chosen := node
	chosen.Machine, chosen.MachineName, chosen.Port = "m-web-1", "web-1", "80"
	chosen.Addresses = []models.Address{{Address: "10.20.0.11", NetworkID: "n-1"}}
	reserved := []models.ReservedPort{{L4: "tcp", Port: 8404}, {L4: "tcp", Port: 9101}, {L4: "udp", Port: 51820, ForVPN: true}}
	udp.Reserved = reserved
	edit := views.ServiceEditProps{Frame: f, Service: services[4], Form: views.FormOf(services[4]), IPs: r.ips(), Reserved: reserved,
		Offer: models.Offer{Available: true, PricePerHourMicros: 4000}}
	costly := edit
	costly.Form.PublicIP, costly.Errors = "new", map[string]string{"accept": "Accept the price of the new public IP, or choose one that the org has."}
	ssh := chosen
	ssh.Port, ssh.AdminPort = "22", "SSH"
	return []screen{
		{"service-what", views.ServiceNew(wizard(1, map[string]string{"port": "TCP port 22 of this public IP is taken by the service jump. Choose another port or another IP."}))},
		{"service-what-udp", views.ServiceNew(udp)},
		{"service-health", views.ServiceNew(wizard(2, nil))},
		{"service-health-udp", views.ServiceNew(udpHealth)},
		{"service-sources", views.ServiceNew(open)},
		{"service-review", views.ServiceNew(wizard(4, map[string]string{"accept": "Accept the price to go on."}))},
		{"service", views.Service(page)},
		{"service-down", views.Service(down)},
		{"service-failed", views.Service(failed)},
		{"service-bare", views.Service(bare)},
		{"service-edit", views.ServiceEdit(edit)},
		{"service-edit-new-ip", views.ServiceEdit(costly)},
		{"node-pick", views.NodeNew(node)},
		{"node-port", views.NodeNew(chosen)},
		{"node-port-ssh", views.NodeNew(ssh)},
	}
}

func topologyScreens(r records, f views.Frame) []screen {
	props := func(t models.Topology, open string) views.TopologyProps {
		return views.TopologyProps{Frame: f, Topology: t, Open: open, Now: r.now, CanManage: true}
	}
	return []screen{
		{"topology", views.Topology(props(r.topology(), ""))},
		{"topology-crowded", views.Topology(props(r.crowded(""), ""))},
		{"topology-machines", views.Topology(props(r.crowded("n-1"), "machines-n-1"))},
		{"topology-nodes", views.Topology(props(r.crowded(""), "nodes-s-12"))},
		{"topology-bare", views.Topology(props(models.Topology{Gateway: r.gateway(), IPs: r.ips()[:1], Networks: r.networkRows()[2:]}, ""))},
		{"topology-empty", views.Topology(props(models.Topology{}, ""))},
	}
}

func edgeScreens(r records) []screen {
	provider := operator()
	edges := r.edges()
	return []screen{
		{"edges", views.EdgeList(views.EdgesProps{Frame: provider, Edges: edges, Clouds: r.clouds(), CanWrite: true, Errors: map[string]string{"name": "Another gateway has this name. Choose a different one."}})},
		{"edges-empty", views.EdgeList(views.EdgesProps{Frame: provider, CanWrite: true})},
		{"edge", views.Edge(views.EdgeProps{Frame: provider, Edge: edges[0], Clouds: r.clouds(), CanWrite: true, Token: "mwe_" + "x4QzX4Qzx4QzX4Qzx4QzX4Qzx4QzX4Qzx4QzX4Qzabc"})},
		{"edge-move", views.Edge(views.EdgeProps{Frame: provider, Edge: edges[0], Others: edges[1:], Clouds: r.clouds(), CanWrite: true, MoveTo: string(edges[1].ID), Errors: map[string]string{
			"to": "gw-fra-2 has no leg in West, where Acme has networks.", "off": "Confirm it: two gateways that answer for the same addresses take each other's traffic in turns."}})},
		{"edge-local", views.Edge(views.EdgeProps{Frame: provider, Edge: edges[3], Clouds: r.clouds(), CanWrite: true})},
	}
}
