package factory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
)

// facadeEvery is how often policies are looked at.
const facadeEvery = 2 * time.Second

// runFacades looks after every service's policy until ctx ends, on one node at
// a time. That it is one spares work; that nothing is done twice is the
// transaction's.
func (f *Factory) runFacades(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.system.Exclusively(ctx, "facades", func(ctx context.Context) error {
			ticker := time.NewTicker(facadeEvery)
			defer ticker.Stop()
			for {
				f.Facades(ctx)
				select {
				case <-ctx.Done():
					return nil
				case <-ticker.C:
				}
			}
		})
		if err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "looking after services' policies was interrupted", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// Facades looks at every policy once and does what each has to do next. One
// policy's trouble is not the others'.
func (f *Factory) Facades(ctx context.Context) {
	list, err := f.system.Facades(ctx)
	if err != nil {
		f.log.WarnContext(ctx, "services' policies could not be listed", "error", err)
		return
	}
	for _, ref := range list {
		if err := f.facade(ctx, ref); err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "a service's policy could not be followed; it is looked at again", "service", ref.ServiceID, "error", err)
		}
	}
}

// facade does the next deed of one policy, if there is one. The decision is
// made again within the transaction that carries it out, behind the policy's
// latch: whoever comes second finds it done.
func (f *Factory) facade(ctx context.Context, ref models.FacadeRef) error {
	idle := false
	err := f.system.Look(ctx, ref.OrgID, func(r *models.Reader) error {
		facts, err := readFacade(r, ref.ServiceID)
		if err != nil {
			return err
		}
		move := facts.decide()
		idle = move.deed == deedNone && len(facts.marks()) == 0 && len(facts.standing(move)) == 0
		return nil
	})
	if errors.Is(err, models.ErrNotFound) { // ended since
		return nil
	}
	if err != nil || idle {
		return err
	}
	err = f.actFacade(ctx, ref)
	var why *models.Error
	if errors.As(err, &why) && slices.Contains([]models.Code{models.CodeQuota, models.CodeConflict, models.CodeInvalid, models.CodeForbidden}, why.Code) {
		return f.stopFacade(ctx, ref, why)
	}
	return err
}

// facadeActor is in whose name a policy acts.
func facadeActor(s *models.ServiceRow) models.Actor {
	return models.Actor{Kind: models.ActorSystem, ID: string(s.ID), Name: "policy of " + s.Name}
}

// within opens a transaction in the policy's name.
func (f *Factory) withinFacade(ctx context.Context, ref models.FacadeRef, fn func(w *models.Writer, facts *facadeFacts) error) error {
	var s models.ServiceRow
	err := f.system.Look(ctx, ref.OrgID, func(r *models.Reader) error {
		var err error
		s, err = r.Service(ref.ServiceID)
		return err
	})
	if err != nil {
		return err
	}
	return f.system.Within(ctx, ref.OrgID, facadeActor(&s), func(w *models.Writer) error {
		if err := w.LatchFacade(ref.ServiceID); err != nil {
			return err
		}
		facts, err := readFacade(&w.Reader, ref.ServiceID)
		if err != nil || !facts.policy.Enabled {
			return err
		}
		return fn(w, &facts)
	})
}

// errBusyFacade says that the machine is being worked on by somebody else: the
// next look does it.
var errBusyFacade = errors.New("the machine is busy")

func (f *Factory) actFacade(ctx context.Context, ref models.FacadeRef) error {
	err := f.withinFacade(ctx, ref, func(w *models.Writer, facts *facadeFacts) error {
		move := facts.decide()
		set := facts.marks()
		if err := f.carryOutFacade(ctx, w, facts, move); err != nil {
			return err
		}
		if move.deed == deedNone {
			maps.Copy(set, facts.standing(move))
			if told, _ := set["reason"].(string); told != "" {
				if err := w.ActFacade(&facts.service, models.FacadeAct{Action: models.ActionFacadeStop, Text: told}, models.OutcomeRefused); err != nil {
					return err
				}
			}
		} else {
			maps.Copy(set, map[string]any{"state": models.FacadeActing, "reason": "", "reason_at": nil, "retry_at": nil})
			if move.action != "" {
				set["last_act_at"] = facts.now
			}
			if move.deed == deedOrder {
				set["next_number"] = facts.policy.NextNumber + 1
			}
		}
		if len(set) == 0 {
			return nil
		}
		return w.SetFacade(ref.ServiceID, set)
	})
	if errors.Is(err, errBusyFacade) || errors.Is(err, models.ErrNotFound) {
		return nil
	}
	return err
}

// standing is what has to be stored of how the policy does when nothing is to
// be done just now.
func (f *facadeFacts) standing(move facadeMove) map[string]any {
	state := models.FacadeWatching
	t := f.count()
	switch {
	case move.wait != "":
		state = models.FacadeStopped
	case t.pending+t.leaving > 0:
		state = models.FacadeActing
	}
	set := map[string]any{}
	if f.policy.State != state {
		set["state"] = state
	}
	if f.policy.Reason != move.wait {
		set["reason"], set["reason_at"] = move.wait, f.now
	}
	return set
}

// stopFacade stores why what should be done can't be. It is told in the
// history once, and tried again after a while.
func (f *Factory) stopFacade(ctx context.Context, ref models.FacadeRef, why *models.Error) error {
	return f.withinFacade(ctx, ref, func(w *models.Writer, facts *facadeFacts) error {
		move := facts.decide()
		if move.deed == deedNone {
			return nil
		}
		text := why.Message
		for _, field := range slices.Sorted(maps.Keys(why.Fields)) {
			text = why.Fields[field]
			break
		}
		set := map[string]any{"state": models.FacadeStopped, "reason": text, "retry_at": facts.now.Add(time.Duration(facts.policy.CooldownSeconds) * time.Second)}
		if facts.policy.Reason != text {
			set["reason_at"] = facts.now
			if err := w.ActFacade(&facts.service, models.FacadeAct{Action: models.ActionFacadeStop, Text: move.text + " " + text}, models.OutcomeRefused); err != nil {
				return err
			}
		}
		return w.SetFacade(ref.ServiceID, set)
	})
}

func (f *Factory) carryOutFacade(ctx context.Context, w *models.Writer, facts *facadeFacts, move facadeMove) error {
	switch move.deed {
	case deedForget:
		return w.SetFacadeMachine(move.machine.MachineID, map[string]any{"state": models.FacadeGone})
	case deedJoin:
		return f.joinFacade(ctx, w, facts, move)
	case deedRetire:
		return f.removeFacade(ctx, w, facts, move)
	case deedDrain:
		return f.retireFacade(ctx, w, facts, move)
	case deedOrder:
		return f.orderFacade(ctx, w, facts, move)
	default:
		return nil
	}
}

// orderFacade orders one machine by the very path that people's orders take:
// plan, price, quota, address, Task, job and events in one transaction.
func (f *Factory) orderFacade(ctx context.Context, w *models.Writer, facts *facadeFacts, move facadeMove) error {
	p := &facts.policy
	author, err := w.Person(p.AuthorID)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return err
	}
	if err != nil || !author.Active() || !author.Role.May(models.MachineOrder) {
		return models.Forbidden("Whoever stored this policy may not order machines here any more. Somebody who may has to store it again.")
	}
	d := draft{plan: models.Plan{Order: models.Order{Name: facadeName(facts.service.Name, p.NextNumber), Template: string(p.TemplateID),
		InstanceType: string(p.InstanceTypeID), Network: string(p.NetworkID)}}, faults: map[string]string{}}
	for next := p.NextNumber; ; {
		taken, err := w.TakenNames([]string{d.plan.Order.Name})
		if err != nil {
			return err
		}
		if len(taken) == 0 {
			break
		}
		next++
		d.plan.Order.Name = facadeName(facts.service.Name, next)
		p.NextNumber = next
	}
	d.tidy()
	if err := d.read(&w.Reader); err != nil {
		return err
	}
	if len(d.faults) > 0 {
		return models.Invalid(d.faults)
	}
	if d.plan.PricePerHourMicros*int64(p.MaxNodes) > p.AcceptedMicros {
		return models.Conflict("The price has risen above what was accepted with this policy. Store it again at the present price.")
	}
	cloud, err := w.CloudForNew(d.plan.Cloud.ID)
	if err != nil {
		return err
	}
	if !cloud.Takes() {
		return models.Conflict(cloud.Name + " takes no new machines just now.")
	}
	m, err := f.accept(ctx, w, &d.plan, d.plan.Order.Name, p.AuthorID)
	if err != nil {
		return err
	}
	row := models.FacadeMachine{MachineID: m.ID, ServiceID: p.ServiceID, State: models.FacadeOrdered}
	if move.node != nil {
		row.Replaces = move.node.ID
	}
	if err := w.AddFacadeMachine(row); err != nil {
		return err
	}
	t, err := w.LatestTask(m.ID)
	if err != nil {
		return err
	}
	return w.ActFacade(&facts.service, models.FacadeAct{Action: move.action, Text: move.text + " " + m.Name + " is ordered.", TaskID: t.ID}, models.OutcomeAccepted)
}

// joinFacade makes a machine that has come a node, and takes the dead one out
// whose successor it is: unless that has come back meanwhile.
func (f *Factory) joinFacade(ctx context.Context, w *models.Writer, facts *facadeFacts, move facadeMove) error {
	m := facts.machines[move.machine.MachineID]
	n := models.ServiceNode{ServiceID: facts.policy.ServiceID, MachineID: m.ID, NetworkID: m.NetworkID, Address: m.Address, Port: facts.policy.NodePort, Enabled: true}
	if i := slices.IndexFunc(facts.service.Nodes, func(n models.NodeRow) bool { return n.MachineID == m.ID }); i >= 0 {
		n.ID = facts.service.Nodes[i].ID // somebody was faster
	} else if err := w.AddNode(&n); err != nil {
		return err
	}
	set := map[string]any{"state": models.FacadeJoined, "node_id": n.ID, "replaces": ""}
	if err := w.SetFacadeMachine(m.ID, set); err != nil {
		return err
	}
	old := move.node
	if old == nil || !facts.dead(old) {
		return nil
	}
	if err := takeOut(w, old); err != nil {
		return err
	}
	mine := facts.own(old)
	if mine == nil { // people's: it stays, for them to look at
		return nil
	}
	t, err := f.deleteFor(ctx, w, old.MachineID)
	if err != nil {
		return err
	}
	if err := w.SetFacadeMachine(old.MachineID, map[string]any{"state": models.FacadeGone}); err != nil {
		return err
	}
	return w.ActFacade(&facts.service, models.FacadeAct{Action: models.ActionFacadeReplace, Text: m.Name + " has taken the place of " + old.MachineName + ", which goes.", TaskID: t.ID}, models.OutcomeAccepted)
}

// removeFacade takes one of the policy's own machines, a dead one, out and
// deletes it.
func (f *Factory) removeFacade(ctx context.Context, w *models.Writer, facts *facadeFacts, move facadeMove) error {
	if move.node != nil {
		if err := takeOut(w, move.node); err != nil {
			return err
		}
	}
	t, err := f.deleteFor(ctx, w, move.machine.MachineID)
	if err != nil {
		return err
	}
	if err := w.SetFacadeMachine(move.machine.MachineID, map[string]any{"state": models.FacadeGone}); err != nil {
		return err
	}
	return w.ActFacade(&facts.service, models.FacadeAct{Action: move.action, Text: move.text, TaskID: t.ID}, models.OutcomeAccepted)
}

// takeOut removes a node, whatever it still has open.
func takeOut(w *models.Writer, n *models.NodeRow) error {
	if n.Enabled && !n.Draining {
		if err := w.SetNode(n.ID, false, false); err != nil {
			return err
		}
	}
	return w.RemoveNode(n.ID)
}

// deleteFor deletes a machine that the policy made.
func (f *Factory) deleteFor(ctx context.Context, w *models.Writer, id models.MachineID) (models.Task, error) {
	m, err := w.Machine(id)
	if err != nil {
		return models.Task{}, err
	}
	if m.TaskID != "" || m.State == models.MachineBuilding || m.State == models.MachineDeleting {
		return models.Task{}, errBusyFacade
	}
	return f.deleteIn(ctx, w, &m, "")
}

// facadeName is a machine's name: the service's, as far as a host name can
// have it, and a number.
func facadeName(service string, number int) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(service))
	for strings.Contains(name, "--") {
		name = strings.ReplaceAll(name, "--", "-")
	}
	if name = strings.Trim(name[:min(len(name), 30)], "-"); name == "" || name[0] < 'a' {
		name = strings.TrimSuffix("node-"+name, "-")
	}
	return fmt.Sprintf("%s-p%d", name, number)
}
