package render

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright/millwright/internal/edge"
)

// gate lets those in whom a service's own list names. Sets are part of their
// rule, never named: the contents of a named one would change at another moment
// than the rules. Services for everybody have a set of their own, because one
// of ranges is filled only when the kernel has taken all the rest.
func (r *ruler) gate() {
	var everybody, listed []string
	for _, s := range r.services {
		for _, from := range s.Sources {
			if from == "0.0.0.0/0" {
				everybody = append(everybody, strconv.Itoa(s.Mark))
			} else {
				listed = append(listed, fmt.Sprintf("%d . %s", s.Mark, from))
			}
		}
	}
	if len(everybody) > 0 {
		r.line("ct mark { %s } accept", strings.Join(everybody, ", "))
	}
	if len(listed) > 0 {
		r.line("ct mark . ip saddr { %s } accept", strings.Join(listed, ", "))
	}
	r.line("drop")
}

// allowed is where a rule's allow leads: past the rules that follow. There has
// to be a service all the same, and its own list has to name the source.
func (r *ruler) allowed() {
	r.open()
	r.line("meta l4proto icmp accept")
	r.line("drop")
}

// open is what needs no rule.
func (r *ruler) open() {
	r.line("ct mark != 0 goto mw_gate")
	if v := r.org.VPN; v != nil {
		r.line("ip daddr %s udp dport %d accept", v.PublicIP, v.Port)
	}
}

// inbound decides on each new connection from outside, before any address is
// translated: rules in their order, then the services' own lists, then no. It
// is edge.Org.Judge in the kernel's words.
func (r *ruler) inbound() {
	r.rules("in", "goto mw_allowed")
	r.open()
	r.line("drop")
}

// rules renders the firewall's lines of one direction. A rule in with a
// destination speaks of the services that have a node in it.
func (r *ruler) rules(direction, allow string) {
	for _, f := range r.org.Firewall {
		if f.Direction != direction {
			continue
		}
		match := ""
		if f.Source != "" {
			match += "ip saddr " + f.Source + " "
		}
		switch {
		case f.FirstPort != 0 && f.Protocol == "any":
			match += fmt.Sprintf("meta l4proto { tcp, udp } th dport %d-%d ", f.FirstPort, f.LastPort)
		case f.FirstPort != 0:
			match += fmt.Sprintf("%s dport %d-%d ", f.Protocol, f.FirstPort, f.LastPort)
		case f.Protocol != "any":
			match += "meta l4proto " + f.Protocol + " "
		}
		verdict := "drop"
		if f.Allow {
			verdict = allow
		}
		if f.Destination == "" {
			r.line("%s%s", match, verdict)
			continue
		}
		if direction == "out" {
			r.line("%sip daddr %s %s", match, f.Destination, verdict)
		} else if marks := r.behind(netip.MustParsePrefix(f.Destination)); len(marks) > 0 {
			r.line("%sct mark { %s } %s", match, strings.Join(marks, ", "), verdict)
		}
	}
}

func (r *ruler) behind(p netip.Prefix) []string {
	var marks []string
	for _, s := range r.services {
		if slices.ContainsFunc(s.Nodes, func(n edge.Node) bool { return p.Contains(netip.MustParseAddr(n.Address)) }) {
			marks = append(marks, strconv.Itoa(s.Mark))
		}
	}
	return marks
}
