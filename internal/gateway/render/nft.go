package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright/millwright/internal/edge"
)

// NFTOptions is what the host adds to the state.
type NFTOptions struct {
	// Epoch changes when the counters began again from 0.
	Epoch string
	// Down are the UDP nodes, by id, that are not to get anything.
	Down map[string]bool
	// Live are the counters that stand in the kernel: those that no service
	// has any more are deleted.
	Live []string
	// Foreign are statements that take away what other hands put beside ours.
	Foreign []string
	// Refuse is where machines may not send to: the host's own addresses and
	// whatever network manages it.
	Refuse []netip.Prefix
}

// Ruleset is a rendered set of rules.
type Ruleset struct {
	Text string
	Hash string // stands in the ruleset itself, to be found in the kernel
	// Chains are all that the table has, by name, and where each is hooked in.
	Chains map[string]Hook
}

// Hook is where the kernel comes to a chain; of one that others jump to, none.
type Hook struct {
	Type     string `json:"type"`
	Hook     string `json:"hook"`
	Priority int    `json:"prio"`
}

// Marks on connections beyond a service's own number.
const (
	markHairpin = 0x20000 // HAProxy's own leg for a client that is a machine of the org
	markProxied = 1       // on packets, not connections: they belong to HAProxy's sockets
)

// Link is the name of a network's interface.
func Link(n edge.Network) string { return fmt.Sprintf("net%d", n.Number) }

// Counters of a service, by mark.
func CounterIn(mark int) string  { return fmt.Sprintf("in_%d", mark) }
func CounterOut(mark int) string { return fmt.Sprintf("out_%d", mark) }
func CounterNew(mark int) string { return fmt.Sprintf("new_%d", mark) }

// Counters of a UDP node, whose connections HAProxy doesn't see.
func NodeIn(mark int, n edge.Node) string  { return fmt.Sprintf("in_%d_%s", mark, Server(n)) }
func NodeOut(mark int, n edge.Node) string { return fmt.Sprintf("out_%d_%s", mark, Server(n)) }
func NodeNew(mark int, n edge.Node) string { return fmt.Sprintf("new_%d_%s", mark, Server(n)) }

// countersOf lists a service's.
func countersOf(s *edge.Service) []string {
	list := []string{CounterIn(s.Mark), CounterOut(s.Mark), CounterNew(s.Mark)}
	if s.Protocol == edge.ProtocolUDP {
		for _, n := range s.Nodes {
			list = append(list, NodeIn(s.Mark, n), NodeOut(s.Mark, n), NodeNew(s.Mark, n))
		}
	}
	return list
}

// NFT renders everything that the kernel does for an org, as one text for one
// transaction. Rules and sets are made anew; counters stay.
//
//	from outside: mark by service ─▶ firewall, sources ─▶ UDP: to a node │ TCP: to HAProxy
//	from machines: own services ─▶ HAProxy │ internet: firewall out, refused ranges, source address
func NFT(org edge.Org, o NFTOptions) Ruleset {
	r := ruler{org: org, options: o, chains: map[string]Hook{}}
	for _, s := range org.Services {
		if s.Enabled {
			r.services = append(r.services, s)
		}
	}
	body := r.body()
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:8])
	var b strings.Builder
	fmt.Fprintf(&b, "add table ip %s\nflush table ip %s\n", Table, Table)
	for _, statement := range o.Foreign {
		b.WriteString(statement + "\n")
	}
	keep := map[string]bool{}
	for i := range org.Services { // a disabled one keeps its numbers
		for _, name := range countersOf(&org.Services[i]) {
			keep[name] = true
		}
	}
	for _, name := range o.Live {
		if !keep[name] {
			fmt.Fprintf(&b, "delete counter ip %s %s\n", Table, name)
		}
	}
	b.WriteString(strings.Replace(body, "STAMP", fmt.Sprintf("gen=%d hash=%s epoch=%s", org.Generation, hash, o.Epoch), 1))
	return Ruleset{Text: b.String(), Hash: hash, Chains: r.chains}
}

type ruler struct {
	strings.Builder
	org      edge.Org
	options  NFTOptions
	services []edge.Service // the enabled ones
	chains   map[string]Hook
}

func (r *ruler) line(format string, args ...any) {
	r.WriteString("\t\t")
	fmt.Fprintf(&r.Builder, format, args...)
	r.WriteByte('\n')
}

func (r *ruler) chain(name, hook string, f func()) {
	fmt.Fprintf(&r.Builder, "\tchain mw_%s {\n", name)
	var at Hook
	if hook != "" {
		r.line("type %s;", hook)
		_, _ = fmt.Sscanf(hook, "%s hook %s priority %d", &at.Type, &at.Hook, &at.Priority)
	}
	r.chains["mw_"+name] = at
	f()
	r.WriteString("\t}\n")
}

func (r *ruler) body() string {
	fmt.Fprintf(&r.Builder, "table ip %s {\n", Table)
	r.objects()
	r.chain("stamp", "", func() { r.line(`accept comment "STAMP"`) })
	r.chain("classify", "filter hook prerouting priority -150; policy accept", r.classify)
	r.chain("out", "", func() {
		r.rules("out", "goto mw_accepted")
		r.line("goto mw_accepted")
	})
	r.chain("gate", "", r.gate)
	r.chain("allowed", "", r.allowed)
	r.chain("inbound", "", r.inbound)
	r.chain("screen", "filter hook prerouting priority -110; policy accept", func() {
		r.line(`iifname "%s" ct state new goto mw_inbound`, Uplink)
	})
	r.chain("nodes", "nat hook prerouting priority -100; policy accept", r.nodes)
	// After the address translation of replies, so that a hairpin's are found.
	r.chain("proxied", "filter hook prerouting priority -90; policy accept", func() {
		r.line("meta l4proto tcp socket transparent 1 meta mark set %d", markProxied)
	})
	r.chain("accepted", "", r.accepted)
	r.chain("input", "filter hook input priority 0; policy drop", r.input)
	r.chain("forward", "filter hook forward priority 0; policy drop", r.forward)
	r.chain("own", "filter hook output priority -150; policy accept", func() {
		if mine := r.machines(); mine != "" {
			r.line("ct state new ip saddr %s ip daddr %s fib saddr type != local ct mark set %#x", mine, mine, markHairpin)
		}
	})
	r.chain("sent", "filter hook postrouting priority 0; policy accept", func() {
		if m := r.counters(CounterOut); m != "" {
			r.line("ct direction reply counter name ct mark map %s", m)
		}
		if m := r.nodeCounters(NodeOut); m != "" {
			r.line("ct direction reply meta l4proto udp counter name ct mark . ip saddr . udp sport map %s", m)
		}
	})
	r.chain("source", "nat hook postrouting priority 100; policy accept", r.source)
	r.WriteString("}\n")
	return r.String()
}

func (r *ruler) objects() {
	idle := map[int]bool{}
	for _, s := range r.org.Services {
		for _, name := range countersOf(&s) {
			fmt.Fprintf(&r.Builder, "\tcounter %s {\n\t}\n", name)
		}
		if s.Enabled && s.Protocol == edge.ProtocolUDP {
			idle[s.IdleTimeoutSeconds] = true
		}
	}
	for _, seconds := range sorted(idle) {
		fmt.Fprintf(&r.Builder, "\tct timeout mw_idle_%d {\n\t\tprotocol udp\n\t\tl3proto ip\n\t\tpolicy = { unreplied : %d, replied : %d }\n\t}\n",
			seconds, min(seconds, 30), seconds)
	}
}

func l4(s edge.Service) string {
	if s.Protocol == edge.ProtocolUDP {
		return "udp"
	}
	return "tcp"
}

func (r *ruler) classify() {
	if len(r.services) == 0 {
		return
	}
	services := make([]string, 0, len(r.services))
	for _, s := range r.services {
		services = append(services, fmt.Sprintf("%s . %s . %d : %d", s.PublicIP, l4(s), s.Port, s.Mark))
	}
	r.line("ct state new ct mark set ip daddr . meta l4proto . th dport map { %s }", strings.Join(services, ", "))
	marks := map[int][]string{}
	for _, s := range r.services {
		if s.Protocol == edge.ProtocolUDP {
			marks[s.IdleTimeoutSeconds] = append(marks[s.IdleTimeoutSeconds], strconv.Itoa(s.Mark))
		}
	}
	idle := map[int]bool{}
	for seconds := range marks {
		idle[seconds] = true
	}
	for _, seconds := range sorted(idle) {
		r.line(`ct state new meta l4proto udp ct mark { %s } ct timeout set "mw_idle_%d"`, strings.Join(marks[seconds], ", "), seconds)
	}
}

// nodes gives UDP to the nodes that are alive. What finds none goes to the
// namespace itself, which says that nobody listens.
func (r *ruler) nodes() {
	for _, s := range r.services {
		if s.Protocol != edge.ProtocolUDP {
			continue
		}
		var alive []string
		for _, n := range s.Nodes {
			if n.Enabled && !n.Draining && !r.options.Down[n.ID] {
				alive = append(alive, fmt.Sprintf("%d : %s . %d", len(alive), n.Address, n.Port))
			}
		}
		if len(alive) == 0 {
			continue
		}
		how := "numgen inc"
		if s.Balancing == edge.BalanceSource {
			how = "jhash ip saddr"
		}
		begin(&r.Builder, s.ID)
		r.line("meta l4proto udp ct mark %d dnat ip addr . port to %s mod %d map { %s }", s.Mark, how, len(alive), strings.Join(alive, ", "))
		end(&r.Builder)
	}
}

func (r *ruler) counters(name func(int) string) string {
	if len(r.services) == 0 {
		return ""
	}
	list := make([]string, 0, len(r.services))
	for _, s := range r.services {
		list = append(list, fmt.Sprintf(`%d : "%s"`, s.Mark, name(s.Mark)))
	}
	return "{ " + strings.Join(list, ", ") + " }"
}

// nodeCounters are those of the UDP nodes, by mark, address and port: two
// services may share a node.
func (r *ruler) nodeCounters(name func(int, edge.Node) string) string {
	var list []string
	for _, s := range r.services {
		if s.Protocol != edge.ProtocolUDP {
			continue
		}
		for _, n := range s.Nodes {
			list = append(list, fmt.Sprintf(`%d . %s . %d : "%s"`, s.Mark, n.Address, n.Port, name(s.Mark, n)))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "{ " + strings.Join(list, ", ") + " }"
}

// accepted counts what may pass. What was refused is nobody's traffic.
func (r *ruler) accepted() {
	if m := r.counters(CounterNew); m != "" {
		r.line("ct state new counter name ct mark map %s", m)
		r.line("ct direction original counter name ct mark map %s", r.counters(CounterIn))
	}
	if m := r.nodeCounters(NodeNew); m != "" {
		r.line("ct state new meta l4proto udp counter name ct mark . ip daddr . udp dport map %s", m)
		r.line("ct direction original meta l4proto udp counter name ct mark . ip daddr . udp dport map %s", r.nodeCounters(NodeIn))
	}
	r.line("accept")
}

func (r *ruler) input() {
	r.line(`iifname "lo" accept`)
	r.line("ct state invalid drop")
	r.line("ct state established,related goto mw_accepted")
	r.line(`iifname "%s" goto mw_accepted`, Uplink) // screened before
	r.line("ct mark != 0 goto mw_accepted")         // machines and devices reach the org's own services
	own := make([]string, 0, len(r.org.Networks)+1)
	for _, n := range r.org.Networks {
		own = append(own, n.Gateway)
	}
	if r.org.VPN != nil {
		own = append(own, r.org.VPN.Address)
	}
	if len(own) > 0 {
		r.line("ip daddr { %s } icmp type echo-request accept", strings.Join(own, ", "))
	}
}

func (r *ruler) forward() {
	r.line("ct state invalid drop")
	r.line("ct state established,related goto mw_accepted")
	links := make([]string, 0, len(r.org.Networks))
	for _, n := range r.org.Networks {
		links = append(links, `"`+Link(n)+`"`)
	}
	if len(links) == 0 {
		return
	}
	set := "{ " + strings.Join(links, ", ") + " }"
	r.line(`iifname "%s" oifname %s goto mw_accepted`, Uplink, set) // screened before
	r.line("iifname %s oifname %s goto mw_accepted", set, set)
	if r.org.VPN != nil {
		r.line(`iifname "%s" oifname %s goto mw_accepted`, Tunnel, set)
	}
	if r.org.Outbound == "" {
		return
	}
	if len(r.options.Refuse) > 0 {
		list := make([]string, 0, len(r.options.Refuse))
		for _, p := range r.options.Refuse {
			list = append(list, p.String())
		}
		r.line(`iifname %s ip daddr { %s } drop`, set, strings.Join(list, ", "))
	}
	r.line(`iifname %s oifname "%s" goto mw_out`, set, Uplink)
}

func (r *ruler) machines() string {
	list := make([]string, 0, len(r.org.Networks)+1)
	for _, n := range r.org.Networks {
		list = append(list, n.CIDR)
	}
	if len(list) == 0 {
		return ""
	}
	if r.org.VPN != nil {
		list = append(list, r.org.VPN.CIDR)
	}
	return "{ " + strings.Join(list, ", ") + " }"
}

func (r *ruler) source() {
	mine := r.machines()
	if mine == "" {
		return
	}
	// A node in the client's own network would answer it directly, past the
	// translation: the gateway stands in as the source.
	r.line("ct mark %#x masquerade", markHairpin)
	r.line("ct status dnat ip saddr %s masquerade", mine)
	if r.org.Outbound != "" {
		r.line(`oifname "%s" ip saddr %s snat to %s`, Uplink, mine, r.org.Outbound)
	}
}

func sorted(set map[int]bool) []int {
	list := make([]int, 0, len(set))
	for n := range set {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}
