package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/models"
)

// StepState is what is known of a step.
type StepState string

const (
	StepOK        StepState = "ok"
	StepFailed    StepState = "failed"
	StepWaiting   StepState = "waiting"   // the gateway is asked
	StepUnchecked StepState = "unchecked" // can't be known, or not yet
)

// Steps of a trace, in the order in which a connection meets them.
const (
	TraceIP       = "public_ip"
	TraceGateway  = "gateway"
	TraceFirewall = "firewall"
	TraceService  = "service"
	TraceNode     = "node"
	TraceMachine  = "machine"
	TraceHealth   = "health"
	TraceListener = "listener"
)

// TraceStep is one thing that has to be right for a connection to get through.
type TraceStep struct {
	Name     string
	State    StepState
	Text     string // what was found
	Evidence []string
	Since    *time.Time
	// Do is what to do about it, and the rest where that is done: a rule, a
	// machine, the service.
	Do      string
	Rule    models.RuleID
	Machine models.MachineID
}

// Trace is the way of a connection from a source to a service's nodes.
type Trace struct {
	Source string
	Steps  []TraceStep
	// First is the first step that fails; nil where none does.
	First *TraceStep
	// Probing: the gateway is asked, and may still answer.
	Probing bool
}

// TraceFacts is all that a trace is made of.
type TraceFacts struct {
	State    models.NetworkState
	Service  models.ServiceRow
	IP       models.OrgIP
	Machines map[models.MachineID]models.MachineRow
	Probes   []models.Probe
	Source   netip.Addr
	Now      time.Time
}

// ReadTrace gathers what a trace of the service is made of.
func ReadTrace(r *models.Reader, id models.ServiceID) (TraceFacts, error) {
	f := TraceFacts{Now: models.Now(), Machines: map[models.MachineID]models.MachineRow{}}
	var err error
	if f.Service, err = r.Service(id); err != nil {
		return f, err
	}
	if f.State, err = r.NetworkState(); err != nil {
		return f, err
	}
	if f.IP, err = r.PublicIP(f.Service.PublicIPID); err != nil {
		return f, err
	}
	for _, n := range f.Service.Nodes {
		if f.Machines[n.MachineID], err = r.Machine(n.MachineID); err != nil {
			return f, err
		}
	}
	f.Probes, err = r.Probes(id)
	return f, err
}

// ParseSource reads whom a trace is about.
func ParseSource(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSpace(text))
	return a.Unmap(), err == nil && a.Unmap().Is4()
}

// Walk goes the way of a connection. Each step is looked at by itself, so that
// what lies behind the first failure is seen too; what can't be known without
// the one before says so.
func Walk(f TraceFacts) Trace {
	t := Trace{Source: f.Source.String()}
	listener := f.listener()
	t.Steps = []TraceStep{f.publicIP(), f.gateway(), f.firewall(), f.enabled(), f.node(), f.machine(), f.health(), listener}
	t.Probing = listener.State == StepWaiting
	if at := slices.IndexFunc(t.Steps, func(s TraceStep) bool { return s.State == StepFailed }); at >= 0 {
		t.First = &t.Steps[at]
	}
	return t
}

func (f *TraceFacts) publicIP() TraceStep {
	s := TraceStep{Name: TraceIP, State: StepOK, Text: f.IP.Address + " is the org's.", Since: f.IP.AssignedAt}
	if f.IP.State != models.IPAssigned {
		s.State, s.Since = StepFailed, f.IP.ReleasedAt
		s.Text = f.IP.Address + " is on its way back to the provider."
		s.Do = "Give the service another public IP."
	}
	return s
}

func (f *TraceFacts) gateway() TraceStep {
	g := &f.State.Gateway
	s := TraceStep{Name: TraceGateway, State: StepFailed, Since: g.ReportedAt}
	if g.EdgeID == nil {
		s.Text, s.Do = "No gateway carries this org yet.", "Ask your provider: a gateway has to be registered for the org's clouds."
		return s
	}
	if g.ReportedAt == nil || f.Now.Sub(*g.ReportedAt) > models.GatewaySilence {
		s.Text = "The gateway has never reported."
		if g.ReportedAt != nil {
			s.Text = "The gateway is silent: it reports every few seconds, and has not for " + f.Now.Sub(*g.ReportedAt).Round(time.Second).String() + "."
		}
		s.Do = "Tell your provider. What the gateway carried before, it may still carry; of changes since nothing is known."
		return s
	}
	s.Evidence = []string{fmt.Sprintf("the service's last change is generation %d; the gateway has seen %d and runs %d", f.Service.Generation, g.Observed, g.Applied)}
	switch blame := g.BlameOf(string(f.Service.ID)); {
	case g.Observed >= f.Service.Generation && blame != "":
		s.Text, s.Do = "The gateway left this service out: "+blame, "Edit the service, so that the gateway can take it."
	case g.Applied < f.Service.Generation && g.Error != "":
		s.Text, s.Do = "The gateway refused the last change: "+g.Error, "What it carried before, it goes on carrying. Tell your provider if it stays so."
	case g.Applied < f.Service.Generation:
		s.Text, s.Do = "The gateway has not taken over the service's last change yet.", "Wait a few seconds and look again."
	default:
		s.State, s.Text = StepOK, "The gateway reports, and runs the service's last change."
		f.leftOut(&s)
	}
	return s
}

// leftOut fails the gateway's step where it runs something else than what is
// seen in the portal, and that stands in this service's way: it takes the
// service, and none of the nodes that take connections, by themselves or with
// their network; or not a rule, with which the firewall stays what it was
// before. Another network, and the address that machines are seen from, are on
// no way in.
func (f *TraceFacts) leftOut(s *TraceStep) {
	taking := f.taking()
	without := map[models.NodeID]bool{}
	var first *models.Refusal // that takes nodes away
	var rule *models.Refusal
	var evidence []string
	refusals := f.State.Refusals()
	for i := range refusals {
		r := &refusals[i]
		on := false
		switch r.Kind {
		case models.RefusedNetwork:
			for _, n := range taking {
				if n.NetworkID == r.Network {
					without[n.ID], on = true, true
				}
			}
			if on && first == nil {
				first = r
			}
		case models.RefusedRule:
			on = true
			if rule == nil {
				rule = r
			}
		case models.RefusedOutbound:
			on = true
		default: // of another service, or on no way to this one; its nodes follow
		}
		if on {
			evidence = append(evidence, "left out: "+r.Name+": "+r.Text)
		}
	}
	for _, n := range taking {
		if blame := f.State.Gateway.BlameOf(string(n.ID)); blame != "" {
			r := models.Refusal{Kind: models.RefusedNode, Name: fmt.Sprintf("Node %s:%d", n.MachineName, n.Port), Text: blame}
			if first == nil {
				first = &r
			}
			without[n.ID] = true
			evidence = append(evidence, "left out: "+r.Name+": "+r.Text)
		}
	}
	s.Evidence = append(s.Evidence, few(evidence)...)
	switch {
	case rule != nil:
		s.State, s.Text, s.Rule = StepFailed, "The gateway left out a part of the network. "+rule.Name+": "+rule.Text, rule.Rule
		s.Do = "Change or delete that rule. Until then the gateway runs the firewall that it had before, not the one that is asked in the next step."
	case first != nil && len(without) == len(taking) && first.Kind == models.RefusedNetwork:
		s.State, s.Text = StepFailed, "The gateway left out the network of every node that takes connections. "+first.Name+": "+first.Text
		s.Do = "Tell your provider: the network can't be carried as it is."
	case first != nil && len(without) == len(taking):
		s.State, s.Text = StepFailed, "The gateway left out every node that takes connections: "+first.Text
		s.Do = "Remove these nodes and add them anew, with an address and a port that the gateway can take."
	case first != nil:
		s.Text = fmt.Sprintf("The gateway reports, and runs the service's last change without %d of %d nodes, which it left out.", len(without), len(taking))
	}
	if g := &f.State.Gateway; s.State == StepFailed && g.Observed < g.Generation {
		s.Do += " Was that done just now? Then look again in a few seconds."
	}
}

// firewall judges as if the service were switched on: whether it is, is a step
// of its own.
func (f *TraceFacts) firewall() TraceStep {
	s := TraceStep{Name: TraceFirewall}
	if !f.Source.IsValid() {
		s.State, s.Text = StepUnchecked, "Enter the address that the connection comes from."
		return s
	}
	org := Org(&f.State)
	for i := range org.Services {
		if org.Services[i].ID == string(f.Service.ID) {
			org.Services[i].Enabled = true
		}
	}
	to, err := netip.ParseAddr(f.Service.Address)
	if err != nil {
		s.State, s.Text = StepUnchecked, "The service's address can't be read."
		return s
	}
	v := org.Judge(edge.Flow{Direction: edge.DirectionIn, Source: f.Source, Destination: to, Protocol: f.Service.Protocol.L4(), Port: f.Service.Port})
	s.Text = fmt.Sprintf("%s → %s %s/%d %s", f.Source, to, f.Service.Protocol.L4(), f.Service.Port, Reason(&f.State, v))
	s.Rule = models.RuleID(v.Rule)
	if v.Pass {
		s.State = StepOK
		return s
	}
	s.State = StepFailed
	switch v.Ground {
	case edge.ByRule:
		s.Do = "Change that rule, or put one before it that allows this source."
	default:
		s.Rule = ""
		s.Do = "Add " + f.Source.String() + " to the service's allowed sources."
	}
	return s
}

func (f *TraceFacts) enabled() TraceStep {
	s := TraceStep{Name: TraceService, State: StepOK, Text: f.Service.Name + " is switched on."}
	if !f.Service.Enabled {
		s.State, s.Text, s.Do = StepFailed, f.Service.Name+" is switched off: nobody gets through.", "Switch it on."
		s.Since = &f.Service.UpdatedAt
	}
	return s
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// few keeps evidence readable with a hundred nodes.
func few(list []string) []string {
	const most = 6
	if len(list) > most {
		return append(slices.Clone(list[:most]), fmt.Sprintf("and %d more", len(list)-most))
	}
	return list
}
