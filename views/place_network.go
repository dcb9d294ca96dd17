package views

import "github.com/millwright/millwright/models"

func (p Place) Network() string           { return p.url("/network") }
func (p Place) PrivateNetworks() string   { return p.url("/network/private") }
func (p Place) NewPrivateNetwork() string { return p.url("/network/private/new") }
func (p Place) PublicIPs() string         { return p.url("/network/ips") }
func (p Place) Services() string          { return p.url("/network/services") }
func (p Place) NewService() string        { return p.url("/network/services/new") }
func (p Place) Topology() string          { return p.url("/network/topology") }
func (p Place) Firewall() string          { return p.url("/network/firewall") }
func (p Place) VPN() string               { return p.url("/network/vpn") }
func (p Place) VPNOff() string            { return p.url("/network/vpn/off") }
func (p Place) Devices() string           { return p.url("/network/vpn/devices") }
func (p Place) Publish(id models.MachineID) string {
	return withQuery(p.url("/network/publish"), "machine", string(id))
}

func (p Place) PrivateNetwork(id models.NetworkID) string {
	return p.PrivateNetworks() + "/" + string(id)
}
func (p Place) PublicIP(id models.IPID) string         { return p.PublicIPs() + "/" + string(id) }
func (p Place) Service(id models.ServiceID) string     { return p.Services() + "/" + string(id) }
func (p Place) EditService(id models.ServiceID) string { return p.Service(id) + "/edit" }
func (p Place) Trace(id models.ServiceID) string       { return p.Service(id) + "/trace" }
func (p Place) Nodes(id models.ServiceID) string       { return p.Service(id) + "/nodes" }
func (p Place) NewNode(id models.ServiceID) string     { return p.Service(id) + "/nodes/new" }
func (p Place) NodeState(id models.NodeID) string {
	return p.url("/network/nodes/" + string(id) + "/state")
}
func (p Place) Rule(id models.RuleID) string   { return p.Firewall() + "/" + string(id) }
func (p Place) Device(id models.PeerID) string { return p.Devices() + "/" + string(id) }
