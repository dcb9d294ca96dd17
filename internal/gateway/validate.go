package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/millwright/millwright/internal/edge"
)

// Checked is an org's state of which every object is sound: addresses parse
// and are where they may be, and nothing collides. Only Validate makes one.
type Checked struct{ org edge.Org }

// Org is the state itself.
func (c Checked) Org() edge.Org { return c.org }

// Key names the org's things on the host.
func (c Checked) Key() string { return c.org.Key }

// Without leaves objects out by id: those that the host turned out not to
// carry.
func (c Checked) Without(ids map[string]bool) Checked {
	o := c.org
	o.Services = nil
	for _, s := range c.org.Services {
		if !ids[s.ID] {
			o.Services = append(o.Services, s)
		}
	}
	o.Networks = nil
	for _, n := range c.org.Networks {
		if !ids[n.ID] {
			o.Networks = append(o.Networks, n)
		}
	}
	if o.VPN != nil && ids[o.VPN.ID] {
		o.VPN = nil
	}
	return Checked{o}
}

// Verdict is what validation made of one org.
type Verdict struct {
	ID         string
	Key        string
	Generation int64
	Want       Checked
	Failed     []edge.Blame
	Err        error // the org as a whole
}

// Validate looks at each object by itself, so that a bad one is left out with
// its reason and all others apply. Between two that collide the first stays.
//
// A firewall rule that is no rule can't be left out by itself: what it should
// have refused would pass. The org then keeps the firewall of last, its last
// good state, or lets nothing in where there is none.
func Validate(d edge.Desired, limits Limits, last func(id string) (edge.Org, bool)) []Verdict {
	v := validator{limits: limits, keys: map[string]bool{}, links: map[string]bool{}, public: map[netip.Addr]string{}}
	list := make([]Verdict, 0, len(d.Orgs))
	for i := range d.Orgs {
		list = append(list, v.org(d.Orgs[i], last))
	}
	return list
}

// validator remembers what the orgs before took.
type validator struct {
	limits Limits
	keys   map[string]bool
	links  map[string]bool       // cloud and VLAN
	public map[netip.Addr]string // address → org's key
}

var keyForm = regexp.MustCompile(`^[a-z0-9]{1,8}$`)

// idForm is wide: the portal's ids are UUIDs, and those of others may differ.
// They are reported and written into comments, nowhere else.
var idForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

func (v *validator) org(o edge.Org, last func(string) (edge.Org, bool)) Verdict {
	r := Verdict{ID: o.ID, Key: o.Key, Generation: o.Generation}
	if !idForm.MatchString(o.ID) || !keyForm.MatchString(o.Key) {
		r.Err = fmt.Errorf("org key %q is not 1 to 8 of a-z and 0-9", o.Key)
		return r
	}
	if v.keys[o.Key] {
		r.Err = fmt.Errorf("org key %q is used twice", o.Key)
		return r
	}
	v.keys[o.Key] = true
	c := orgCheck{validator: v, key: o.Key, numbers: map[int]bool{}, marks: map[int]bool{}, ports: map[string]bool{}, ids: map[string]bool{}}
	out := edge.Org{ID: o.ID, Key: o.Key, Generation: o.Generation}
	blame := func(id string, err error) {
		r.Failed = append(r.Failed, edge.Blame{ID: id, Text: err.Error()})
	}
	if o.Outbound != "" {
		a, err := c.publicIP(o.Outbound)
		if err != nil {
			blame(o.ID, fmt.Errorf("outbound address: %w", err))
		} else {
			out.Outbound = a.String()
		}
	}
	for _, n := range o.Networks {
		if err := c.network(&n); err != nil {
			blame(n.ID, err)
			continue
		}
		out.Networks = append(out.Networks, n)
	}
	if o.VPN != nil {
		w := *o.VPN
		bad, err := c.vpn(&w)
		r.Failed = append(r.Failed, bad...)
		if err != nil {
			blame(w.ID, err)
		} else {
			out.VPN = &w
		}
	}
	for _, s := range o.Services {
		bad, err := c.service(&s)
		if err != nil {
			blame(s.ID, err)
			continue
		}
		r.Failed = append(r.Failed, bad...)
		out.Services = append(out.Services, s)
	}
	sound := true
	for _, rule := range o.Firewall {
		if err := c.rule(&rule); err != nil {
			blame(rule.ID, err)
			sound = false
			continue
		}
		out.Firewall = append(out.Firewall, rule)
	}
	if !sound {
		out.Firewall = []edge.Rule{{ID: "none", Direction: "in", Protocol: "any"}, {ID: "none-out", Direction: "out", Protocol: "any"}}
		if good, ok := last(o.ID); ok {
			out.Firewall = good.Firewall
		}
	}
	for _, p := range o.Probes {
		a, err := c.machine(p.Address)
		if err == nil {
			err = port(p.Port)
		}
		if err == nil && !idForm.MatchString(p.ID) {
			err = errors.New("its id is none")
		}
		if err != nil {
			blame(p.ID, err)
			continue
		}
		if p.Monitor != nil {
			m := *p.Monitor
			if err := monitor(&m); err != nil {
				blame(p.ID, err)
				continue
			}
			p.Monitor = &m
		}
		p.Address = a.String()
		out.Probes = append(out.Probes, p)
	}
	r.Want = Checked{out}
	return r
}

// orgCheck remembers what the objects before took.
type orgCheck struct {
	*validator
	key      string
	networks []netip.Prefix
	gateways []netip.Addr
	tunnel   []netip.Prefix // none or the VPN's
	numbers  map[int]bool
	marks    map[int]bool
	ports    map[string]bool // public address, protocol and port
	ids      map[string]bool
}

func (c *orgCheck) id(id string) error {
	if !idForm.MatchString(id) {
		return errors.New("its id is none")
	}
	if c.ids[id] {
		return errors.New("its id is used twice")
	}
	c.ids[id] = true
	return nil
}

func ipv4(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return netip.Addr{}, fmt.Errorf("%q is no IPv4 address", text)
	}
	return a, nil
}

func cidr(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, e := netip.ParseAddr(text)
		if e != nil {
			return netip.Prefix{}, fmt.Errorf("%q is no network", text)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if !p.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("%q is not IPv4", text)
	}
	return p.Masked(), nil
}

func port(n int) error {
	if n < 1 || n > 65535 {
		return fmt.Errorf("port %d is not from 1 to 65535", n)
	}
	return nil
}

// publicIP takes an address for the org, unless another one has it.
func (c *orgCheck) publicIP(text string) (netip.Addr, error) {
	a, err := ipv4(text)
	if err != nil {
		return a, err
	}
	switch {
	case c.limits.Loopback && !a.IsLoopback():
		return a, fmt.Errorf("%s is not a loopback address: the lab binds nothing else", a)
	case !c.limits.Loopback && a.IsLoopback(), a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return a, fmt.Errorf("%s can't be a public address", a)
	}
	if owner, taken := c.public[a]; taken && owner != c.key {
		return a, fmt.Errorf("%s is another org's", a)
	}
	for _, n := range slices.Concat(c.networks, c.tunnel) {
		if n.Contains(a) {
			return a, fmt.Errorf("%s lies in a private network", a)
		}
	}
	c.public[a] = c.key
	return a, nil
}

func (c *orgCheck) network(n *edge.Network) error {
	if err := c.id(n.ID); err != nil {
		return err
	}
	p, err := cidr(n.CIDR)
	if err != nil {
		return err
	}
	g, err := ipv4(n.Gateway)
	if err != nil {
		return err
	}
	switch {
	case n.Number < 1 || n.Number > 999:
		return fmt.Errorf("number %d is not from 1 to 999", n.Number)
	case c.numbers[n.Number]:
		return fmt.Errorf("number %d is used twice", n.Number)
	case n.VLAN < 0 || n.VLAN > 4094:
		return fmt.Errorf("VLAN %d is not from 1 to 4094", n.VLAN)
	case c.limits.Trunks != nil && !c.limits.Trunks[n.Cloud]:
		return fmt.Errorf("no trunk of cloud %q arrives at this gateway", n.Cloud)
	case p.Bits() < 8 || p.Bits() > 30:
		return fmt.Errorf("%s is not from /8 to /30", p)
	}
	if err := c.private(p); err != nil {
		return err
	}
	if !usable(p, g) {
		return fmt.Errorf("gateway %s is no address of %s", g, p)
	}
	link := fmt.Sprintf("%s/%d", n.Cloud, n.VLAN)
	if c.limits.Trunks != nil && c.links[link] {
		return fmt.Errorf("VLAN %d of cloud %q is taken", n.VLAN, n.Cloud)
	}
	c.links[link] = true
	c.numbers[n.Number] = true
	c.networks = append(c.networks, p)
	c.gateways = append(c.gateways, g)
	n.CIDR, n.Gateway = p.String(), g.String()
	return nil
}

// private is a range that machines or devices may live in.
func (c *orgCheck) private(p netip.Prefix) error {
	for _, special := range []string{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"} {
		if netip.MustParsePrefix(special).Overlaps(p) {
			return fmt.Errorf("%s overlaps %s", p, special)
		}
	}
	for _, n := range slices.Concat(c.networks, c.tunnel) {
		if n.Overlaps(p) {
			return fmt.Errorf("%s overlaps %s", p, n)
		}
	}
	for a, owner := range c.public {
		if owner == c.key && p.Contains(a) {
			return fmt.Errorf("%s holds the public address %s", p, a)
		}
	}
	return nil
}

// usable is neither the network's own nor its broadcast address.
func usable(p netip.Prefix, a netip.Addr) bool {
	return p.Contains(a) && a != p.Addr() && a != lastOf(p)
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}

// machine is an address that a machine of the org may have.
func (c *orgCheck) machine(text string) (netip.Addr, error) {
	a, err := ipv4(text)
	if err != nil {
		return a, err
	}
	for i, n := range c.networks {
		if usable(n, a) && a != c.gateways[i] {
			return a, nil
		}
	}
	return a, fmt.Errorf("%s is no machine's address in the org's networks", a)
}

// Idle timeouts of a service, in seconds: what it gets that says none, and the
// most.
const (
	idleDefault = 3600
	idleMost    = 7 * 24 * 3600
)

func (c *orgCheck) service(s *edge.Service) ([]edge.Blame, error) {
	if err := c.id(s.ID); err != nil {
		return nil, err
	}
	if s.Mark < 1 || s.Mark > 65535 {
		return nil, fmt.Errorf("mark %d is not from 1 to 65535", s.Mark)
	}
	if c.marks[s.Mark] {
		return nil, fmt.Errorf("mark %d is used twice", s.Mark)
	}
	l4 := s.Protocol
	switch s.Protocol {
	case edge.ProtocolHTTP:
		l4 = edge.ProtocolTCP
	case edge.ProtocolTCP, edge.ProtocolUDP:
	default:
		return nil, fmt.Errorf("protocol %q is none of tcp, udp and http", s.Protocol)
	}
	switch s.Balancing {
	case edge.BalanceLeast, edge.BalanceRound, edge.BalanceSource:
	case "":
		s.Balancing = edge.BalanceLeast
	default:
		return nil, fmt.Errorf("balancing %q is not known", s.Balancing)
	}
	if err := port(s.Port); err != nil {
		return nil, err
	}
	if s.IdleTimeoutSeconds < 0 || s.IdleTimeoutSeconds > idleMost {
		return nil, fmt.Errorf("idle timeout of %d s is not from 1 to %d", s.IdleTimeoutSeconds, idleMost)
	}
	if s.IdleTimeoutSeconds == 0 {
		s.IdleTimeoutSeconds = idleDefault
	}
	sources := make([]string, 0, len(s.Sources))
	for _, text := range s.Sources {
		p, err := cidr(text)
		if err != nil {
			return nil, fmt.Errorf("source: %w", err)
		}
		sources = append(sources, p.String())
	}
	s.Sources = disjoint(sources)
	if s.Monitor != nil {
		m := *s.Monitor
		if err := monitor(&m); err != nil {
			return nil, err
		}
		s.Monitor = &m
	}
	// Last, because it takes the address for the org.
	a, err := c.publicIP(s.PublicIP)
	if err != nil {
		return nil, err
	}
	s.PublicIP = a.String()
	at := fmt.Sprintf("%s/%s/%d", a, l4, s.Port)
	if c.ports[at] {
		return nil, fmt.Errorf("%s port %d on %s is taken", l4, s.Port, a)
	}
	c.ports[at] = true
	c.marks[s.Mark] = true
	var failed []edge.Blame
	seen := map[string]bool{}
	nodes := make([]edge.Node, 0, len(s.Nodes))
	for _, n := range s.Nodes {
		a, err := c.machine(n.Address)
		if err == nil {
			err = port(n.Port)
		}
		if err == nil {
			err = c.id(n.ID)
		}
		if at := fmt.Sprintf("%s:%d", a, n.Port); err == nil && seen[at] {
			err = fmt.Errorf("%s is a node of this service already", at)
		} else {
			seen[at] = true
		}
		if err != nil {
			failed = append(failed, edge.Blame{ID: n.ID, Text: err.Error()})
			continue
		}
		n.Address = a.String()
		nodes = append(nodes, n)
	}
	s.Nodes = nodes
	return failed, nil
}

// disjoint drops what lies within another entry: the kernel's interval sets
// refuse overlaps.
func disjoint(list []string) []string {
	var out []string
	for i, text := range list {
		p, within := netip.MustParsePrefix(text), false
		for j, other := range list {
			o := netip.MustParsePrefix(other)
			if i != j && o.Overlaps(p) && (o.Bits() < p.Bits() || o.Bits() == p.Bits() && j < i) {
				within = true
			}
		}
		if !within {
			out = append(out, text)
		}
	}
	return out
}

// pathForm is what may be asked of a node: no blank, quote, backslash, hash or
// dollar, which mean something in a configuration.
var pathForm = regexp.MustCompile(`^/[A-Za-z0-9._~/%?=&:@,;+!*-]{0,255}$`)

func monitor(m *edge.Monitor) error {
	switch m.Kind {
	case "tcp":
		m.Path, m.Status = "", 0
		return nil
	case "http":
	default:
		return fmt.Errorf("monitor %q is neither tcp nor http", m.Kind)
	}
	if m.Path == "" {
		m.Path = "/"
	}
	if !pathForm.MatchString(m.Path) {
		return fmt.Errorf("path %q of the health check has characters that it can't have", m.Path)
	}
	if m.Status != 0 && (m.Status < 100 || m.Status > 599) {
		return fmt.Errorf("status %d of the health check is no HTTP status", m.Status)
	}
	return nil
}

func (c *orgCheck) rule(r *edge.Rule) error {
	if err := c.id(r.ID); err != nil {
		return err
	}
	if r.Direction != "in" && r.Direction != "out" {
		return fmt.Errorf("direction %q is neither in nor out", r.Direction)
	}
	for _, end := range []*string{&r.Source, &r.Destination} {
		if *end == "" {
			continue
		}
		p, err := cidr(*end)
		if err != nil {
			return err
		}
		*end = p.String()
	}
	switch r.Protocol {
	case "":
		r.Protocol = "any"
	case "any", "tcp", "udp", "icmp":
	default:
		return fmt.Errorf("protocol %q is none of any, tcp, udp and icmp", r.Protocol)
	}
	if r.FirstPort == 0 && r.LastPort == 0 {
		return nil
	}
	if r.LastPort == 0 {
		r.LastPort = r.FirstPort
	}
	if r.Protocol == "icmp" {
		return errors.New("icmp has no ports")
	}
	if port(r.FirstPort) != nil || port(r.LastPort) != nil || r.FirstPort > r.LastPort {
		return fmt.Errorf("ports %d to %d are no range", r.FirstPort, r.LastPort)
	}
	return nil
}

func (c *orgCheck) vpn(w *edge.VPN) ([]edge.Blame, error) {
	if err := c.id(w.ID); err != nil {
		return nil, err
	}
	if err := wireguardKey(w.PrivateKey); err != nil {
		return nil, errors.New("the private key is none") // never the key itself
	}
	p, err := cidr(w.CIDR)
	if err != nil {
		return nil, err
	}
	if err := c.private(p); err != nil {
		return nil, err
	}
	own, err := ipv4(w.Address)
	if err != nil {
		return nil, err
	}
	if !usable(p, own) {
		return nil, fmt.Errorf("%s is no address of %s", own, p)
	}
	if err := port(w.Port); err != nil {
		return nil, err
	}
	a, err := c.publicIP(w.PublicIP)
	if err != nil {
		return nil, err
	}
	c.ports[fmt.Sprintf("%s/udp/%d", a, w.Port)] = true
	w.PublicIP, w.CIDR, w.Address = a.String(), p.String(), own.String()
	c.tunnel = append(c.tunnel, p)
	var failed []edge.Blame
	taken := map[string]bool{own.String(): true}
	peers := make([]edge.Peer, 0, len(w.Peers))
	for _, peer := range w.Peers {
		a, err := ipv4(peer.Address)
		switch {
		case err != nil:
		case !usable(p, a):
			err = fmt.Errorf("%s is no address of %s", a, p)
		case wireguardKey(peer.PublicKey) != nil:
			err = errors.New("its public key is none")
		case taken[a.String()] || taken[peer.PublicKey]:
			err = errors.New("its address or key is another device's")
		default:
			err = c.id(peer.ID)
		}
		if err != nil {
			failed = append(failed, edge.Blame{ID: peer.ID, Text: err.Error()})
			continue
		}
		taken[a.String()], taken[peer.PublicKey] = true, true
		peer.Address = a.String()
		peers = append(peers, peer)
	}
	w.Peers = peers
	return failed, nil
}

func wireguardKey(text string) error {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != 32 {
		return errors.New("no key")
	}
	return nil
}
