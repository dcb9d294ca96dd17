package edge

import (
	"net/netip"
	"slices"
)

// Directions of a rule.
const (
	DirectionIn  = "in"
	DirectionOut = "out"
)

// Flow is a connection that somebody asks about. Ports are those that the
// sender names: of a service, the public one.
type Flow struct {
	Direction   string
	Source      netip.Addr
	Destination netip.Addr // in: the public address; out: anywhere
	Protocol    string     // tcp, udp, icmp
	Port        int        // 0 with icmp
}

// Grounds of a verdict.
const (
	ByRule     = "rule"     // Verdict.Rule decided
	ByService  = "service"  // Verdict.Service opens the port to this source
	BySources  = "sources"  // Verdict.Service doesn't list this source
	ByDisabled = "disabled" // Verdict.Service is switched off
	ByVPN      = "vpn"      // the VPN's own port
	ByOrg      = "own org"  // the sender is the org's own, and it stays there
	ByDefault  = "default"  // no rule spoke: in denied, out allowed
	ByNoExit   = "no exit"  // the org has no public address to be seen from
)

// Verdict is what the gateway does with a new connection. Established ones
// are never asked about again.
type Verdict struct {
	Pass    bool
	Ground  string
	Rule    string // id of the rule that matched first, if one did
	Service string // id of the service that the flow meets, if any
}

// Judge says whether a new connection passes: the one place where rules,
// services and their sources come together. The first rule that matches
// decides. In: a deny refuses, whatever a service says; an allow spares the
// flow the rules that follow; then there has to be an enabled service (or the
// VPN) at that address and port, and the service's own sources have to list the
// sender. So a service opens its port by itself, and only a deny before it
// closes it. Out: the first rule decides, and without one it passes.
//
// The org's own machines and devices aren't strangers: neither rules nor
// sources are asked about what they send to its services and networks. Devices
// get nothing else: the VPN leads to no Internet.
//
// A rule in with a destination speaks of the services that have a node in it.
func (o *Org) Judge(f Flow) Verdict {
	if o.own(f.Source) {
		if v, ok := o.judgeOwn(f); ok {
			return v
		}
	}
	if f.Direction == DirectionOut {
		return o.judgeOut(f)
	}
	v := Verdict{Ground: ByDefault}
	service := o.serviceAt(f)
	if service != nil {
		v.Service = service.ID
	}
	for _, r := range o.Firewall {
		if r.Direction != DirectionIn || !r.speaksOf(f) || !r.reaches(service) {
			continue
		}
		v.Rule = r.ID
		if !r.Allow {
			v.Ground = ByRule
			return v
		}
		break
	}
	switch {
	case service == nil && o.vpnAt(f):
		v.Pass, v.Ground = true, ByVPN
	case service == nil:
		// An echo is answered by the gateway itself where a rule lets it.
		if v.Rule != "" && f.Protocol == "icmp" {
			v.Pass, v.Ground = true, ByRule
		}
	case !service.Enabled:
		v.Ground = ByDisabled
	case !service.lists(f.Source):
		v.Ground = BySources
	case v.Rule != "":
		v.Pass, v.Ground = true, ByRule
	default:
		v.Pass, v.Ground = true, ByService
	}
	return v
}

// judgeOwn judges what stays within the org, whichever way it was asked about:
// what meets one of its services or its networks, and what comes in at anything
// else of it. ok is false for what leaves the org.
func (o *Org) judgeOwn(f Flow) (v Verdict, ok bool) {
	switch s := o.serviceAt(f); {
	case s != nil && s.Enabled:
		return Verdict{Pass: true, Ground: ByOrg, Service: s.ID}, true
	case s != nil:
		return Verdict{Ground: ByDisabled, Service: s.ID}, true
	case o.isGateway(f.Destination):
		// It answers an echo, and offers nothing else.
		if f.Protocol == "icmp" {
			return Verdict{Pass: true, Ground: ByOrg}, true
		}
		return Verdict{Ground: ByDefault}, true
	case o.Holds(f.Destination):
		return Verdict{Pass: true, Ground: ByOrg}, true
	}
	return Verdict{Ground: ByDefault}, f.Direction != DirectionOut || o.own(f.Destination) || o.isPublic(f.Destination)
}

// own says whether the address is a machine's or a device's of the org.
func (o *Org) own(a netip.Addr) bool {
	return o.Holds(a) || o.VPN != nil && o.VPN.CIDR != "" && within(o.VPN.CIDR, a)
}

// isGateway says whether it is the gateway's own in one of the org's networks.
func (o *Org) isGateway(a netip.Addr) bool {
	return o.VPN != nil && o.VPN.Address == a.String() ||
		slices.ContainsFunc(o.Networks, func(n Network) bool { return n.Gateway == a.String() })
}

// isPublic says whether it is a public address that the org uses: what its
// machines send there never leaves the gateway.
func (o *Org) isPublic(a netip.Addr) bool {
	return o.Outbound == a.String() || o.VPN != nil && o.VPN.PublicIP == a.String() ||
		slices.ContainsFunc(o.Services, func(s Service) bool { return s.PublicIP == a.String() })
}

// Holds says whether the address is in one of the org's networks.
func (o *Org) Holds(a netip.Addr) bool {
	return slices.ContainsFunc(o.Networks, func(n Network) bool { return n.CIDR != "" && within(n.CIDR, a) })
}

func within(text string, a netip.Addr) bool {
	in, ok := contains(text, a)
	return in && ok
}

func (o *Org) judgeOut(f Flow) Verdict {
	if !o.Holds(f.Source) { // a device, or nobody's: only machines send out
		return Verdict{Ground: ByDefault}
	}
	for _, r := range o.Firewall {
		if r.Direction != DirectionOut || !r.speaksOf(f) {
			continue
		}
		if in, ok := contains(r.Destination, f.Destination); !ok || !in {
			continue
		}
		if !r.Allow {
			return Verdict{Ground: ByRule, Rule: r.ID}
		}
		return o.exit(Verdict{Pass: true, Ground: ByRule, Rule: r.ID})
	}
	return o.exit(Verdict{Pass: true, Ground: ByDefault})
}

// exit refuses what would have to leave by an address that the org hasn't got.
func (o *Org) exit(v Verdict) Verdict {
	if o.Outbound == "" {
		v.Pass, v.Ground = false, ByNoExit
	}
	return v
}

// L4 is the transport of a service's protocol: ports are compared by it.
func L4(protocol string) string {
	if protocol == ProtocolUDP {
		return ProtocolUDP
	}
	return ProtocolTCP
}

func (o *Org) serviceAt(f Flow) *Service {
	for i := range o.Services {
		s := &o.Services[i]
		if s.PublicIP == f.Destination.String() && L4(s.Protocol) == f.Protocol && s.Port == f.Port {
			return s
		}
	}
	return nil
}

func (o *Org) vpnAt(f Flow) bool {
	return o.VPN != nil && o.VPN.PublicIP == f.Destination.String() && f.Protocol == ProtocolUDP && o.VPN.Port == f.Port
}

// speaksOf compares protocol, source and port.
func (r *Rule) speaksOf(f Flow) bool {
	if r.Protocol != "any" && r.Protocol != f.Protocol {
		return false
	}
	if r.FirstPort != 0 && (f.Port < r.FirstPort || f.Port > max(r.LastPort, r.FirstPort)) {
		return false
	}
	in, ok := contains(r.Source, f.Source)
	return ok && in
}

// reaches says whether the rule's destination has to do with the service.
func (r *Rule) reaches(s *Service) bool {
	if r.Destination == "" {
		return true
	}
	return s != nil && slices.ContainsFunc(s.Nodes, func(n Node) bool {
		a, err := netip.ParseAddr(n.Address)
		in, ok := contains(r.Destination, a)
		return err == nil && ok && in
	})
}

func (s *Service) lists(source netip.Addr) bool {
	return slices.ContainsFunc(s.Sources, func(text string) bool {
		in, ok := contains(text, source)
		return text != "" && ok && in
	})
}

// contains reads a CIDR or an address; "" is everywhere. ok is false for text
// that is neither, which matches nothing.
func contains(text string, a netip.Addr) (in, ok bool) {
	if text == "" {
		return true, true
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Contains(a), true
	}
	if one, err := netip.ParseAddr(text); err == nil {
		return one == a, true
	}
	return false, false
}
