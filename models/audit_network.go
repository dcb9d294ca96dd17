package models

// Actions on the network edge.
const (
	ActionNetworkCreate   Action = "network.create"
	ActionNetworkDelete   Action = "network.delete"
	ActionNetworkClear    Action = "network.clear" // a deleted one's port group, gone from vSphere
	ActionOutboundSet     Action = "network.outbound"
	ActionDrift           Action = "network.drift" // other hands on the gateway, repaired
	ActionPublicIPTake    Action = "public_ip.take"
	ActionPublicIPRelease Action = "public_ip.release"
	ActionServiceCreate   Action = "service.create"
	ActionServiceChange   Action = "service.change"
	ActionServiceDelete   Action = "service.delete"
	ActionServiceProbe    Action = "service.probe" // the gateway is asked to try its nodes
	ActionFacadeSet       Action = "service.policy"
	ActionFacadeEnd       Action = "service.policy_end"
	ActionFacadeReplace   Action = "service.replace"   // a policy's: a dead node gets a successor
	ActionFacadeFill      Action = "service.fill"      // up to the least number
	ActionFacadeOut       Action = "service.scale_out" // more connections than nodes for them
	ActionFacadeIn        Action = "service.scale_in"
	ActionFacadeStop      Action = "service.policy_stop" // refused what it should do
	ActionNodeAdd         Action = "node.add"
	ActionNodeEnable      Action = "node.enable"
	ActionNodeDrain       Action = "node.drain"
	ActionNodeDisable     Action = "node.disable"
	ActionNodeRemove      Action = "node.remove"
	ActionFirewallAdd     Action = "firewall.add"
	ActionFirewallChange  Action = "firewall.change"
	ActionFirewallMove    Action = "firewall.move"
	ActionFirewallDelete  Action = "firewall.delete"
	ActionVPNCreate       Action = "vpn.create"
	ActionVPNDelete       Action = "vpn.delete"
	ActionVPNPeerAdd      Action = "vpn.peer_add"
	ActionVPNPeerRevoke   Action = "vpn.peer_revoke"
	ActionEdgeCreate      Action = "edge.create"
	ActionEdgeRotate      Action = "edge.rotate"
	ActionEdgeDisable     Action = "edge.disable"
	ActionEdgeEnable      Action = "edge.enable"
	ActionEdgeMove        Action = "edge.move" // orgs, to another gateway
)

// NetworkActions are these, in the order of a menu.
var NetworkActions = []Action{
	ActionNetworkCreate, ActionNetworkDelete, ActionNetworkClear, ActionOutboundSet, ActionDrift, ActionPublicIPTake, ActionPublicIPRelease,
	ActionServiceCreate, ActionServiceChange, ActionServiceDelete, ActionServiceProbe,
	ActionFacadeSet, ActionFacadeEnd, ActionFacadeReplace, ActionFacadeFill, ActionFacadeOut, ActionFacadeIn, ActionFacadeStop,
	ActionNodeAdd, ActionNodeEnable, ActionNodeDrain, ActionNodeDisable, ActionNodeRemove,
	ActionFirewallAdd, ActionFirewallChange, ActionFirewallMove, ActionFirewallDelete,
	ActionVPNCreate, ActionVPNDelete, ActionVPNPeerAdd, ActionVPNPeerRevoke,
	ActionEdgeCreate, ActionEdgeRotate, ActionEdgeDisable, ActionEdgeEnable, ActionEdgeMove,
}
