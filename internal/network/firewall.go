package network

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/models"
)

// RuleSpec is a firewall rule as typed. Inside is "" (all), "network:ID" or
// "machine:ID".
type RuleSpec struct {
	Direction string
	Outside   string
	Inside    string
	Protocol  string
	Ports     string // "", "80", "8000-8100"
	Allow     bool
	Enabled   bool
	Comment   string
	// Problems is what could not even be read, by field.
	Problems map[string]string
}

func (s *RuleSpec) record() (models.FirewallRule, map[string]string) {
	wrong := maps.Clone(s.Problems)
	if wrong == nil {
		wrong = map[string]string{}
	}
	r := models.FirewallRule{Direction: s.Direction, Protocol: s.Protocol, Allow: s.Allow, Enabled: s.Enabled, Comment: s.Comment}
	if s.Direction != edge.DirectionIn && s.Direction != edge.DirectionOut {
		wrong["direction"] = "Choose a direction."
	}
	switch s.Protocol {
	case "any", "tcp", "udp", "icmp":
	default:
		wrong["protocol"] = "Choose a protocol."
	}
	if s.Outside != "" {
		cidr, ok := parseCIDR(s.Outside)
		if !ok {
			wrong["outside"] = "Enter an IPv4 address or a network such as 203.0.113.0/24, or nothing for anywhere."
		}
		if r.Outside = cidr; cidr == "0.0.0.0/0" {
			r.Outside = ""
		}
	}
	if kind, id, ok := strings.Cut(s.Inside, ":"); ok {
		switch kind {
		case "network":
			r.NetworkID = new(models.NetworkID(id))
		case "machine":
			r.MachineID = new(models.MachineID(id))
		}
	}
	if s.Inside != "" && r.NetworkID == nil && r.MachineID == nil {
		wrong["inside"] = "Choose one of the org's networks or machines."
	}
	if s.Ports != "" {
		var ok bool
		if r.FirstPort, r.LastPort, ok = parsePorts(s.Ports); !ok {
			wrong["ports"] = "Enter a port, or a range such as 8000-8100."
		} else if s.Protocol != "tcp" && s.Protocol != "udp" {
			wrong["ports"] = "Ports go with TCP or UDP. Choose one of them, or leave the ports empty."
		}
	}
	return r, wrong
}

func parsePorts(text string) (first, last int, ok bool) {
	var rest string
	text = strings.ReplaceAll(strings.ReplaceAll(text, " ", ""), "–", "-")
	if a, b, isRange := strings.Cut(text, "-"); isRange {
		if _, err := fmt.Sscanf(a+" "+b, "%d %d%s", &first, &last, &rest); rest != "" || first == 0 || last == 0 {
			_ = err
			return 0, 0, false
		}
	} else {
		if _, err := fmt.Sscanf(text, "%d%s", &first, &rest); rest != "" {
			_ = err
			return 0, 0, false
		}
		last = first
	}
	return first, last, first >= 1 && last <= 65535 && first <= last
}

// AddRule puts a rule at the end of the firewall.
func (s *Service) AddRule(ctx context.Context, scope *models.Scope, spec RuleSpec) error {
	r, wrong := spec.record()
	if len(wrong) > 0 {
		return models.Invalid(wrong)
	}
	return scope.Change(ctx, func(w *models.Writer) error { return w.AddRule(&r) })
}

// ChangeRule stores an edited rule.
func (s *Service) ChangeRule(ctx context.Context, scope *models.Scope, id models.RuleID, spec RuleSpec) error {
	r, wrong := spec.record()
	r.ID = id
	return scope.Change(ctx, func(w *models.Writer) error {
		if _, err := w.FirewallRule(id); err != nil {
			return err
		}
		if len(wrong) > 0 {
			return models.Invalid(wrong)
		}
		return w.ChangeRule(r)
	})
}

// Question is what the dry run is asked: would this pass?
type Question struct {
	Direction   string
	Source      string
	Destination string // in: one of the org's public addresses
	Protocol    string
	Port        int
}

// Answer is the verdict with its words.
type Answer struct {
	Pass bool
	Text string // "203.0.113.9 → 198.51.100.4 tcp/22 passes, by rule 3."
	Rule models.RuleID
}

// Ask says whether a connection would pass, by the very function that says so
// elsewhere, on the state that the gateway is to carry.
func Ask(st *models.NetworkState, q Question) (Answer, map[string]string) {
	wrong := map[string]string{}
	f := edge.Flow{Direction: q.Direction, Protocol: q.Protocol, Port: q.Port}
	var err error
	if f.Source, err = netip.ParseAddr(q.Source); err != nil || !f.Source.Is4() {
		wrong["source"] = "Enter an IPv4 address."
	}
	if f.Destination, err = netip.ParseAddr(q.Destination); err != nil || !f.Destination.Is4() {
		wrong["destination"] = "Enter an IPv4 address."
	}
	if q.Protocol == "icmp" {
		f.Port = 0
	} else if q.Port < 1 || q.Port > 65535 {
		wrong["port"] = "Enter a port from 1 to 65535."
	}
	if len(wrong) > 0 {
		return Answer{}, wrong
	}
	org := Org(st)
	if q.Direction == edge.DirectionOut && !org.Holds(f.Source) {
		return Answer{}, map[string]string{"source": "Enter an address in one of the org's networks: only its machines send out."}
	}
	v := org.Judge(f)
	name := fmt.Sprintf("%s → %s %s/%d", q.Source, q.Destination, q.Protocol, q.Port)
	if q.Protocol == "icmp" {
		name = fmt.Sprintf("%s → %s icmp", q.Source, q.Destination)
	}
	return Answer{Pass: v.Pass, Text: name + " " + Reason(st, v), Rule: models.RuleID(v.Rule)}, nil
}

// Reason says a verdict in words, after the flow's name.
func Reason(st *models.NetworkState, v edge.Verdict) string {
	rule, service := "a rule", "a service"
	for i := range st.Rules {
		if string(st.Rules[i].ID) == v.Rule {
			rule = fmt.Sprintf("rule %d", st.Rules[i].Position)
		}
	}
	for i := range st.Services {
		if string(st.Services[i].ID) == v.Service {
			service = "the service " + st.Services[i].Name
		}
	}
	spared := ""
	if v.Rule != "" && v.Ground != edge.ByRule {
		spared = " (" + rule + " would let it)"
	}
	switch v.Ground {
	case edge.ByRule:
		if v.Pass {
			return "passes, by " + rule + "."
		}
		return "is refused, by " + rule + "."
	case edge.ByService:
		return "passes: " + service + " opens this port to this source."
	case edge.ByOrg:
		if v.Service == "" {
			return "passes: it stays within the org's own networks, where no rule is asked."
		}
		return "passes: " + service + " is open to the org's own machines and VPN devices, whatever rules and sources say."
	case edge.BySources:
		return "is refused: " + service + " doesn't list this source" + spared + "."
	case edge.ByDisabled:
		return "is refused: " + service + " is switched off" + spared + "."
	case edge.ByVPN:
		return "passes: it is the VPN's own port."
	case edge.ByNoExit:
		return "is refused: the org has no public address to be seen from."
	}
	if v.Pass {
		return "passes: no rule speaks of it, and what goes out is allowed."
	}
	return "is refused: no service is at this port, and what comes in is denied" + spared + "."
}
