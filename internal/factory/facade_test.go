package factory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// facadeRig is a service of acme's with a policy, without vCenter or gateway:
// what they would say is written into the records.
type facadeRig struct {
	*testkit.World

	t       *testing.T
	factory *Factory
	admin   *models.Scope
	service models.InternetService
	spec    FacadeSpec
	edge    *models.Edge
}

func newFacadeRig(t *testing.T, db *models.DB, nodes int, change func(*FacadeSpec)) *facadeRig {
	t.Helper()
	ctx := context.Background()
	r := &facadeRig{World: testkit.NewWorld(t, db), t: t}
	r.must(r.OfferPublicIPs("198.51.100.1"))
	queue, err := jobs.New(db, jobs.Options{NodeID: "test", Logger: testkit.Quiet()})
	r.must(err)
	r.factory = New(r.System, queue, NewClouds(), Options{Logger: testkit.Quiet()})
	t.Cleanup(r.factory.Close)
	r.admin = r.Scope(t, "admin@acme.example", "acme")
	r.service = models.InternetService{Name: "The Shop!", Protocol: models.ServiceTCP, Enabled: true, Balancing: models.BalanceLeast, MonitorKind: "tcp", IdleTimeoutSeconds: 60, Sources: "0.0.0.0/0"}
	r.must(r.admin.Change(ctx, func(w *models.Writer) error {
		ip, err := w.TakePublicIP(1 << 40)
		if err != nil {
			return err
		}
		return w.CreateService(&r.service, models.ServiceEndpoint{PublicIPID: ip.ID, Port: 443})
	}))
	for i := range nodes {
		m := r.Machine(t, fmt.Sprintf("web-%d", i+1))
		r.must(r.admin.Change(ctx, func(w *models.Writer) error {
			return w.AddNode(&models.ServiceNode{ServiceID: r.service.ID, MachineID: m.ID, NetworkID: m.NetworkID, Address: m.Address, Port: 80, Enabled: true})
		}))
	}
	r.edge, err = r.System.LocalEdge(ctx, "lab")
	r.must(err)
	r.must(r.System.EnsureGateways(ctx))
	network := r.AcmeNetworks[r.Public.ID]
	r.spec = FacadeSpec{Service: r.service.ID, Enabled: true, MinNodes: 1, MaxNodes: 4, Template: "debian-13", InstanceType: "small", Network: string(network.ID),
		NodePort: 80, DeadAfterSeconds: 30, CooldownSeconds: 30, OrdersPerHour: 5, AcceptedMicros: 1 << 40}
	if change != nil {
		change(&r.spec)
	}
	r.must(r.factory.SetFacade(ctx, r.admin, r.spec))
	return r
}

func (r *facadeRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *facadeRig) facts() facadeFacts {
	r.t.Helper()
	var f facadeFacts
	r.must(r.System.Look(context.Background(), r.Acme.ID, func(reader *models.Reader) error {
		var err error
		f, err = readFacade(reader, r.service.ID)
		return err
	}))
	return f
}

// gateway reports: each machine's node by name, down since a minute or open
// connections.
func (r *facadeRig) gateway(down map[string]bool, open map[string]int) {
	r.t.Helper()
	rep := models.OrgReport{Org: r.Acme.ID, Observed: 1 << 30, Applied: 1 << 30}
	row := models.ServiceReport{ID: r.service.ID}
	for _, n := range r.facts().service.Nodes {
		node := models.NodeReport{ID: n.ID, State: "up", Since: time.Now().Add(-time.Minute), Open: open[n.MachineName]}
		if down[n.MachineName] {
			node.State, node.Reason = "down", "connection refused"
		}
		row.Nodes = append(row.Nodes, node)
	}
	rep.Services = []models.ServiceReport{row}
	r.must(r.edge.Report(context.Background(), models.EdgeReport{Epoch: "a", Orgs: []models.OrgReport{rep}}, time.Hour))
}

// look has the policies looked at, as the next tick would.
func (r *facadeRig) look() {
	r.t.Helper()
	r.must(r.factory.facade(context.Background(), models.FacadeRef{OrgID: r.Acme.ID, ServiceID: r.service.ID}))
}

// retiring is the Task of the machine that is scaled in.
func (r *facadeRig) retiring() models.TaskDetail {
	r.t.Helper()
	var d models.TaskDetail
	for _, m := range r.facts().mine {
		if m.State == models.FacadeLeaving {
			r.must(r.admin.Read(context.Background(), func(reader *models.Reader) (err error) {
				d, err = reader.LatestTask(m.MachineID)
				return err
			}))
		}
	}
	if d.Kind != models.TaskRetire || !d.State.Active() {
		r.t.Fatalf("what is drained has no task: %+v", d.Task)
	}
	return d
}

// work has a worker look at the Task once; without a cloud it comes as far as
// the portal's own affairs go.
func (r *facadeRig) work(id models.TaskID) {
	r.t.Helper()
	var nap *rivertype.JobSnoozeError
	if err := r.factory.visit(context.Background(), taskRef{Org: r.Acme.ID, Task: id}); err != nil && !errors.As(err, &nap) {
		r.t.Fatal(err)
	}
}

// rest lets the cooldown and other waits pass.
func (r *facadeRig) rest() {
	r.t.Helper()
	long := models.Now().Add(-time.Hour / 2)
	r.must(r.System.Within(context.Background(), r.Acme.ID, models.SystemActor, func(w *models.Writer) error {
		return w.SetFacade(r.service.ID, map[string]any{"last_act_at": long, "retry_at": nil})
	}))
}

func (r *facadeRig) within(fn func(w *models.Writer) error) {
	r.t.Helper()
	r.must(r.System.Within(context.Background(), r.Acme.ID, models.SystemActor, fn))
}

// ordered are the machines that the policy has under way.
func (r *facadeRig) ordered() (list []models.FacadeMachine) {
	for _, m := range r.facts().mine {
		if m.State == models.FacadeOrdered {
			list = append(list, m)
		}
	}
	return list
}

// built ends the making of a machine, as a worker would.
func (r *facadeRig) built(id models.MachineID) models.Machine {
	r.t.Helper()
	var m models.Machine
	r.within(func(w *models.Writer) error {
		d, err := w.LatestTask(id)
		if err != nil {
			return err
		}
		for _, to := range []models.TaskState{models.TaskRunning, models.TaskSucceeded} {
			if err := w.MoveTask(&d.Task, to, nil); err != nil {
				return err
			}
		}
		if err := w.MoveMachine(id, models.MachineRunning, nil); err != nil {
			return err
		}
		m, err = w.MachineRecord(id)
		return err
	})
	return m
}

// names are the machines behind the service, sorted.
func (r *facadeRig) names() string {
	var list []string
	for _, n := range r.facts().service.Nodes {
		word := n.MachineName
		if n.Draining {
			word += " draining"
		}
		list = append(list, word)
	}
	return strings.Join(list, ", ")
}

func (r *facadeRig) wants(what, names string) {
	r.t.Helper()
	if got := r.names(); got != names {
		r.t.Fatalf("%s: behind the service are %q, want %q", what, got, names)
	}
}

func (r *facadeRig) events(action models.Action) []models.AuditEvent {
	r.t.Helper()
	var rows []models.AuditEvent
	r.must(r.admin.Read(context.Background(), func(reader *models.Reader) error {
		page, err := reader.Events(models.EventFilter{Action: action, Page: models.Paging{Limit: 100}})
		rows = page.Rows
		return err
	}))
	return rows
}

func TestDeadNodeIsReplacedOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := newFacadeRig(t, db, 2, nil)
		r.gateway(nil, nil)
		r.look()
		if n := len(r.ordered()); n != 0 {
			t.Fatalf("%d ordered while all is well", n)
		}
		r.gateway(map[string]bool{"web-1": true}, nil)
		// However many look at once, one machine is ordered.
		queue, err := jobs.New(db, jobs.Options{NodeID: "other", Logger: testkit.Quiet()})
		r.must(err)
		other := New(r.System, queue, NewClouds(), Options{Logger: testkit.Quiet()})
		t.Cleanup(other.Close)
		var running sync.WaitGroup
		for i := range 8 {
			running.Go(func() {
				f := r.factory
				if i%2 == 1 {
					f = other
				}
				f.Facades(context.Background())
			})
		}
		running.Wait()
		for range 3 {
			r.look()
		}
		pending := r.ordered()
		if len(pending) != 1 || pending[0].Replaces == "" {
			t.Fatalf("ordered: %+v", pending)
		}
		if p := r.facts().policy; p.State != models.FacadeActing {
			t.Errorf("the policy is %s", p.State)
		}
		events := r.events(models.ActionFacadeReplace)
		if len(events) != 1 || events[0].ActorName != "policy of The Shop!" || events[0].Outcome != models.OutcomeAccepted || !strings.Contains(events[0].After, "connection refused") {
			t.Errorf("history: %+v", events)
		}
		m := r.built(pending[0].MachineID)
		if m.OwnerID != r.User("admin@acme.example").ID || m.Name != "the-shop-p1" {
			t.Errorf("the machine: %+v", m)
		}
		r.look()
		r.wants("the successor has joined", "the-shop-p1, web-2")
		if m := r.facts().machines[r.facts().service.Nodes[0].MachineID]; m.State != models.MachineRunning {
			t.Errorf("the successor is %s", m.State)
		}
		// The dead machine was people's: it stays, out of the service.
		r.must(r.admin.Read(context.Background(), func(reader *models.Reader) error {
			page, err := reader.Machines(models.MachineFilter{Search: "web-1"})
			if err == nil && (len(page.Rows) != 1 || page.Rows[0].State != models.MachineRunning) {
				t.Errorf("web-1: %+v", page.Rows)
			}
			return err
		}))
		r.rest()
		r.gateway(nil, nil)
		r.look()
		if p := r.facts().policy; p.State != models.FacadeWatching || len(r.ordered()) != 0 {
			t.Errorf("afterwards: %s, %d ordered", p.State, len(r.ordered()))
		}

		// One that the policy made goes for good when it dies.
		r.gateway(map[string]bool{"the-shop-p1": true}, nil)
		r.look()
		pending = r.ordered()
		if len(pending) != 1 {
			t.Fatalf("ordered: %+v", pending)
		}
		r.built(pending[0].MachineID)
		r.look()
		r.wants("the second successor has joined", "the-shop-p2, web-2")
		var gone models.TaskDetail
		r.must(r.admin.Read(context.Background(), func(reader *models.Reader) (err error) {
			gone, err = reader.LatestTask(m.ID)
			return err
		}))
		if gone.Kind != models.TaskDelete {
			t.Errorf("the dead machine of the policy's own: %s", gone.Kind)
		}
	})
}

func TestNodeThatComesBackStays(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := newFacadeRig(t, db, 1, func(s *FacadeSpec) { s.MaxNodes = 1 })
		r.gateway(map[string]bool{"web-1": true}, nil)
		r.look()
		pending := r.ordered()
		if len(pending) != 1 {
			t.Fatalf("ordered: %+v", pending)
		}
		r.gateway(nil, nil)
		r.built(pending[0].MachineID)
		r.look()
		r.wants("both", "the-shop-p1, web-1")
		r.look() // one more than the most: the policy's own is drained, then deleted
		r.wants("too many", "the-shop-p1 draining, web-1")
		leaving := r.retiring()
		r.look()
		r.work(leaving.ID)
		r.wants("while it is drained", "the-shop-p1 draining, web-1")
		r.gateway(nil, map[string]int{"the-shop-p1": 3})
		r.within(func(w *models.Writer) error {
			return w.SetFacadeMachine(pending[0].MachineID, map[string]any{"leaving_at": models.Now().Add(-time.Minute)})
		})
		r.work(leaving.ID)
		r.wants("connections are open", "the-shop-p1 draining, web-1")
		if d := r.retiring(); !strings.HasPrefix(d.Waiting, "3 connections are still open") || d.Percent == 0 || d.Steps[1].Percent == 0 {
			t.Errorf("the task waits with %q, %d %%", d.Waiting, d.Percent)
		}
		r.gateway(nil, nil)
		r.work(leaving.ID)
		r.wants("drained", "web-1")
	})
}

func TestPolicyKeepsItsBoundsAndPace(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := newFacadeRig(t, db, 0, func(s *FacadeSpec) {
			s.MinNodes, s.MaxNodes, s.OrdersPerHour, s.Scale, s.ScaleOutAt, s.ScaleInAt = 2, 3, 4, true, 10, 5
		})
		// Up to the least number, one after the other.
		r.look()
		r.look()
		if n := len(r.ordered()); n != 1 {
			t.Fatalf("%d ordered within the cooldown", n)
		}
		r.rest()
		r.look()
		r.rest()
		r.look()
		pending := r.ordered()
		if len(pending) != 2 {
			t.Fatalf("%d ordered, the least is 2", len(pending))
		}
		for _, m := range pending {
			r.built(m.MachineID)
			r.look()
		}
		r.wants("filled", "the-shop-p1, the-shop-p2")

		// Many connections, but not for long.
		busy := map[string]int{"the-shop-p1": 20, "the-shop-p2": 20, "the-shop-p3": 20}
		r.rest()
		r.gateway(nil, busy)
		r.look()
		if n := len(r.ordered()); n != 0 || r.facts().policy.OverSince == nil {
			t.Fatalf("%d ordered at once, over since %v", n, r.facts().policy.OverSince)
		}
		r.within(func(w *models.Writer) error {
			return w.SetFacade(r.service.ID, map[string]any{"over_since": models.Now().Add(-time.Minute)})
		})
		r.look()
		pending = r.ordered()
		if len(pending) != 1 {
			t.Fatalf("%d ordered for 40 connections", len(pending))
		}
		r.built(pending[0].MachineID)
		r.look()
		r.rest()
		r.gateway(nil, busy)
		r.look()
		if n := len(r.ordered()); n != 0 {
			t.Fatal("more than the most was ordered")
		}
		if n := len(r.events(models.ActionFacadeOut)); n != 1 {
			t.Errorf("scaled out %d times", n)
		}

		// And back, drained first.
		r.gateway(nil, map[string]int{"the-shop-p1": 1, "the-shop-p2": 2, "the-shop-p3": 1})
		r.look()
		r.within(func(w *models.Writer) error {
			return w.SetFacade(r.service.ID, map[string]any{"under_since": models.Now().Add(-time.Minute)})
		})
		r.look()
		if got := r.names(); strings.Count(got, "draining") != 1 {
			t.Fatalf("scaled in: %s", got)
		}
		// Why is told when it begins, in the history and on the service's page.
		const why = "is drained: 4 connections on 3 nodes, fewer than 5 each."
		if events := r.events(models.ActionFacadeIn); len(events) != 1 || events[0].Outcome != models.OutcomeAccepted || !strings.Contains(events[0].After, why) || !strings.Contains(events[0].After, string(r.retiring().ID)) {
			t.Errorf("history of the drain: %+v", events)
		}
		r.must(r.admin.Read(context.Background(), func(reader *models.Reader) error {
			acts, err := reader.FacadeActs(r.service.ID, 1)
			if err == nil && (len(acts) != 1 || acts[0].Action != models.ActionFacadeIn || !strings.HasSuffix(acts[0].Text, why) || acts[0].TaskID != r.retiring().ID) {
				t.Errorf("the last act: %+v", acts)
			}
			return err
		}))
		leaving := r.retiring()
		for _, m := range r.facts().mine {
			if m.State == models.FacadeLeaving {
				r.within(func(w *models.Writer) error {
					return w.SetFacadeMachine(m.MachineID, map[string]any{"leaving_at": models.Now().Add(-time.Minute)})
				})
			}
		}
		r.gateway(nil, nil)
		r.work(leaving.ID)
		if n := len(r.facts().service.Nodes); n != 2 {
			t.Fatalf("%d nodes left", n)
		}
		r.rest()
		for range 3 {
			r.look()
		}
		if n := len(r.facts().service.Nodes); n != 2 || strings.Contains(r.names(), "draining") {
			t.Fatalf("below the least: %s", r.names())
		}

		// No more than so many an hour: then it stops, and says why.
		all := map[string]bool{"the-shop-p1": true, "the-shop-p2": true, "the-shop-p3": true}
		r.gateway(all, nil)
		r.look()
		r.rest()
		r.look()
		p := r.facts().policy
		if n := len(r.ordered()); n != 1 || p.State != models.FacadeStopped || !strings.Contains(p.Reason, "4 machines within an hour") {
			t.Fatalf("%d ordered, %s: %s", n, p.State, p.Reason)
		}
		r.look()
		if n := len(r.events(models.ActionFacadeStop)); n != 1 {
			t.Errorf("told %d times that it stopped", n)
		}
	})
}

func TestPolicyStopsWhenQuotaRefuses(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		r := newFacadeRig(t, db, 1, nil)
		limits := func(machines int64) {
			with := maps.Clone(testkit.RoomyLimits)
			with[models.ResourceMachines] = machines
			_, err := r.System.PutOrg(ctx, "acme", "Acme", with)
			r.must(err)
		}
		limits(1)
		r.gateway(map[string]bool{"web-1": true}, nil)
		r.look()
		p := r.facts().policy
		if p.State != models.FacadeStopped || p.Reason == "" || p.RetryAt == nil || len(r.ordered()) != 0 {
			t.Fatalf("%s: %q, %d ordered", p.State, p.Reason, len(r.ordered()))
		}
		r.look()
		r.rest()
		r.look()
		if events := r.events(models.ActionFacadeStop); len(events) != 1 || events[0].Outcome != models.OutcomeRefused {
			t.Errorf("told %d times", len(events))
		}
		rows, err := r.System.CheckQuotas(ctx)
		r.must(err)
		for _, row := range rows {
			if !row.Agrees() {
				t.Errorf("%s: %d used, %d counted", row.Resource, row.Used, row.Counted)
			}
		}
		limits(5)
		r.rest()
		r.look()
		if p := r.facts().policy; p.State != models.FacadeActing || p.Reason != "" || len(r.ordered()) != 1 {
			t.Errorf("with room: %s %q, %d ordered", p.State, p.Reason, len(r.ordered()))
		}
		// Who stored it has to be allowed to order still.
		r.within(func(w *models.Writer) error {
			return w.SetFacadeMachine(r.ordered()[0].MachineID, map[string]any{"state": models.FacadeGone})
		})
		r.must(r.System.PutMember(ctx, r.Acme.ID, r.User("user@acme.example").ID, models.RoleAdmin))
		r.must(r.System.PutMember(ctx, r.Acme.ID, r.User("admin@acme.example").ID, models.RoleAuditor))
		r.rest()
		r.look()
		if p := r.facts().policy; p.State != models.FacadeStopped || !strings.Contains(p.Reason, "may not order") || len(r.ordered()) != 0 {
			t.Errorf("author demoted: %s %q, %d ordered", p.State, p.Reason, len(r.ordered()))
		}
	})
}

func TestPolicyIsCheckedAndPriced(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		r := newFacadeRig(t, db, 0, nil)
		for _, c := range []struct {
			field  string
			change func(*FacadeSpec)
		}{
			{"min", func(s *FacadeSpec) { s.MinNodes = 0 }},
			{"max", func(s *FacadeSpec) { s.MinNodes, s.MaxNodes = 3, 2 }},
			{"max", func(s *FacadeSpec) { s.MaxNodes = 21 }},
			{"template", func(s *FacadeSpec) { s.Template = "none" }},
			{"instance_type", func(s *FacadeSpec) { s.InstanceType = "" }},
			{"network", func(s *FacadeSpec) { s.Network = string(r.GlobexNetwork.ID) }},
			{"network", func(s *FacadeSpec) { s.Network = "" }},
			{"port", func(s *FacadeSpec) { s.NodePort = 0 }},
			{"dead_after", func(s *FacadeSpec) { s.DeadAfterSeconds = 1 }},
			{"cooldown", func(s *FacadeSpec) { s.CooldownSeconds = 0 }},
			{"per_hour", func(s *FacadeSpec) { s.OrdersPerHour = 61 }},
			{"scale_in", func(s *FacadeSpec) { s.Scale, s.ScaleOutAt, s.ScaleInAt = true, 10, 6 }},
			{"accept", func(s *FacadeSpec) { s.AcceptedMicros = -1 }},
			{"accept", func(s *FacadeSpec) { s.AcceptedMicros = 4*12_000 - 1 }},
		} {
			s := r.spec
			c.change(&s)
			if fields := models.FieldsOf(r.factory.SetFacade(ctx, r.admin, s)); fields[c.field] == "" || len(fields) != 1 {
				t.Errorf("%s: %v", c.field, fields)
			}
		}
		micros, err := r.factory.FacadeQuote(ctx, r.admin, r.spec)
		if err != nil || micros != 4*12_000 {
			t.Errorf("price of 4 small ones: %d, %v", micros, err)
		}
		globex := r.Scope(t, "admin@globex.example", "globex")
		if err := r.factory.SetFacade(ctx, globex, r.spec); models.CodeOf(err) != models.CodeNotFound {
			t.Errorf("another org's service: %v", err)
		}
		r.must(r.admin.Change(ctx, func(w *models.Writer) error { return w.DeleteFacade(r.service.ID) }))
		r.look()
	})
}

// Whoever follows a policy may end at any moment: what was begun is kept whole
// or not at all, and the next one goes on.
func TestPolicySurvivesBeingKilled(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := newFacadeRig(t, db, 2, nil)
		r.gateway(map[string]bool{"web-1": true}, nil)
		// killedUntil has one follower after the other end a little later in what
		// it does, until it is done.
		killedUntil := func(what string, done func() bool) {
			t.Helper()
			for i := range 1000 {
				ctx, kill := context.WithCancel(context.Background())
				timer := time.AfterFunc(time.Duration(i*i)*100*time.Microsecond, kill)
				r.factory.Facades(ctx)
				timer.Stop()
				kill()
				if done() {
					return
				}
			}
			t.Fatalf("%s is never done", what)
		}
		killedUntil("the order", func() bool { return len(r.ordered()) > 0 })
		r.look()
		pending := r.ordered()
		if len(pending) != 1 {
			t.Fatalf("ordered: %+v", pending)
		}
		r.built(pending[0].MachineID)
		killedUntil("the joining", func() bool { return strings.Contains(r.names(), "-p1") })
		r.look()
		r.wants("joined once", "the-shop-p1, web-2")
		rows, err := r.System.CheckQuotas(context.Background())
		r.must(err)
		for _, row := range rows {
			if !row.Agrees() {
				t.Errorf("%s: %d used, %d counted", row.Resource, row.Used, row.Counted)
			}
		}
		if n := len(r.events(models.ActionFacadeReplace)); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}
