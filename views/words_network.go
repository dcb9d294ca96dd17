package views

import (
	"maps"

	"github.com/millwright/millwright/models"
)

// Words of what is done on the network; see words.go for the rest.
var networkWords = map[models.Action]string{
	models.ActionNetworkCreate: "made the network", models.ActionNetworkDelete: "deleted the network", models.ActionNetworkClear: "removed from vSphere the port group of",
	models.ActionOutboundSet: "set the outbound address", models.ActionDrift: "repaired", models.ActionPublicIPTake: "took the public IP",
	models.ActionPublicIPRelease: "released the public IP", models.ActionServiceCreate: "made the service",
	models.ActionServiceChange: "changed the service", models.ActionServiceDelete: "deleted the service",
	models.ActionServiceProbe: "had the gateway try the nodes of",
	models.ActionFacadeSet:    "set the policy of", models.ActionFacadeEnd: "ended the policy of", models.ActionFacadeReplace: "replaced a dead node of",
	models.ActionFacadeFill: "filled up", models.ActionFacadeOut: "scaled out", models.ActionFacadeIn: "scaled in", models.ActionFacadeStop: "could not act for",
	models.ActionNodeAdd: "added the node", models.ActionNodeEnable: "enabled the node", models.ActionNodeDrain: "drained the node",
	models.ActionNodeDisable: "disabled the node", models.ActionNodeRemove: "removed the node",
	models.ActionFirewallAdd: "added the firewall", models.ActionFirewallChange: "changed the firewall",
	models.ActionFirewallMove: "moved the firewall", models.ActionFirewallDelete: "deleted the firewall",
	models.ActionVPNCreate: "turned on the", models.ActionVPNDelete: "turned off the", models.ActionVPNPeerAdd: "let in the device", models.ActionVPNPeerRevoke: "shut out the device",
	models.ActionEdgeCreate: "registered the gateway", models.ActionEdgeRotate: "gave a new token to the gateway",
	models.ActionEdgeDisable: "disabled the gateway", models.ActionEdgeEnable: "enabled the gateway", models.ActionEdgeMove: "moved to another gateway",
}

var networkNames = map[models.Action]string{
	models.ActionNetworkCreate: "Make network", models.ActionNetworkDelete: "Delete network", models.ActionNetworkClear: "Remove port group",
	models.ActionOutboundSet: "Set outbound address", models.ActionDrift: "Gateway repaired", models.ActionPublicIPTake: "Take public IP",
	models.ActionPublicIPRelease: "Release public IP", models.ActionServiceCreate: "Make service",
	models.ActionServiceChange: "Change service", models.ActionServiceDelete: "Delete service",
	models.ActionServiceProbe: "Try nodes of service",
	models.ActionFacadeSet:    "Set service policy", models.ActionFacadeEnd: "End service policy", models.ActionFacadeReplace: "Replace dead node",
	models.ActionFacadeFill: "Fill up service", models.ActionFacadeOut: "Scale out", models.ActionFacadeIn: "Scale in", models.ActionFacadeStop: "Policy stopped",
	models.ActionNodeAdd: "Add node", models.ActionNodeEnable: "Enable node", models.ActionNodeDrain: "Drain node",
	models.ActionNodeDisable: "Disable node", models.ActionNodeRemove: "Remove node",
	models.ActionFirewallAdd: "Add firewall rule", models.ActionFirewallChange: "Change firewall rule",
	models.ActionFirewallMove: "Move firewall rule", models.ActionFirewallDelete: "Delete firewall rule",
	models.ActionVPNCreate: "Turn on VPN", models.ActionVPNDelete: "Turn off VPN", models.ActionVPNPeerAdd: "Let device in", models.ActionVPNPeerRevoke: "Shut device out",
	models.ActionEdgeCreate: "Register gateway", models.ActionEdgeRotate: "Rotate gateway token",
	models.ActionEdgeDisable: "Disable gateway", models.ActionEdgeEnable: "Enable gateway", models.ActionEdgeMove: "Move to another gateway",
}

// with returns both lists as one.
func with(list, more map[models.Action]string) map[models.Action]string {
	all := maps.Clone(list)
	maps.Copy(all, more)
	return all
}
