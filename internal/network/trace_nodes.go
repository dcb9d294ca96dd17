package network

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

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

// tries are the nodes that take connections, by what is known of them from the
// gateway's own tries.
type tries struct {
	answered      []string // what was said of late, in words
	good, waiting int
	late          int // asked, and no answer will come
	old           int // answered, too long ago to go by
	oldGood       int
	last          *time.Time // when it was tried, by the gateway's clock; of the old ones where no other counts
	age           time.Duration
	bad           models.MachineID
}

func (f *TraceFacts) tries() tries {
	var t tries
	taking := f.taking()
	for i := range f.Probes {
		p := &f.Probes[i]
		at := slices.IndexFunc(taking, func(n models.NodeRow) bool { return n.ID == p.NodeID })
		switch {
		case at < 0:
		case p.Waiting(f.Now):
			t.waiting++
		case p.AnsweredAt == nil:
			t.late++
		case f.stale(p, &taking[at]):
			t.old++
			if p.OK {
				t.oldGood++
			}
			if len(t.answered) == 0 {
				t.last, t.age = p.TriedAt, f.Now.Sub(*p.AnsweredAt)
			}
		default:
			if p.OK {
				t.good++
			} else if t.bad == "" {
				t.bad = taking[at].MachineID
			}
			t.answered = append(t.answered, fmt.Sprintf("%s:%d: %s", taking[at].MachineName, taking[at].Port, p.Detail))
			t.last = p.TriedAt
		}
	}
	return t
}

// stale says whether an answer tells of something that may be over: it is no
// longer fresh, was asked for before the service was changed, or before the
// node came or went.
func (f *TraceFacts) stale(p *models.Probe, n *models.NodeRow) bool {
	turned := n.Since != nil && p.TriedAt != nil && p.TriedAt.Before(*n.Since) // both by the gateway's clock
	return !p.Fresh(f.Now) || p.AskedAt.Before(f.Service.UpdatedAt) || turned
}

func (f *TraceFacts) listener() TraceStep {
	s := TraceStep{Name: TraceListener, State: StepUnchecked}
	total := len(f.taking())
	if total == 0 {
		s.Text = "There is no enabled node that could be tried."
		return s
	}
	t := f.tries()
	answered := len(t.answered)
	s.Evidence, s.Since = few(t.answered), t.last
	switch {
	case t.waiting > 0:
		s.State, s.Text = StepWaiting, fmt.Sprintf("The gateway is trying %s.", plural(t.waiting, "node", "nodes"))
	case t.good > 0:
		s.State, s.Text = StepOK, fmt.Sprintf("From the gateway, %d of %s.", t.good, plural(answered+t.late+t.old, "node that was tried answers", "nodes that were tried answer"))
		if f.Service.Protocol == models.ServiceUDP && f.Service.MonitorKind != "http" {
			s.Text += " Of UDP no more can be known than that the machine is there and its port refuses nothing."
		}
	case answered > 0 && answered < total:
		s.Text = fmt.Sprintf("From the gateway, none of %d nodes answers; of the other %d nothing is known yet. Try again.", answered, total-answered)
	case answered > 0:
		s.State, s.Text, s.Machine = StepFailed, "From the gateway, no node answers.", t.bad
		s.Do = "Look on the machine: does the program listen on its network address, and does the machine's own firewall let the gateway in?"
	case t.old > 0:
		s.Text = f.oldWords(t)
	case t.late > 0:
		s.Text = fmt.Sprintf("The gateway was asked and did not answer within %s.", models.ProbePatience)
	default:
		s.Text = "Nobody has asked the gateway to try the nodes yet."
	}
	return s
}

// oldWords say that a try doesn't count any more, and why.
func (f *TraceFacts) oldWords(t tries) string {
	why := "The service or its nodes have changed since they were tried"
	if t.age > models.ProbeFresh {
		why = "The nodes were tried " + agoWords(t.age)
	}
	then := "none answered then"
	if t.oldGood > 0 {
		then = fmt.Sprintf("%d of %d answered then", t.oldGood, t.old)
	}
	return why + "; " + then + ", which says nothing of now. Try again."
}

// agoWords is an age to one unit, as the pages say it.
func agoWords(d time.Duration) string {
	switch {
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min ago"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " h ago"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days ago"
}
