package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/millwright/millwright/models"
)

// The network of an org with a little of everything.

const (
	mainIP = models.IPID("ip-1")
	edgeID = models.EdgeID("edge-1")
)

func (r records) gateway() models.OrgGateway {
	edge, ip := edgeID, mainIP
	return models.OrgGateway{OrgID: "o", EdgeID: &edge, Key: "k3wq8xza", Generation: 42, Observed: 42, Applied: 42, ReportedAt: r.at(2 * time.Second), OutboundIPID: &ip}
}

func (r records) ips() []models.OrgIP {
	return []models.OrgIP{
		{ID: mainIP, Address: "198.51.100.4", State: models.IPAssigned},
		{ID: "ip-2", Address: "198.51.100.17", State: models.IPAssigned, PricePerHourMicros: 4000},
		{ID: "ip-3", Address: "203.0.113.200", State: models.IPReleasing, PricePerHourMicros: 4000},
	}
}

func (r records) service(i int, name string, protocol models.ServiceProtocol, port int, ip models.OrgIP, nodes ...models.NodeRow) models.ServiceRow {
	return models.ServiceRow{
		InternetService: models.InternetService{ID: models.ServiceID("s-" + strconv.Itoa(i)), Name: name, Mark: i, Protocol: protocol, Enabled: true, Balancing: models.BalanceLeast,
			MonitorKind: "tcp", IdleTimeoutSeconds: 300, Sources: "0.0.0.0/0", PricePerHourMicros: 6000, Generation: 42},
		PublicIPID: ip.ID, Address: ip.Address, Port: port, OpenNow: 14 * i, BytesIn: int64(i) * 73_400_320, BytesOut: int64(i) * 1_288_490_188, Connections: int64(i) * 90_211, Nodes: nodes,
	}
}

func (r records) node(i int, machine, state, reason string) models.NodeRow {
	return models.NodeRow{
		ServiceNode: models.ServiceNode{ID: models.NodeID("node-" + machine + strconv.Itoa(i)), MachineID: models.MachineID("m-" + machine), NetworkID: "n-1",
			Address: fmt.Sprintf("10.20.0.%d", 10+i), Port: 8080, Enabled: true},
		MachineName: machine, MachineState: models.MachineRunning, State: state, Since: r.at(time.Duration(i*i+1) * 7 * time.Minute), Reason: reason,
		OpenNow: 3 * i, Connections: int64(i) * 40_000, BytesIn: int64(i) * 30_000_000, BytesOut: int64(i) * 400_000_000,
	}
}

func (r records) services() []models.ServiceRow {
	ips := r.ips()
	draining, off := r.node(3, "web-3", "up", ""), r.node(4, "web-4", "up", "")
	draining.Draining, off.Enabled = true, false
	dead := r.node(5, "db-2", "down", "connection refused")
	dead.MachineState = models.MachineStopped
	api := r.service(2, "api", models.ServiceTCP, 8443, ips[0], r.node(1, "api-1", "up", ""))
	api.Sources = "203.0.113.0/24 198.51.100.0/24"
	games := r.service(4, "games", models.ServiceUDP, 27015, ips[1], r.node(6, "game-1", "unmonitored", ""))
	games.MonitorKind = ""
	games.Mapped = "127.0.0.1:20053"
	return []models.ServiceRow{
		api,
		r.service(3, "databases-of-the-customer-portal", models.ServiceTCP, 5432, ips[1], r.node(4, "db-1", "up", ""), dead),
		games,
		r.service(5, "new-shop", models.ServiceHTTP, 8080, ips[0]),
		r.service(1, "shop", models.ServiceHTTP, 80, ips[0], r.node(1, "web-1", "up", ""), r.node(2, "web-2", "up", ""), draining, off),
	}
}

func (r records) networkRows() []models.NetworkRow {
	row := func(id, name, cloud, cidr, gateway string, first, size int64, vlan, taken int, isDefault bool) models.NetworkRow {
		return models.NetworkRow{Network: models.Network{ID: models.NetworkID(id), Name: name, CIDR: cidr, Gateway: gateway, VLAN: vlan, FirstIP: first, LastIP: first + size - 1, IsDefault: isDefault},
			CloudName: cloud, Taken: taken}
	}
	list := []models.NetworkRow{
		row("n-1", "default", "Frankfurt", "10.20.0.0/22", "10.20.0.1", 169082880, 1024, 0, 37, true),
		row("n-2", "default", "Acme private", "10.60.0.0/24", "10.60.0.1", 171704320, 256, 0, 4, true),
		row("n-3", "backend", "Frankfurt", "10.99.0.0/24", "10.99.0.254", 174260224, 256, 1204, 0, false),
	}
	list[2].CreatedAt = r.ago(30 * 24 * time.Hour)
	return list
}

func (r records) addresses() []models.AddressRow {
	var list []models.AddressRow
	for i := range 14 {
		host := int64(10 + i*i%97)
		list = append(list, models.AddressRow{Address: models.Address{Address: fmt.Sprintf("10.60.0.%d", host), Host: host, MachineID: models.MachineID("m-" + strconv.Itoa(i))}, MachineName: "batch-" + strconv.Itoa(i)})
	}
	return list
}

func (r records) rules() []models.RuleRow {
	network, machine := models.NetworkID("n-1"), models.MachineID("m-web-1")
	row := func(position int, direction, outside, protocol string, first, last int, allow, enabled bool, comment string) models.RuleRow {
		return models.RuleRow{FirewallRule: models.FirewallRule{ID: models.RuleID("r-" + strconv.Itoa(position)), Position: position, Direction: direction, Outside: outside, Protocol: protocol,
			FirstPort: first, LastPort: last, Allow: allow, Enabled: enabled, Comment: comment}}
	}
	list := []models.RuleRow{
		row(1, "in", "203.0.113.0/24", "any", 0, 0, false, true, "Scanners, since May"),
		row(2, "in", "", "tcp", 22, 22, true, true, "Maintenance window only"),
		row(3, "out", "", "tcp", 25, 25, false, true, "No mail but by the relay"),
		row(4, "out", "198.51.100.0/24", "udp", 8000, 8100, true, false, ""),
	}
	list[1].MachineID, list[1].MachineName, list[1].MachineAddress = &machine, "web-1", "10.20.0.11"
	list[2].NetworkID, list[2].NetworkName, list[2].NetworkCIDR = &network, "default", "10.20.0.0/22"
	return list
}

func (r records) vpn() models.VPNRow {
	return models.VPNRow{VPNGateway: models.VPNGateway{ID: "v", PublicKey: "q3m…=", CIDR: "100.96.0.0/24", Address: "100.96.0.1"}, PublicAddress: "198.51.100.4", Port: models.VPNPort}
}

func (r records) peers() []models.PeerRow {
	row := func(i int, user, device string, handshake *time.Time) models.PeerRow {
		return models.PeerRow{UserName: user, VPNPeer: models.VPNPeer{ID: models.PeerID("p-" + strconv.Itoa(i)), UserID: "u", Device: device, Address: fmt.Sprintf("100.96.0.%d", i+1), LastHandshake: handshake,
			CreatedAt: r.ago(20 * 24 * time.Hour), BytesIn: int64(i) * 4_000_000, BytesOut: int64(i) * 90_000_000}}
	}
	older := func(p models.PeerRow) models.PeerRow { // than the network backend
		p.CreatedAt = r.ago(60 * 24 * time.Hour)
		return p
	}
	return []models.PeerRow{
		row(1, "Ada Administrator", "laptop", r.at(40*time.Second)), older(row(2, "Ada Administrator", "phone", r.at(26*time.Hour))), row(3, "Uma User", "workstation-in-the-office", nil),
	}
}

// topology is the picture of all of these.
func (r records) topology() models.Topology {
	vpn := r.vpn()
	t := models.Topology{Gateway: r.gateway(), IPs: r.ips(), Services: r.services(), VPN: &vpn, Peers: r.peers(), Networks: r.networkRows(),
		Counts: []models.MachineCount{{NetworkID: "n-1", State: models.MachineRunning, Machines: 35}, {NetworkID: "n-1", State: models.MachineStopped, Machines: 1}, {NetworkID: "n-1", State: models.MachineFailed, Machines: 1},
			{NetworkID: "n-2", State: models.MachineRunning, Machines: 2}, {NetworkID: "n-2", State: models.MachineStopped, Machines: 1}, {NetworkID: "n-2", State: models.MachineBuilding, Machines: 1}}}
	for i, state := range []models.MachineState{models.MachineRunning, models.MachineRunning, models.MachineStopped, models.MachineBuilding} {
		t.Machines = append(t.Machines, models.TopologyMachine{ID: models.MachineID("m-" + strconv.Itoa(i)), NetworkID: "n-2", Name: "batch-" + strconv.Itoa(i), Address: fmt.Sprintf("10.60.0.%d", 10+i), State: state})
	}
	return t
}

// crowded is an org with two hundred machines, most of them behind services.
func (r records) crowded(open models.NetworkID) models.Topology {
	t := r.topology()
	t.Counts, t.Machines, t.Services = nil, nil, nil
	for n := range 3 {
		network := t.Networks[n].ID
		t.Counts = append(t.Counts, models.MachineCount{NetworkID: network, State: models.MachineRunning, Machines: 60 + 5*n}, models.MachineCount{NetworkID: network, State: models.MachineStopped, Machines: 2})
		for i := range 60 {
			if network != open {
				break
			}
			t.Machines = append(t.Machines, models.TopologyMachine{ID: models.MachineID("m-" + strconv.Itoa(i)), NetworkID: network, Name: fmt.Sprintf("worker-%02d", i), Address: fmt.Sprintf("10.20.1.%d", i), State: models.MachineRunning})
		}
	}
	for i := range 12 {
		var nodes []models.NodeRow
		for j := range 2 + i*3 {
			state := "up"
			if i == 4 && j < 3 {
				state = "down"
			}
			nodes = append(nodes, r.node(j, fmt.Sprintf("worker-%02d-%02d", i, j), state, ""))
		}
		t.Services = append(t.Services, r.service(i+1, fmt.Sprintf("service-%02d", i+1), models.ServiceTCP, 8000+i, t.IPs[i%2], nodes...))
	}
	for i := range 40 {
		t.Peers = append(t.Peers, models.PeerRow{UserName: "Uma User", VPNPeer: models.VPNPeer{ID: models.PeerID("q-" + strconv.Itoa(i)), Device: "device-" + strconv.Itoa(i)}})
	}
	return t
}

func (r records) edges() []models.Edges {
	features := `[{"name":"nftables","present":true,"detail":"v1.0.6"},{"name":"HAProxy","present":true,"detail":"2.6.12"},{"name":"conntrack accounting","present":false,"detail":"net.netfilter.nf_conntrack_acct is 0"}]`
	return []models.Edges{
		{ID: edgeID, Name: "gw-fra-1", SeenAt: r.at(2 * time.Second), Agent: "millwright 1.0.0", Features: features, Orgs: 14, Behind: 1, CloudIDs: []models.CloudID{"c-public"}},
		{ID: "edge-2", Name: "gw-fra-2", SeenAt: r.at(9 * time.Minute), Agent: "millwright 1.0.0", Orgs: 3},
		{ID: "edge-3", Name: "gw-muc-1"},
		{ID: "edge-4", Name: "lab", Local: true, SeenAt: r.at(time.Second), Problem: "127.0.10.1:80 can't be bound; it is mapped to 20080", Orgs: 3},
	}
}
