package web

import (
	"context"
	"fmt"
	"strings"

	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/models"
)

// edgeIDs is one of each thing on an org's network edge.
type edgeIDs struct{ network, ip, service, node, rule, device string }

// edge makes one of each, fresh.
func (m *matrix) edge(org string) edgeIDs {
	m.p.t.Helper()
	return m.p.edge(org, m.name(), m.p.MachineOf(m.p.t, org, m.name()))
}

// networkVLANs is the range that the networks take theirs from.
func networkVLANs() (first, last int) { return 1000, 2500 }

// edge makes one of each thing on an org's network edge, under a name that
// none has yet.
func (p *portal) edge(org, name string, machine models.Machine) edgeIDs {
	p.t.Helper()
	ctx := context.Background()
	p.edges++
	must := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	must(p.OfferPublicIPs(fmt.Sprintf("203.0.%d.%d", 100+p.edges/250, p.edges%250+1)))
	must(p.OfferVLANs(networkVLANs()))
	_, err := p.System.PutOrg(ctx, org, strings.ToUpper(org[:1])+org[1:], models.Limits{models.ResourceMachines: 1000, models.ResourceVCPUs: 4000, models.ResourceMemory: 16 << 20,
		models.ResourceStorage: 1 << 20, models.ResourcePublicIPs: 1000, models.ResourceConsoles: 50, models.ResourceTasks: 500})
	must(err)
	admin := p.Scope(p.t, "admin@"+org+".example", org)
	_, key, err := network.KeyPair()
	must(err)
	var ids edgeIDs
	must(admin.Change(ctx, func(w *models.Writer) error {
		private := models.Network{Name: name, CloudID: p.Public.ID, CIDR: fmt.Sprintf("10.%d.%d.0/24", 100+p.edges/250, p.edges%250)}
		ip, err := w.TakePublicIP(1 << 40)
		if err != nil {
			return err
		}
		service := models.InternetService{Name: name, Protocol: models.ServiceTCP, Enabled: true, Balancing: models.BalanceLeast, IdleTimeoutSeconds: 60, Sources: "0.0.0.0/0"}
		rule := models.FirewallRule{Direction: "in", Protocol: "any", Enabled: true}
		for _, step := range []func() error{
			func() error { return w.CreateNetwork(&private) },
			func() error { return w.CreateService(&service, models.ServiceEndpoint{PublicIPID: ip.ID, Port: 443}) },
			func() error { return w.AddRule(&rule) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		node := models.ServiceNode{ServiceID: service.ID, MachineID: machine.ID, NetworkID: machine.NetworkID, Address: machine.Address, Port: 80, Enabled: true}
		if err := w.AddNode(&node); err != nil {
			return err
		}
		policy := models.FacadePolicy{ServiceID: service.ID, AuthorID: admin.UserID(), MinNodes: 1, MaxNodes: 1, TemplateID: p.Template.ID, InstanceTypeID: p.Small.ID,
			NetworkID: machine.NetworkID, NodePort: 80, DeadAfterSeconds: 60, CooldownSeconds: 60, OrdersPerHour: 1}
		if err := w.PutFacade(policy); err != nil {
			return err
		}
		if _, err := w.VPN(); models.CodeOf(err) == models.CodeNotFound {
			if _, err := w.CreateVPN(ip.ID, key, "private"); err != nil {
				return err
			}
		}
		device, err := w.AddPeer(admin.UserID(), name, key)
		ids = edgeIDs{network: string(private.ID), ip: string(ip.ID), service: string(service.ID), node: string(node.ID), rule: string(rule.ID), device: string(device.ID)}
		return err
	}))
	return ids
}
