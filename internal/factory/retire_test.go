package factory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// serving makes a machine of acme's the policy's own, behind a service.
func (r *rig) serving(name string) (models.Machine, models.InternetService) {
	r.t.Helper()
	ctx := context.Background()
	admin := r.Scope(r.t, "admin@acme.example", "acme")
	m := r.order(name)
	r.dieAt(0)
	r.workOff(m.ID)
	m = r.machine(m.ID)
	s := models.InternetService{Name: name, Protocol: models.ServiceTCP, Enabled: true, Balancing: models.BalanceLeast, MonitorKind: "tcp", IdleTimeoutSeconds: 60, Sources: "0.0.0.0/0"}
	n := models.ServiceNode{MachineID: m.ID, NetworkID: m.NetworkID, Address: m.Address, Port: 80, Enabled: true}
	r.must(admin.Change(ctx, func(w *models.Writer) error {
		ips, err := w.PublicIPs()
		if err != nil {
			return err
		}
		if len(ips) == 0 {
			ip, err := w.TakePublicIP(1 << 40)
			if err != nil {
				return err
			}
			ips = append(ips, ip)
		}
		services, err := w.Services()
		if err != nil {
			return err
		}
		if err := w.CreateService(&s, models.ServiceEndpoint{PublicIPID: ips[0].ID, Port: 8000 + len(services)}); err != nil {
			return err
		}
		n.ServiceID = s.ID
		return w.AddNode(&n)
	}))
	r.must(r.factory.SetFacade(ctx, admin, FacadeSpec{Service: s.ID, Enabled: true, MinNodes: 1, MaxNodes: 4, Template: "debian-13", InstanceType: "small",
		Network: string(m.NetworkID), NodePort: 80, DeadAfterSeconds: 30, CooldownSeconds: 30, OrdersPerHour: 5, AcceptedMicros: 1 << 40}))
	r.must(r.System.Within(ctx, r.Acme.ID, models.SystemActor, func(w *models.Writer) error {
		if err := w.AddFacadeMachine(models.FacadeMachine{MachineID: m.ID, ServiceID: s.ID, State: models.FacadeJoined}); err != nil {
			return err
		}
		return w.SetFacadeMachine(m.ID, map[string]any{"node_id": n.ID})
	}))
	return m, s
}

// scaleIn begins the retirement of the service's only node, drained since.
func (r *rig) scaleIn(s models.ServiceID, since time.Duration) {
	r.t.Helper()
	r.must(r.factory.withinFacade(context.Background(), models.FacadeRef{OrgID: r.Acme.ID, ServiceID: s}, func(w *models.Writer, facts *facadeFacts) error {
		move := facadeMove{deed: deedDrain, machine: facts.mine[0], node: &facts.service.Nodes[0], action: models.ActionFacadeIn, text: "for the test"}
		if err := r.factory.retireFacade(context.Background(), w, facts, move); err != nil {
			return err
		}
		return w.SetFacadeMachine(move.machine.MachineID, map[string]any{"leaving_at": models.Now().Add(-since)})
	}))
}

func (r *rig) nodes(s models.ServiceID) (list []models.NodeRow) {
	r.t.Helper()
	r.must(r.scope.Read(context.Background(), func(rd *models.Reader) error {
		row, err := rd.Service(s)
		list = row.Nodes
		return err
	}))
	return list
}

// Whoever scales in may be killed before and after each of its writes: the node
// goes once, the machine goes once, and nothing is left of either.
func TestScaleInSurvivesKillAtEveryBorder(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{}, "--clone-delay", "5ms")
		r.must(r.OfferPublicIPs("198.51.100.1"))
		for n := 1; ; n++ {
			m, s := r.serving(fmt.Sprintf("web-%d", n))
			r.scaleIn(s.ID, facadeDrainMost)
			d := r.latest(m.ID)
			if d.Kind != models.TaskRetire || d.Steps[0].State != models.StepDone || !r.nodes(s.ID)[0].Draining {
				t.Fatalf("begun: %s, %+v", d.Kind, d.Steps)
			}
			r.dieAt(n)
			deaths := r.workOff(m.ID)
			r.dieAt(0)
			d = r.latest(m.ID)
			if d.State != models.TaskSucceeded || d.Percent != 100 || r.machine(m.ID).State != models.MachineDeleted || r.vms(m.ID) != 0 || len(r.nodes(s.ID)) != 0 {
				t.Fatalf("killed at border %d: machine %s, %d VMs, %d nodes\n%s", n, r.machine(m.ID).State, r.vms(m.ID), len(r.nodes(s.ID)), r.report())
			}
			r.must(r.scope.Read(context.Background(), func(rd *models.Reader) error {
				acts, err := rd.FacadeActs(s.ID, 10)
				if err == nil && (len(acts) != 2 || acts[0].TaskID != d.ID || acts[1].TaskID != d.ID) {
					t.Errorf("killed at border %d: acts %+v", n, acts)
				}
				return err
			}))
			if deaths == 0 {
				break
			}
		}
		r.balanced()
	})
}

// Until its node is out, a machine that is scaled in can be kept: by cancelling
// the task, by taking the node into use, by ending the policy.
func TestScaleInIsCalledOff(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		r := build(t, db, Options{}, "--clone-delay", "5ms")
		r.must(r.OfferPublicIPs("198.51.100.1"))
		admin := r.Scope(t, "admin@acme.example", "acme")
		for name, call := range map[string]func(s models.ServiceID, task models.TaskID) error{
			"cancelled": func(_ models.ServiceID, task models.TaskID) error { return r.factory.Cancel(ctx, admin, task) },
			"taken-back": func(s models.ServiceID, _ models.TaskID) error {
				node := r.nodes(s)[0].ID
				return admin.Change(ctx, func(w *models.Writer) error { return w.SetNode(node, true, false) })
			},
			"ended": func(s models.ServiceID, _ models.TaskID) error {
				return admin.Change(ctx, func(w *models.Writer) error { return w.DeleteFacade(s) })
			},
			"switched-off": func(s models.ServiceID, _ models.TaskID) error {
				return admin.Change(ctx, func(w *models.Writer) error {
					p, err := w.Facade(s)
					if err != nil {
						return err
					}
					p.Enabled = false
					return w.PutFacade(p)
				})
			},
		} {
			m, s := r.serving(name)
			r.scaleIn(s.ID, time.Second)
			d := r.latest(m.ID)
			for range 2 { // it waits: nobody has told that the node has nothing open
				if _, err := r.visitOnce(d.ID); err == nil {
					t.Fatalf("%s: the task doesn't wait\n%s", name, r.report())
				}
			}
			if d = r.latest(m.ID); d.State != models.TaskRunning || !strings.Contains(d.Waiting, "at the latest") || len(d.Log) != 1 {
				t.Errorf("%s: waits with %q, %d lines of log", name, d.Waiting, len(d.Log))
			}
			r.must(call(s.ID, d.ID))
			r.workOff(m.ID)
			nodes := r.nodes(s.ID)
			if d = r.latest(m.ID); d.State != models.TaskCancelled || r.machine(m.ID).State != models.MachineRunning || len(nodes) != 1 || !nodes[0].Enabled || nodes[0].Draining {
				t.Errorf("%s: task %s, machine %s, nodes %+v\n%s", name, d.State, r.machine(m.ID).State, nodes, r.report())
			}
			// The policy has lost its claim to it.
			r.must(r.scope.Read(ctx, func(rd *models.Reader) error {
				mine, err := rd.FacadeMachines(s.ID)
				if len(mine) != 0 {
					t.Errorf("%s: still the policy's: %+v", name, mine)
				}
				return err
			}))
		}

		// Once the node is out it is too late.
		m, s := r.serving("too-late")
		r.scaleIn(s.ID, facadeDrainMost)
		r.dieAt(6)
		for i := 0; r.machine(m.ID).State != models.MachineDeleting; i++ {
			if _, err := r.visitOnce(r.latest(m.ID).ID); err != nil || i > 20 {
				t.Fatalf("%v\n%s", err, r.report())
			}
		}
		r.dieAt(0)
		if err := r.factory.Cancel(ctx, admin, r.latest(m.ID).ID); !errors.Is(err, models.ErrConflict) || !strings.Contains(err.Error(), "too late") {
			t.Errorf("cancelled after the node: %v", err)
		}
		r.workOff(m.ID)
		if d := r.latest(m.ID); d.State != models.TaskSucceeded || r.vms(m.ID) != 0 {
			t.Errorf("after the refused cancel: %s", d.State)
		}
		r.balanced()
	})
}
