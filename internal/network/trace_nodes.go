package network

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/models"
)

func (f *TraceFacts) taking() []models.NodeRow { return f.Service.Taking() }

func (f *TraceFacts) node() TraceStep {
	s := TraceStep{Name: TraceNode, State: StepFailed}
	taking := f.taking()
	switch {
	case len(f.Service.Nodes) == 0:
		s.Text, s.Do = "No machine is behind the service.", "Add a node: a machine, and the port that it listens on."
		return s
	case len(taking) == 0:
		s.Text, s.Do = "No node takes new connections: each is disabled or draining.", "Enable one of them."
	default:
		s.State, s.Text = StepOK, fmt.Sprintf("%d of %s.", len(taking), plural(len(f.Service.Nodes), "node takes", "nodes take")+" connections")
	}
	for i := range f.Service.Nodes {
		n := &f.Service.Nodes[i]
		word := "enabled"
		switch {
		case !n.Enabled:
			word = "disabled"
		case n.Draining:
			word = "draining"
		}
		s.Evidence = append(s.Evidence, fmt.Sprintf("%s:%d is %s", n.MachineName, n.Port, word))
	}
	s.Evidence = few(s.Evidence)
	return s
}

func (f *TraceFacts) machine() TraceStep {
	s := TraceStep{Name: TraceMachine, State: StepUnchecked, Text: "There is no enabled node whose machine could be looked at."}
	running, off := 0, models.MachineID("")
	for _, n := range f.taking() {
		m := f.Machines[n.MachineID]
		if m.State == models.MachineRunning {
			running++
		} else if off == "" {
			off = m.ID
		}
		word := fmt.Sprintf("%s is %s", n.MachineName, m.State)
		if m.CloudSeenAt != nil && m.CloudStatus != models.CloudConnected {
			word += ", as of " + m.CloudSeenAt.UTC().Format("15:04:05 MST") // its cloud is away
		}
		s.Evidence = append(s.Evidence, word)
		if s.Since == nil {
			s.Since = m.ObservedAt
		}
	}
	total := len(s.Evidence)
	s.Evidence = few(s.Evidence)
	switch {
	case total == 0:
	case running == 0:
		s.State, s.Text, s.Do, s.Machine = StepFailed, "No machine behind the service runs.", "Start one of them.", off
	case running < total:
		s.State, s.Text = StepOK, fmt.Sprintf("%d of %d machines run.", running, total)
	default:
		s.State, s.Text = StepOK, "Every machine behind the service runs."
	}
	return s
}

func (f *TraceFacts) health() TraceStep {
	s := TraceStep{Name: TraceHealth, State: StepUnchecked}
	var up, down, unknown []models.NodeRow
	for _, n := range f.taking() {
		switch n.State {
		case edge.NodeUp:
			up = append(up, n)
		case edge.NodeDown:
			down = append(down, n)
		default:
			unknown = append(unknown, n)
		}
	}
	for _, n := range slices.Concat(down, up) {
		word := fmt.Sprintf("%s:%d is %s", n.MachineName, n.Port, n.State)
		if n.Reason != "" {
			word += ": " + n.Reason
		}
		s.Evidence = append(s.Evidence, word)
	}
	s.Evidence = few(s.Evidence)
	switch {
	case len(up)+len(down)+len(unknown) == 0:
		s.Text = "There is no enabled node that could be asked."
	case len(up) > 0:
		s.State, s.Since = StepOK, up[0].Since
		s.Text = fmt.Sprintf("%d of %s.", len(up), plural(len(up)+len(down)+len(unknown), "node answers", "nodes answer")+" the health check")
	case len(down) > 0:
		n := down[0]
		s.State, s.Since, s.Machine = StepFailed, n.Since, n.MachineID
		s.Text = "No node passes the health check. The last error of " + n.MachineName + ": " + cmp.Or(n.Reason, "no answer") + "."
		s.Do = "Look on the machine: does the program listen on port " + strconv.Itoa(n.Port) + ", and does it answer what the check asks?"
	case !f.Service.Enabled:
		s.Text = "The service is switched off: nobody asks its nodes."
	case f.Service.MonitorKind == "":
		s.Text = "The service has no health check: nobody asks the nodes."
	default:
		s.Text = "The gateway has not asked the nodes yet."
	}
	return s
}

func (f *TraceFacts) listener() TraceStep {
	s := TraceStep{Name: TraceListener, State: StepUnchecked}
	total := len(f.taking())
	if total == 0 {
		s.Text = "There is no enabled node that could be tried."
		return s
	}
	answered, waiting, late, good := []string{}, 0, 0, 0
	for i := range f.Probes {
		p := &f.Probes[i]
		at := slices.IndexFunc(f.Service.Nodes, func(n models.NodeRow) bool { return n.ID == p.NodeID })
		switch {
		case at < 0:
		case p.AnsweredAt != nil:
			n := &f.Service.Nodes[at]
			if p.OK {
				good++
			} else if s.Machine == "" {
				s.Machine = n.MachineID
			}
			answered = append(answered, fmt.Sprintf("%s:%d: %s", n.MachineName, n.Port, p.Detail))
			s.Since = p.TriedAt
		case p.Waiting(f.Now):
			waiting++
		default:
			late++
		}
	}
	s.Evidence = few(answered)
	switch {
	case waiting > 0:
		s.State, s.Text, s.Machine = StepWaiting, fmt.Sprintf("The gateway is trying %s.", plural(waiting, "node", "nodes")), ""
	case good > 0:
		s.State, s.Text, s.Machine = StepOK, fmt.Sprintf("From the gateway, %d of %s.", good, plural(len(answered)+late, "node that was tried answers", "nodes that were tried answer")), ""
	case len(answered) > 0 && len(answered) < total:
		s.Machine, s.Text = "", fmt.Sprintf("From the gateway, none of %d nodes answers; of the other %d nothing is known yet. Try again.", len(answered), total-len(answered))
	case len(answered) > 0:
		s.State, s.Text = StepFailed, "From the gateway, no node answers."
		s.Do = "Look on the machine: does the program listen on its network address, and does the machine's own firewall let the gateway in?"
	case late > 0:
		s.Text = fmt.Sprintf("The gateway was asked and did not answer within %s.", models.ProbePatience)
	default:
		s.Text = "Nobody has asked the gateway to try the nodes yet."
	}
	return s
}
