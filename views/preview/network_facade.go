package main

import (
	"time"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// policy is one that follows connections and has just replaced a node.
func (r records) policy() models.FacadePolicy {
	return models.FacadePolicy{ServiceID: "s-5", Enabled: true, MinNodes: 2, MaxNodes: 6, TemplateID: "t-debian", InstanceTypeID: "i-small", NetworkID: "n-1",
		NodePort: 8080, DeadAfterSeconds: 60, CooldownSeconds: 60, OrdersPerHour: 6, ScaleOutAt: 200, ScaleInAt: 40, AcceptedMicros: 6 * 24000,
		State: models.FacadeActing}
}

// facadeScreens are the policy of a service, as a form and on its page.
func facadeScreens(r records, f views.Frame) []screen {
	policy := r.policy()
	service := r.services()[4]
	props := views.FacadeProps{Frame: f, Service: service, Exists: true, Form: views.FacadeFormOf(policy), Templates: r.templates(), InstanceTypes: r.types(),
		Networks: r.networkRows(), PriceMicros: policy.AcceptedMicros}
	refused := props
	refused.Exists, refused.PriceMicros = false, 0
	refused.Form.Min, refused.Form.Max, refused.Form.DeadAfter, refused.Form.ScaleIn = "4", "2", "1", "150"
	refused.Errors = map[string]string{"max": "The most can't be less than the least.", "dead_after": "Enter seconds from 5 to 3600.",
		"scale_in": "At most half of the number above, or nodes would come and go in turns.", "accept": "Accept the price to go on."}
	panel := views.FacadePanelProps{Policy: &policy, Template: "Debian 13", Size: "Small", Network: "default", Machines: 2, CanManage: true, Acts: []models.FacadeAct{
		{ID: "a-3", At: r.ago(40 * time.Second), Action: models.ActionFacadeReplace, Text: "web-2 is dead since 14:02:11 UTC: connection refused. shop-p3 is ordered.", TaskID: "t-1"},
		{ID: "a-2", At: r.ago(3 * time.Hour), Action: models.ActionFacadeIn, Text: "shop-p2 is drained and goes.", TaskID: "t-2"},
		{ID: "a-1", At: r.ago(5 * time.Hour), Action: models.ActionFacadeOut, Text: "912 connections on 4 nodes, more than 200 each. shop-p2 is ordered.", TaskID: "t-3"},
	}}
	page := views.ServiceProps{Frame: f, Service: service, Gateway: r.gateway(), CanManage: true, Facade: panel}
	halted := policy
	halted.State, halted.Reason, halted.ReasonAt = models.FacadeStopped, "It has ordered 6 machines within an hour, its most. The next is possible at 15:02 UTC; look why nodes die.", r.at(12*time.Minute)
	stopped := page
	stopped.Facade.Policy = &halted
	return []screen{
		{"policy", views.Facade(props)},
		{"policy-refused", views.Facade(refused)},
		{"service-policy", views.Service(page)},
		{"service-policy-stopped", views.Service(stopped)},
	}
}

// refusedScreens are what the gateway left out, where it is told.
func refusedScreens(r records, f views.Frame) []screen {
	gateway := r.gateway()
	gateway.Failed = `[{"id":"r-1","text":"its ports are not a range"},{"id":"p-2","text":"its key is that of another device"},{"id":"v","text":"UDP port 51820 of 198.51.100.4 is taken on this host"}]`
	network := views.NetworkProps{Frame: f, Gateway: gateway, Services: r.services(), Networks: r.networkRows(), IPs: r.ips(), Uses: map[models.IPID][]string{}, CanManage: true,
		Refused: []models.Refusal{
			{Kind: models.RefusedNetwork, Name: "Network backend", Text: "cloud Frankfurt has no trunk on this gateway; give --trunk", Network: "n-2"},
			{Kind: models.RefusedRule, Name: "Firewall rule 1", Text: "its ports are not a range", Rule: "r-1"},
			{Kind: models.RefusedService, Name: "Service shop", Text: "TCP port 443 of 198.51.100.4 is taken by another org on this gateway", Service: "s-1"},
		}}
	vpn := r.vpn()
	return []screen{
		{"network-refused", views.Network(network)},
		{"firewall-blamed", views.Firewall(views.FirewallProps{Frame: f, Gateway: gateway, Rules: r.rules(), Networks: r.networkRows(), IPs: r.ips(), CanManage: true,
			Form: views.RuleForm{Direction: "in", Protocol: "tcp", Allow: true, Enabled: true}})},
		{"vpn-blamed", views.VPN(views.VPNProps{Frame: f, Gateway: gateway, VPN: &vpn, IPs: r.ips(), Peers: r.peers(), Networks: r.networkRows(), Own: "u", CanManage: true, CanUse: true})},
	}
}
