package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"

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
		if p.Host != "" { // an older portal says none
			host, err := ipv4(p.Host)
			if err != nil {
				blame(p.ID, err)
				continue
			}
			p.Host = host.String()
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
