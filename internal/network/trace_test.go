package network_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// traceRig is a service of acme's whose way is mended step by step.
type traceRig struct {
	*testing.T
	w       *testkit.World
	room    *network.Service
	feed    *network.Feed
	service models.InternetService
	ip      models.OrgIP
	source  string
	since   time.Time // when nodes came up
}

func (r *traceRig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *traceRig) change(fn func(w *models.Writer) error) {
	r.Helper()
	r.must(r.w.Scope(r.T, "admin@acme.example", "acme").Change(context.Background(), fn))
}

func (r *traceRig) facts() network.TraceFacts {
	r.Helper()
	var facts network.TraceFacts
	r.must(r.w.Scope(r.T, "auditor@acme.example", "acme").Read(context.Background(), func(reader *models.Reader) error {
		var err error
		facts, err = network.ReadTrace(reader, r.service.ID)
		return err
	}))
	facts.Source = netip.MustParseAddr(r.source)
	return facts
}

// acme is what the gateway is to carry for acme.
func (r *traceRig) acme() edge.Org {
	r.Helper()
	state, _, err := r.feed.Desired(context.Background(), "", 0)
	r.must(err)
	for _, o := range state.Orgs {
		if o.ID == string(r.w.Acme.ID) {
			return o
		}
	}
	r.Fatal("the gateway doesn't carry acme")
	return edge.Org{}
}

// report is what a gateway says that carries all of it; touch changes it.
func (r *traceRig) report(touch func(*edge.OrgStatus)) {
	r.Helper()
	o := r.acme()
	st := edge.OrgStatus{ID: o.ID, Observed: o.Generation, Applied: o.Generation}
	for _, s := range o.Services {
		row := edge.ServiceStatus{ID: s.ID}
		for _, n := range s.Nodes {
			row.Nodes = append(row.Nodes, edge.NodeStatus{ID: n.ID, State: edge.NodeUp, Since: r.since, Reason: "answered"})
		}
		st.Services = append(st.Services, row)
	}
	if touch != nil {
		touch(&st)
	}
	r.must(r.feed.Report(context.Background(), edge.Status{Version: 1, Epoch: "a", Orgs: []edge.OrgStatus{st}}))
}

// first is the first step that has to fail, and what it has to say.
func (r *traceRig) first(step, text string) network.Trace {
	r.Helper()
	t := network.Walk(r.facts())
	switch {
	case step == "" && t.First != nil:
		r.Fatalf("%s fails: %s", t.First.Name, t.First.Text)
	case step == "":
		return t
	case t.First == nil:
		r.Fatalf("nothing fails; want %s: %+v", step, t.Steps)
	case t.First.Name != step || !strings.Contains(t.First.Text, text):
		r.Fatalf("%s fails first: %q; want %s: %q", t.First.Name, t.First.Text, step, text)
	case t.First.Do == "":
		r.Errorf("%s says nothing of what to do", step)
	}
	return t
}

// step is what is known of one.
func step(t network.Trace, name string) network.TraceStep {
	for _, s := range t.Steps {
		if s.Name == name {
			return s
		}
	}
	return network.TraceStep{}
}

func TestTraceNamesTheFirstThatFails(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		r := &traceRig{T: t, w: testkit.NewWorld(t, db), source: "203.0.113.9", since: time.Now()}
		r.room = network.New(r.w.System, network.Options{})
		m := r.w.Machine(t, "web-1")
		r.must(r.w.OfferPublicIPs("198.51.100.1"))
		r.service = models.InternetService{Name: "shop", Protocol: models.ServiceTCP, Balancing: models.BalanceLeast, MonitorKind: "tcp", IdleTimeoutSeconds: 60, Sources: "192.0.2.0/24"}
		deny := models.FirewallRule{Direction: "in", Protocol: "tcp", Outside: "203.0.113.0/24", Enabled: true}
		r.change(func(w *models.Writer) error {
			var err error
			if r.ip, err = w.TakePublicIP(1 << 40); err != nil {
				return err
			}
			if err := w.CreateService(&r.service, models.ServiceEndpoint{PublicIPID: r.ip.ID, Port: 443}); err != nil {
				return err
			}
			return w.AddRule(&deny)
		})

		// Everything is wrong; what is mended uncovers what lies behind.
		lost := r.facts()
		lost.IP.State = models.IPReleasing // the database refuses to release what is used
		if first := network.Walk(lost).First; first == nil || first.Name != network.TraceIP {
			t.Errorf("first of a lost address: %+v", first)
		}
		r.first(network.TraceGateway, "No gateway carries this org")
		var err error
		r.feed, err = r.room.Lab(ctx)
		r.must(err)
		r.must(r.room.Settle(ctx))
		r.first(network.TraceGateway, "never reported")
		r.report(func(o *edge.OrgStatus) { o.Observed, o.Applied = 1, 1 })
		r.first(network.TraceGateway, "not taken over")
		r.report(func(o *edge.OrgStatus) { o.Applied, o.Error = 1, "no room for rules" })
		r.first(network.TraceGateway, "no room for rules")
		r.report(func(o *edge.OrgStatus) {
			o.Failed = []edge.Blame{{ID: string(r.service.ID), Text: "the port is taken"}}
		})
		r.first(network.TraceGateway, "the port is taken")
		r.report(nil)
		silent := r.facts()
		silent.Now = silent.Now.Add(time.Minute)
		if first := network.Walk(silent).First; first == nil || first.Name != network.TraceGateway || !strings.Contains(first.Text, "silent") {
			t.Errorf("first of a silent gateway: %+v", first)
		}

		if got := r.first(network.TraceFirewall, "by rule 1"); got.First.Rule != deny.ID {
			t.Errorf("the rule is %q, want %q", got.First.Rule, deny.ID)
		}
		// The org's own machine is asked about as the kernel does: not at all.
		r.source = m.Address
		if own := step(network.Walk(r.facts()), network.TraceFirewall); own.State != network.StepOK || !strings.Contains(own.Text, "own machines") {
			t.Errorf("the firewall for a machine of the org: %+v", own)
		}
		r.source = "203.0.113.9"
		r.change(func(w *models.Writer) error { return w.DeleteRule(deny.ID) })
		r.report(nil)
		r.first(network.TraceFirewall, "doesn't list this source")
		r.source = "192.0.2.9"
		r.first(network.TraceService, "switched off")
		r.service.Enabled = true
		r.change(func(w *models.Writer) error {
			return w.ChangeService(r.service, models.ServiceEndpoint{PublicIPID: r.ip.ID, Port: 443})
		})
		r.report(nil)
		r.first(network.TraceNode, "No machine is behind")

		node := models.ServiceNode{ServiceID: r.service.ID, MachineID: m.ID, NetworkID: m.NetworkID, Address: m.Address, Port: 8443, Enabled: false}
		r.change(func(w *models.Writer) error { return w.AddNode(&node) })
		r.report(nil)
		r.first(network.TraceNode, "disabled or draining")
		r.change(func(w *models.Writer) error { return w.SetNode(node.ID, true, false) })
		r.change(func(w *models.Writer) error {
			if err := w.MoveMachine(m.ID, models.MachineStopped, nil); err != nil {
				return err
			}
			return w.Record(models.Event{Action: models.ActionMachineState, Object: m.Object(), Outcome: models.OutcomeSucceeded})
		})
		down := func(o *edge.OrgStatus) {
			o.Services[0].Nodes[0] = edge.NodeStatus{ID: string(node.ID), State: edge.NodeDown, Since: time.Now().Add(-time.Minute), Reason: "connection refused"}
		}
		r.report(down)
		if got := r.first(network.TraceMachine, "No machine behind the service runs"); got.First.Machine != m.ID || step(got, network.TraceHealth).State != network.StepFailed {
			t.Errorf("what lies behind the first failure isn't shown: %+v", got.Steps)
		}
		r.change(func(w *models.Writer) error {
			if err := w.MoveMachine(m.ID, models.MachineRunning, nil); err != nil {
				return err
			}
			return w.Record(models.Event{Action: models.ActionMachineState, Object: m.Object(), Outcome: models.OutcomeSucceeded})
		})
		if got := r.first(network.TraceHealth, "connection refused"); got.First.Since == nil {
			t.Error("since when it is down isn't told")
		}
		// What the gateway left out of what the service needs, it doesn't run.
		rule := models.FirewallRule{Direction: "in", Protocol: "tcp", Outside: "203.0.113.0/24", Enabled: true}
		r.change(func(w *models.Writer) error { return w.AddRule(&rule) })
		for id, c := range map[string]struct{ text, do string }{
			string(node.ID):     {"every node that takes connections: it is in no network", "add them anew"},
			string(rule.ID):     {"Firewall rule 1: it is in no network", "firewall that it had before"},
			string(m.NetworkID): {"Network ", "Tell your provider"},
		} {
			r.report(func(o *edge.OrgStatus) { o.Failed = []edge.Blame{{ID: id, Text: "it is in no network"}} })
			got := r.first(network.TraceGateway, c.text)
			if !strings.Contains(strings.Join(got.First.Evidence, "\n"), "it is in no network") || !strings.Contains(got.First.Do, c.do) {
				t.Errorf("%s: %+v", c.text, got.First)
			}
			if (got.First.Rule == rule.ID) != (id == string(rule.ID)) {
				t.Errorf("%s: leads to rule %q", c.text, got.First.Rule)
			}
		}
		// What is on no way to it fails nothing: the outbound address is told as
		// evidence, and a network with no node of the service isn't its business.
		apart := models.Network{Name: "apart", CloudID: r.w.Public.ID, CIDR: "10.77.0.0/24"}
		r.must(r.w.OfferVLANs(100, 105))
		r.change(func(w *models.Writer) error { return w.CreateNetwork(&apart) })
		for id, evidence := range map[string]int{string(apart.ID): 1, string(r.w.Acme.ID): 2} {
			r.report(func(o *edge.OrgStatus) { o.Failed = []edge.Blame{{ID: id, Text: "it can't be carried"}} })
			if s := step(r.first("", ""), network.TraceGateway); len(s.Evidence) != evidence {
				t.Errorf("left out on no way to the service: %q", s.Evidence)
			}
		}
		second := models.ServiceNode{ServiceID: r.service.ID, MachineID: m.ID, NetworkID: m.NetworkID, Address: m.Address, Port: 8444, Enabled: true}
		r.change(func(w *models.Writer) error { return w.AddNode(&second) })
		r.report(func(o *edge.OrgStatus) { o.Failed = []edge.Blame{{ID: string(node.ID), Text: "it is in no network"}} })
		if s := step(r.first("", ""), network.TraceGateway); !strings.Contains(s.Text, "without 1 of 2 nodes") || len(s.Evidence) != 2 {
			t.Errorf("one of two left out: %+v", s)
		}
		r.report(func(o *edge.OrgStatus) { o.Failed = []edge.Blame{{ID: "gone", Text: "it is in no network"}} })
		r.first("", "")
		r.change(func(w *models.Writer) error {
			if err := w.DeleteRule(rule.ID); err != nil {
				return err
			}
			if err := w.SetNode(second.ID, false, false); err != nil {
				return err
			}
			return w.RemoveNode(second.ID)
		})
		r.report(nil)
		if got := r.first("", ""); step(got, network.TraceListener).State != network.StepUnchecked {
			t.Errorf("the listener is %s before anybody asked", step(got, network.TraceListener).State)
		}

		// The gateway is asked, without a change of what it carries.
		generation := r.acme().Generation
		_, tag, err := r.feed.Desired(ctx, "", 0)
		r.must(err)
		ask := func() {
			r.Helper()
			r.must(r.w.Scope(t, "user@acme.example", "acme").Change(ctx, func(w *models.Writer) error {
				_, err := w.ProbeService(r.service.ID)
				return err
			}))
		}
		ask()
		state, next, err := r.feed.Desired(ctx, tag, time.Second)
		if err != nil || next == tag {
			t.Fatalf("a probe doesn't reach the gateway: %v", err)
		}
		for _, o := range state.Orgs {
			if o.ID == string(r.w.Acme.ID) && (o.Generation != generation || len(o.Probes) != 1 || o.Probes[0].Address != m.Address || o.Probes[0].Port != 8443) {
				t.Fatalf("desired: %+v", o)
			}
		}
		if got := r.first("", ""); !got.Probing || step(got, network.TraceListener).State != network.StepWaiting {
			t.Errorf("the listener is %+v while it is tried", step(got, network.TraceListener))
		}
		late := r.facts()
		late.Now = late.Now.Add(models.ProbePatience)
		if s := step(network.Walk(late), network.TraceListener); s.State != network.StepUnchecked || !strings.Contains(s.Text, "did not answer") {
			t.Errorf("a gateway that doesn't answer: %+v", s)
		}
		err = r.w.Scope(t, "user@acme.example", "acme").Change(ctx, func(w *models.Writer) error {
			_, err := w.ProbeService(r.service.ID)
			return err
		})
		if models.CodeOf(err) != models.CodeConflict {
			t.Errorf("two at a time: %v", err)
		}
		answer := func(ok bool, detail string) func(*edge.OrgStatus) {
			id := r.acme().Probes[0].ID
			return func(o *edge.OrgStatus) {
				o.Probes = []edge.ProbeResult{{ID: id, At: time.Now(), OK: ok, Detail: detail}}
			}
		}
		refused := answer(false, "connection refused: nothing listens")
		r.report(refused)
		if got := r.first(network.TraceListener, "no node answers"); !strings.Contains(strings.Join(got.First.Evidence, "\n"), "connection refused: nothing listens") {
			t.Errorf("evidence: %q", got.First.Evidence)
		}
		if probes := r.acme().Probes; len(probes) != 0 {
			t.Errorf("what was answered is asked again: %+v", probes)
		}
		ask()
		r.report(refused) // late, of the one before
		r.report(answer(true, "answered in 3 ms"))
		r.report(refused)
		if got := r.first("", ""); step(got, network.TraceListener).State != network.StepOK {
			t.Errorf("the listener: %+v", step(got, network.TraceListener))
		}

		// What was answered counts for a minute, and no longer than the service
		// and its nodes stay what they are.
		old := r.facts()
		for _, c := range []struct {
			why, text string
			age       func(f *network.TraceFacts)
		}{
			{"a while ago", "tried 3 h ago; 1 of 1 answered then", func(f *network.TraceFacts) { f.Now = f.Now.Add(3*time.Hour + time.Minute) }},
			{"changed since", "have changed since", func(f *network.TraceFacts) { f.Service.UpdatedAt = f.Now.Add(time.Second) }},
			{"came up since", "have changed since", func(f *network.TraceFacts) { f.Service.Nodes[0].Since = new(f.Now.Add(time.Second)) }},
		} {
			for _, ok := range []bool{true, false} {
				f := old
				f.Service.Nodes, f.Probes = slices.Clone(old.Service.Nodes), slices.Clone(old.Probes)
				f.Probes[0].OK = ok
				c.age(&f)
				s := step(network.Walk(f), network.TraceListener)
				if s.State != network.StepUnchecked || ok && !strings.Contains(s.Text, c.text) || !ok && !strings.Contains(s.Text, "none answered then") || s.Since == nil {
					t.Errorf("answered %v, %s: %+v", ok, c.why, s)
				}
			}
		}
	})
}
