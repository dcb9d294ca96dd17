package views

import (
	"time"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
)

// TraceStep is one thing that has to be right for a connection to get through.
type TraceStep struct {
	Name     string
	State    string // ok, failed, waiting, unchecked
	Text     string
	Evidence []string
	Since    *time.Time
	Do       string
	Rule     models.RuleID
	Machine  models.MachineID
	First    bool // that fails
}

// TraceProps is "why can't I reach it?" of a service.
type TraceProps struct {
	Frame       Frame
	Service     models.ServiceRow
	Source      string
	Own         bool // it is the asker's own address
	SourceError string
	Steps       []TraceStep
	Probing     bool
	Asked       time.Time // when the gateway was asked, while it is
	CanProbe    bool
	CanManage   bool
	Problem     string
}

// TraceFrom is the page with a source filled in.
func TraceFrom(p Place, id models.ServiceID, source string) string {
	if source == "" {
		return p.Trace(id)
	}
	return withQuery(p.Trace(id), "source", source)
}

var traceTitles = map[string]string{
	"public_ip": "Public IP is assigned", "gateway": "Gateway is reachable and up to date", "firewall": "Firewall lets the source in",
	"service": "Service is switched on", "node": "At least one node is enabled", "machine": "The node's machine runs",
	"health": "Health check passes", "listener": "The listener answers from the gateway",
}

// traceFailures name the first that fails, at the top.
var traceFailures = map[string]string{
	"public_ip": "The public IP isn't assigned any more", "gateway": "The gateway is not there, or not up to date", "firewall": "The firewall refuses this source",
	"service": "The service is switched off", "node": "No node takes connections", "machine": "The node's machine doesn't run",
	"health": "The health check fails", "listener": "The listener doesn't answer the gateway",
}

// sinceWords says what the time beside a step is.
var sinceWords = map[string]string{
	"public_ip": "assigned", "gateway": "last report", "machine": "seen", "listener": "tried",
}

func (s TraceStep) look() ui.Look {
	switch s.State {
	case "ok":
		return ui.Look{Tone: ui.Good, Icon: "check", Label: "OK"}
	case "failed":
		return ui.Look{Tone: ui.Bad, Icon: "x", Label: "Failed"}
	case "waiting":
		return ui.Look{Tone: ui.Busy, Icon: "loader-2", Label: "Asking", Spin: true}
	}
	return ui.Look{Tone: ui.Idle, Icon: "circle-dashed", Label: "Not checked"}
}

// class of the step in the list of a task's steps, which it looks like.
func (s TraceStep) class() string {
	switch s.State {
	case "ok":
		return "step-done"
	case "failed":
		return "step-failed"
	case "waiting":
		return "step-running"
	}
	return "step-pending"
}

func (s TraceStep) since() string {
	if w := sinceWords[s.Name]; w != "" {
		return w
	}
	return "since"
}

// mend is where what is wrong is put right, and what the link says; "" where
// the reader can't.
func (p TraceProps) mend(s TraceStep) (url, label string) {
	place := p.Frame.Place()
	switch {
	case s.State != "failed":
	case s.Machine != "":
		return place.Machine(s.Machine), "Open the machine"
	case !p.CanManage:
	case s.Rule != "":
		return place.Rule(s.Rule) + "/edit", "Edit the rule"
	case s.Name == "node" && len(p.Service.Nodes) == 0:
		return place.NewNode(p.Service.ID), "Add node"
	case s.Name == "node":
		return place.Service(p.Service.ID), "Open the nodes"
	case s.Name == "gateway":
		return place.Service(p.Service.ID), "Open the service"
	default:
		return place.EditService(p.Service.ID), "Edit the service"
	}
	return "", ""
}

func (p TraceProps) first() *TraceStep {
	for i := range p.Steps {
		if p.Steps[i].First {
			return &p.Steps[i]
		}
	}
	return nil
}

// unchecked says whether the gateway has tried the nodes, or is about to.
func (p TraceProps) unchecked() bool {
	return len(p.Steps) > 0 && p.Steps[len(p.Steps)-1].State == "unchecked"
}

// through is how far a connection gets, where all that can be known is good.
func (p TraceProps) through() string {
	if p.Service.Protocol == models.ServiceUDP && p.Service.MonitorKind != "http" {
		return "gets through to a machine that is there and whose port refuses nothing. Whether the program answers, UDP doesn't tell."
	}
	return "gets through to a node that answers."
}

// asking is how far the wait has come, in percent of its limit.
func (p TraceProps) asking() int {
	return min(95, max(5, int(100*models.Now().Sub(p.Asked)/models.ProbePatience)))
}

// liveTrigger follows all that a step is about; while the gateway is asked, and
// while its answer counts, it looks by itself too: nothing tells that no answer
// came, or that one has grown old.
func (p TraceProps) liveTrigger() string {
	id := string(p.Service.ID)
	on := "mw:probe-" + id + " from:body, mw:service-" + id + " from:body, mw:gateway from:body, mw:machine from:body, mw:all from:body"
	switch {
	case p.Probing:
		on += ", every 2s"
	case !p.unchecked(): // an answer counts for a minute
		on += ", every 20s"
	}
	return on
}
