package factory

import (
	"fmt"
	"slices"
	"time"

	"github.com/millwright/millwright/models"
)

// facadeDeed is what a policy does next.
type facadeDeed string

const (
	deedNone   facadeDeed = ""
	deedForget facadeDeed = "forget" // a machine is the policy's no more
	deedJoin   facadeDeed = "join"   // a machine that was ordered runs: make it a node
	deedRetire facadeDeed = "retire" // a dead machine of the policy's own goes: there are enough
	deedDrain  facadeDeed = "drain"  // scale in: a Task, which drains the node first
	deedOrder  facadeDeed = "order"
)

// facadeMove is one deed; at most one is done at a time, and then all is
// looked at anew.
type facadeMove struct {
	deed    facadeDeed
	action  models.Action
	machine models.FacadeMachine
	node    *models.NodeRow // to replace, drain or remove
	text    string
	wait    string // what should be done and has to wait: shown, not an error
}

// facadeFacts is all that a decision is made of.
type facadeFacts struct {
	now      time.Time
	policy   models.FacadePolicy
	service  models.ServiceRow
	fresh    bool // the gateway reports: its word on nodes counts
	machines map[models.MachineID]models.MachineRow
	mine     []models.FacadeMachine
	orders   int // within the last hour
	first    time.Time
}

const (
	// facadeSustain is how long connections have to stay over or under a
	// bound: two reports of a gateway, and more than a burst.
	facadeSustain = 10 * time.Second
	// facadeDrainMost is how long what is open on a drained node may take.
	facadeDrainMost = 5 * time.Minute
	// facadeDrainLeast lets the gateway see that the node is drained before its
	// connections are counted.
	facadeDrainLeast = 5 * time.Second
)

func readFacade(r *models.Reader, id models.ServiceID) (facadeFacts, error) {
	f := facadeFacts{now: models.Now(), machines: map[models.MachineID]models.MachineRow{}}
	var err error
	if f.policy, err = r.Facade(id); err != nil {
		return f, err
	}
	if f.service, err = r.Service(id); err != nil {
		return f, err
	}
	g, err := r.Gateway()
	if err != nil {
		return f, err
	}
	f.fresh = g.EdgeID != nil && g.ReportedAt != nil && f.now.Sub(*g.ReportedAt) < models.GatewaySilence
	if f.mine, err = r.FacadeMachines(id); err != nil {
		return f, err
	}
	ids := map[models.MachineID]bool{}
	for _, n := range f.service.Nodes {
		ids[n.MachineID] = true
	}
	for _, m := range f.mine {
		ids[m.MachineID] = true
	}
	for id := range ids {
		m, err := r.Machine(id)
		if models.CodeOf(err) == models.CodeNotFound {
			continue // deleted
		}
		if err != nil {
			return f, err
		}
		f.machines[id] = m
	}
	f.orders, f.first, err = r.FacadeOrders(id, f.now.Add(-time.Hour))
	return f, err
}

// down says since when a node carries nothing, by the gateway's word or by its
// machine's state; zero where it does, or where nobody knows.
func (f *facadeFacts) down(n *models.NodeRow) time.Time {
	m, there := f.machines[n.MachineID]
	switch {
	case !there:
		return n.CreatedAt
	case m.TaskID != "": // somebody is at it
	case m.State == models.MachineStopped, m.State == models.MachineSuspended, m.State == models.MachineMissing, m.State == models.MachineFailed:
		return m.UpdatedAt
	}
	if f.fresh && n.State == "down" && n.Since != nil {
		return *n.Since
	}
	return time.Time{}
}

func (f *facadeFacts) dead(n *models.NodeRow) bool {
	since := f.down(n)
	return !since.IsZero() && f.now.Sub(since) >= time.Duration(f.policy.DeadAfterSeconds)*time.Second
}

// node finds one by id.
func (f *facadeFacts) node(id *models.NodeID) *models.NodeRow {
	if id == nil {
		return nil
	}
	if i := slices.IndexFunc(f.service.Nodes, func(n models.NodeRow) bool { return n.ID == *id }); i >= 0 {
		return &f.service.Nodes[i]
	}
	return nil
}

// own is the policy's record of a node's machine, nil for one that people made.
func (f *facadeFacts) own(n *models.NodeRow) *models.FacadeMachine {
	if i := slices.IndexFunc(f.mine, func(m models.FacadeMachine) bool { return m.MachineID == n.MachineID }); i >= 0 {
		return &f.mine[i]
	}
	return nil
}

// tally sorts the nodes. Drained and disabled ones are people's business.
type tally struct {
	enabled, dead, alive []*models.NodeRow
	suspect              int // down, not for long enough
	pending, leaving     int
	open                 int // connections on those alive
}

func (f *facadeFacts) count() tally {
	var t tally
	for i := range f.service.Nodes {
		n := &f.service.Nodes[i]
		if !n.Enabled || n.Draining || f.machines[n.MachineID].State == models.MachineDeleting {
			continue
		}
		t.enabled = append(t.enabled, n)
		if f.dead(n) {
			t.dead = append(t.dead, n)
			continue
		}
		t.alive = append(t.alive, n)
		t.open += n.OpenNow
		if !f.down(n).IsZero() {
			t.suspect++
		}
	}
	for _, m := range f.mine {
		switch m.State {
		case models.FacadeOrdered:
			t.pending++
		case models.FacadeLeaving:
			t.leaving++
		default:
		}
	}
	return t
}

// decide is the whole of a policy's mind. What was begun is finished before
// anything new: so that however often it is asked, and by how many, it orders
// once.
func (f *facadeFacts) decide() facadeMove {
	if move := f.finish(); move.deed != deedNone {
		return move
	}
	if !f.service.Enabled {
		return facadeMove{} // its machines may be at rest for a reason
	}
	t := f.count()
	if len(t.enabled) > f.policy.MaxNodes {
		if move := f.shrink(t, "more nodes than the policy's most"); move.deed != deedNone {
			return move
		}
	}
	wanted := min(max(len(t.enabled), f.policy.MinNodes), f.policy.MaxNodes)
	if len(t.alive)+t.pending < wanted {
		return f.order(t)
	}
	return f.scale(t)
}

// finish goes on with what was begun.
func (f *facadeFacts) finish() facadeMove {
	for _, m := range f.mine {
		row, there := f.machines[m.MachineID]
		node := f.node(m.NodeID)
		switch {
		case !there || row.State == models.MachineDeleting,
			m.State == models.FacadeOrdered && row.State == models.MachineFailed && row.TaskID == "",
			m.State == models.FacadeJoined && node == nil,
			m.State == models.FacadeLeaving && row.TaskID == "": // its Task has just ended
			return facadeMove{deed: deedForget, machine: m}
		case m.State == models.FacadeOrdered && row.State == models.MachineRunning && row.TaskID == "":
			return facadeMove{deed: deedJoin, machine: m, node: f.node(&m.Replaces)}
		}
	}
	return facadeMove{}
}

func (f *facadeFacts) drained(m models.FacadeMachine, node *models.NodeRow) bool {
	if node == nil || m.LeavingAt == nil {
		return true
	}
	gone := f.now.Sub(*m.LeavingAt)
	return gone >= facadeDrainMost || gone >= facadeDrainLeast && f.fresh && node.OpenNow == 0
}

// shrink takes one of the policy's own nodes out: a dead one before others.
func (f *facadeFacts) shrink(t tally, why string) facadeMove {
	for _, n := range t.dead {
		if m := f.own(n); m != nil && m.State == models.FacadeJoined && f.machines[n.MachineID].TaskID == "" {
			return facadeMove{deed: deedRetire, machine: *m, node: n, action: models.ActionFacadeIn, text: n.MachineName + " is dead and goes: " + why + "."}
		}
	}
	var least *models.NodeRow
	var mine models.FacadeMachine
	for _, n := range t.alive {
		if m := f.own(n); m != nil && m.State == models.FacadeJoined && (least == nil || n.OpenNow < least.OpenNow) {
			least, mine = n, *m
		}
	}
	if least == nil {
		return facadeMove{}
	}
	return facadeMove{deed: deedDrain, machine: mine, node: least, action: models.ActionFacadeIn, text: least.MachineName + " is drained: " + why + "."}
}

func (f *facadeFacts) order(t tally) facadeMove {
	move := facadeMove{deed: deedOrder, action: models.ActionFacadeFill, text: fmt.Sprintf("%d of at least %d nodes are there.", len(t.alive), f.policy.MinNodes)}
	for _, n := range t.dead {
		if slices.ContainsFunc(f.mine, func(m models.FacadeMachine) bool { return m.Replaces == n.ID }) {
			continue
		}
		why := n.Reason
		if m := f.machines[n.MachineID]; m.State != models.MachineRunning {
			why = "its machine is " + string(m.State)
		}
		if why == "" {
			why = "no answer"
		}
		move.node, move.action = n, models.ActionFacadeReplace
		move.text = fmt.Sprintf("%s is dead since %s: %s.", n.MachineName, f.down(n).UTC().Format("15:04:05 MST"), why)
		break
	}
	return f.paced(move)
}

// paced keeps a policy from flapping.
func (f *facadeFacts) paced(move facadeMove) facadeMove {
	cooldown := time.Duration(f.policy.CooldownSeconds) * time.Second
	switch {
	case f.policy.RetryAt != nil && f.now.Before(*f.policy.RetryAt):
		return facadeMove{wait: f.policy.Reason}
	case f.orders >= f.policy.OrdersPerHour:
		return facadeMove{wait: fmt.Sprintf("It has ordered %d machines within an hour, its most. The next is possible at %s; look why nodes die.",
			f.orders, f.first.Add(time.Hour).UTC().Format("15:04 MST"))}
	case f.policy.LastActAt != nil && f.now.Sub(*f.policy.LastActAt) < cooldown:
		return facadeMove{}
	}
	return move
}

func (f *facadeFacts) over(t tally) bool {
	return f.policy.ScaleOutAt > 0 && len(t.alive) > 0 && t.open > f.policy.ScaleOutAt*len(t.alive)
}

// under: fewer connections than the bound, and one node less would not be
// over the other bound.
func (f *facadeFacts) under(t tally) bool {
	n := len(t.alive)
	return f.policy.ScaleOutAt > 0 && n > f.policy.MinNodes && t.open < f.policy.ScaleInAt*n && t.open*10 <= f.policy.ScaleOutAt*(n-1)*8
}

func (f *facadeFacts) scale(t tally) facadeMove {
	if !f.fresh || t.pending > 0 || t.leaving > 0 || len(t.dead) > 0 || t.suspect > 0 {
		return facadeMove{}
	}
	long := func(since *time.Time) bool { return since != nil && f.now.Sub(*since) >= facadeSustain }
	switch {
	case f.over(t) && long(f.policy.OverSince) && len(t.enabled) < f.policy.MaxNodes:
		return f.paced(facadeMove{deed: deedOrder, action: models.ActionFacadeOut,
			text: fmt.Sprintf("%d connections on %d nodes, more than %d each.", t.open, len(t.alive), f.policy.ScaleOutAt)})
	case f.under(t) && long(f.policy.UnderSince):
		return f.paced(f.shrink(t, fmt.Sprintf("%d connections on %d nodes, fewer than %d each", t.open, len(t.alive), f.policy.ScaleInAt)))
	}
	return facadeMove{}
}

// marks are the times since when connections are over or under a bound, where
// they have to be stored anew.
func (f *facadeFacts) marks() map[string]any {
	t, set := f.count(), map[string]any{}
	mark := func(column string, is bool, since *time.Time) {
		if is != (since != nil) {
			if set[column] = nil; is {
				set[column] = f.now
			}
		}
	}
	mark("over_since", f.fresh && f.over(t), f.policy.OverSince)
	mark("under_since", f.fresh && f.under(t), f.policy.UnderSince)
	return set
}
