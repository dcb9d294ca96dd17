package network_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// feedRig is acme with a service of two nodes and two rules, on the gateway in
// the process; globex is on it too.
type feedRig struct {
	*testing.T
	w       *testkit.World
	feed    *network.Feed
	service models.InternetService
	nodes   [2]models.ServiceNode
	rules   [2]models.FirewallRule
}

func newFeedRig(t *testing.T, db *models.DB) *feedRig {
	t.Helper()
	ctx := context.Background()
	r := &feedRig{T: t, w: testkit.NewWorld(t, db)}
	room := network.New(r.w.System, network.Options{})
	r.must(r.w.OfferPublicIPs("198.51.100.1", "198.51.100.2", "198.51.100.3"))
	var err error
	r.feed, err = room.Lab(ctx)
	r.must(err)
	r.must(room.Settle(ctx))
	r.service = models.InternetService{Name: "shop", Protocol: models.ServiceHTTP, Enabled: true, Balancing: models.BalanceRound, MonitorKind: "http", MonitorPath: "/up", MonitorStatus: 204,
		IdleTimeoutSeconds: 60, Sources: "192.0.2.0/24"}
	machines := [2]models.Machine{r.w.Machine(t, "web-1"), r.w.Machine(t, "web-2")}
	r.rules = [2]models.FirewallRule{{Direction: "in", Protocol: "tcp", FirstPort: 22, LastPort: 22, Enabled: true}, {Direction: "out", Protocol: "any", Outside: "203.0.113.0/24", Enabled: true}}
	r.change(func(w *models.Writer) error {
		g, err := w.Gateway()
		if err != nil {
			return err
		}
		if err := w.CreateService(&r.service, models.ServiceEndpoint{PublicIPID: *g.OutboundIPID, Port: 80}); err != nil {
			return err
		}
		for i, m := range machines {
			r.nodes[i] = models.ServiceNode{ServiceID: r.service.ID, MachineID: m.ID, NetworkID: m.NetworkID, Address: m.Address, Port: 8080, Enabled: true}
			if err := w.AddNode(&r.nodes[i]); err != nil {
				return err
			}
		}
		if err := w.AddRule(&r.rules[0]); err != nil {
			return err
		}
		return w.AddRule(&r.rules[1])
	})
	return r
}

func (r *feedRig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *feedRig) change(fn func(w *models.Writer) error) {
	r.Helper()
	r.must(r.w.Scope(r.T, "admin@acme.example", "acme").Change(context.Background(), fn))
}

func (r *feedRig) desired() (edge.Desired, string) {
	r.Helper()
	d, tag, err := r.feed.Desired(context.Background(), "", 0)
	r.must(err)
	return d, tag
}

func (r *feedRig) acme() edge.Org {
	r.Helper()
	d, _ := r.desired()
	for _, o := range d.Orgs {
		if o.ID == string(r.w.Acme.ID) {
			return o
		}
	}
	r.Fatal("the gateway doesn't carry acme")
	return edge.Org{}
}

func TestTagStandsForTheWholeState(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := newFeedRig(t, db)
		before, tag := r.desired()
		for name, change := range map[string]func(w *models.Writer) error{
			"drain":   func(w *models.Writer) error { return w.SetNode(r.nodes[0].ID, true, true) },
			"disable": func(w *models.Writer) error { return w.SetNode(r.nodes[1].ID, false, false) },
			"order":   func(w *models.Writer) error { return w.MoveRule(r.rules[1].ID, 1) },
			"rule":    func(w *models.Writer) error { return w.DeleteRule(r.rules[0].ID) },
			"address": func(w *models.Writer) error { _, err := w.TakePublicIP(1 << 40); return err },
		} {
			if again, same := r.desired(); same != tag || !reflect.DeepEqual(again, before) {
				t.Fatalf("before %s: another tag, %s, for the same", name, same)
			}
			r.change(change)
			after, next := r.desired()
			if next == tag {
				t.Errorf("%s: the same tag for another state", name)
			}
			before, tag = after, next
		}
		// What a gateway says of itself is no change of what it has to carry.
		o := r.acme()
		r.must(r.feed.Report(context.Background(), edge.Status{Version: 1, Epoch: "a", Orgs: []edge.OrgStatus{{ID: o.ID, Observed: o.Generation, Applied: o.Generation}}}))
		if _, same := r.desired(); same != tag {
			t.Error("a report makes another tag")
		}
	})
}

func TestStateIsWhatTheRecordsSay(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := newFeedRig(t, db)
		r.change(func(w *models.Writer) error {
			if err := w.SetNode(r.nodes[0].ID, true, true); err != nil {
				return err
			}
			if err := w.MoveRule(r.rules[1].ID, 1); err != nil {
				return err
			}
			_, public, err := network.KeyPair()
			if err != nil {
				return err
			}
			g, err := w.Gateway()
			if err != nil {
				return err
			}
			_, err = w.CreateVPN(*g.OutboundIPID, public, "the-private-half")
			return err
		})
		o := r.acme()
		if len(o.Services) != 1 || len(o.Firewall) != 2 || o.Outbound == "" || o.VPN == nil {
			t.Fatalf("%+v", o)
		}
		s := o.Services[0]
		if s.PublicIP != o.Outbound || s.Port != 80 || !s.Enabled || s.Monitor == nil || s.Monitor.Path != "/up" || s.Monitor.Status != 204 || s.Sources[0] != "192.0.2.0/24" || s.Balancing != edge.BalanceRound {
			t.Errorf("service %+v", s)
		}
		draining := map[string]bool{}
		for _, n := range s.Nodes {
			draining[n.ID] = n.Draining && n.Enabled
		}
		if len(draining) != 2 || !draining[string(r.nodes[0].ID)] || draining[string(r.nodes[1].ID)] {
			t.Errorf("nodes %+v", s.Nodes)
		}
		if o.Firewall[0].ID != string(r.rules[1].ID) || o.Firewall[0].Destination != "203.0.113.0/24" || o.Firewall[0].Source != "" || o.Firewall[1].FirstPort != 22 {
			t.Errorf("rules %+v", o.Firewall)
		}
		if o.VPN.PrivateKey != "the-private-half" || o.VPN.PublicIP != o.Outbound || o.VPN.Port != models.VPNPort {
			t.Errorf("VPN %+v", o.VPN)
		}
		// Switched off it is still told, as off: its port stays taken.
		at := models.ServiceEndpoint{Port: 80}
		r.change(func(w *models.Writer) error {
			g, err := w.Gateway()
			if err != nil {
				return err
			}
			at.PublicIPID, r.service.Enabled = *g.OutboundIPID, false
			return w.ChangeService(r.service, at)
		})
		if o := r.acme(); len(o.Services) != 1 || o.Services[0].Enabled {
			t.Errorf("switched off: %+v", o.Services)
		}
	})
}

func TestGatewayGetsItsOwnOrgsAlone(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := newFeedRig(t, db)
		ctx := context.Background()
		operator, err := r.w.System.Provider(r.w.SignedIn(t, "operator@provider.example"))
		r.must(err)
		_, token, err := operator.AddEdge(ctx, "elsewhere", nil)
		r.must(err)
		other, err := r.w.System.Edge(ctx, token)
		r.must(err)
		d, _, err := network.New(r.w.System, network.Options{}).Feed(other).Desired(ctx, "", 0)
		r.must(err)
		if len(d.Orgs) != 0 {
			t.Errorf("a gateway without orgs gets %+v", d.Orgs)
		}
		// Nor is it believed about them.
		o := r.acme()
		lie := edge.Status{Version: 1, Epoch: "x", Orgs: []edge.OrgStatus{{ID: o.ID, Observed: 1 << 40, Applied: 1 << 40, Services: []edge.ServiceStatus{{ID: string(r.service.ID), BytesIn: 1 << 40}}}}}
		r.must(network.New(r.w.System, network.Options{}).Feed(other).Report(ctx, lie))
		r.must(r.w.Scope(t, "auditor@acme.example", "acme").Read(ctx, func(reader *models.Reader) error {
			g, err := reader.Gateway()
			if err != nil {
				return err
			}
			s, err := reader.Service(r.service.ID)
			if g.Applied >= 1<<40 || s.BytesIn != 0 {
				t.Errorf("applied %d, %d bytes", g.Applied, s.BytesIn)
			}
			return err
		}))
	})
}

// Each ending of a wait: a change, the time, the portal's own end.
func TestLongPollWakesOnChangeAndEnds(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := newFeedRig(t, db)
		listening, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); db.Listen(listening) }()
		defer func() { stop(); <-ended }()
		_, tag := r.desired()

		d, same, err := r.feed.Desired(context.Background(), tag, 20*time.Millisecond)
		if err != nil || same != tag || len(d.Orgs) != 0 {
			t.Errorf("out of time: %q, %+v, %v", same, d, err)
		}

		type answer struct {
			d   edge.Desired
			tag string
			err error
		}
		poll := func(ctx context.Context) chan answer {
			c := make(chan answer, 1)
			go func() {
				d, tag, err := r.feed.Desired(ctx, tag, network.LongestWait)
				c <- answer{d, tag, err}
			}()
			return c
		}
		waiting := poll(context.Background())
		r.change(func(w *models.Writer) error { return w.SetNode(r.nodes[0].ID, false, false) })
		select {
		case a := <-waiting:
			if a.err != nil || a.tag == tag || len(a.d.Orgs) == 0 {
				t.Errorf("woken: %+v", a)
			}
			tag = a.tag
		case <-time.After(20 * time.Second):
			t.Fatal("a change wakes nobody")
		}

		ctx, cancel := context.WithCancel(context.Background())
		waiting = poll(ctx)
		cancel()
		select {
		case a := <-waiting:
			if !errors.Is(a.err, context.Canceled) {
				t.Errorf("ended: %+v", a)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the portal's end doesn't end it")
		}
	})
}

func TestReportIsStored(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := newFeedRig(t, db)
		ctx := context.Background()
		since := time.Now().Add(-time.Minute).UTC().Truncate(time.Microsecond)
		send := func(epoch string, bytes int64, blame ...edge.Blame) {
			t.Helper()
			o := r.acme()
			r.must(r.feed.Report(ctx, edge.Status{Version: 1, Epoch: epoch, Orgs: []edge.OrgStatus{{ID: o.ID, Observed: o.Generation, Applied: o.Generation, Failed: blame,
				Services: []edge.ServiceStatus{{ID: string(r.service.ID), BytesIn: bytes, Total: bytes, Open: 3, Nodes: []edge.NodeStatus{
					{ID: string(r.nodes[0].ID), State: edge.NodeDown, Since: since, Reason: "connection refused"}, {ID: "nobody", State: edge.NodeUp}}}}}}}))
		}
		read := func() (g models.OrgGateway, s models.ServiceRow) {
			t.Helper()
			r.must(r.w.Scope(t, "auditor@acme.example", "acme").Read(ctx, func(reader *models.Reader) error {
				var err error
				if g, err = reader.Gateway(); err != nil {
					return err
				}
				s, err = reader.Service(r.service.ID)
				return err
			}))
			return g, s
		}
		send("first", 100)
		g, s := read()
		if g.Applied != g.Generation || s.Rollout(&g) != models.RolloutActive || s.Health() != models.HealthDegraded || s.OpenNow != 3 || s.BytesIn != 100 {
			t.Errorf("%+v, %+v", g, s)
		}
		if n := s.Nodes[0]; n.State != edge.NodeDown || n.Reason != "connection refused" || n.Since == nil || !n.Since.Equal(since) {
			t.Errorf("node %+v", n)
		}
		// A reload goes on counting, a reboot begins anew under another epoch;
		// what comes twice or late is counted once.
		send("first", 250)
		send("second", 5)
		send("first", 250)
		send("first", 120)
		send("second", 40, edge.Blame{ID: string(r.service.ID), Text: "its port is the gateway's own"})
		g, s = read()
		if s.BytesIn != 290 || s.Connections != 290 {
			t.Errorf("%d bytes, %d connections; 250 and 40 were carried", s.BytesIn, s.Connections)
		}
		if s.Rollout(&g) != models.RolloutFailed || g.BlameOf(string(r.service.ID)) != "its port is the gateway's own" {
			t.Errorf("left out: %s, %q", s.Rollout(&g), g.BlameOf(string(r.service.ID)))
		}
	})
}
