package forward

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
)

// Guests finds where a machine's port really is.
type Guests interface {
	// Locate answers for an org (by id), tcp or udp, and a private address.
	Locate(ctx context.Context, org, network string, at netip.AddrPort) (string, error)
	// Forget is told of an address that was located and did not answer: the
	// machine may have come back elsewhere.
	Forget(org string, address netip.Addr)
}

// Gateway is the applier.
type Gateway struct {
	guests  Guests
	log     *slog.Logger
	changed chan struct{}
	running context.Context //nolint:containedctx // what is carried outlives the call that began it
	stop    context.CancelFunc
	// oneAddress does as a system that has one loopback address.
	oneAddress bool
	// instance begins anew with each process, as its counters do.
	instance string

	mu   sync.Mutex
	orgs map[string]*org // by key
}

// org is what is carried for one org.
type org struct {
	services map[string]*service // by id
	tunnel   *tunnel
}

// Options of a gateway.
type Options struct {
	// OneAddress maps everything to ports of 127.0.0.1, as it has to be on a
	// system that has no other loopback address.
	OneAddress bool
	Logger     *slog.Logger
}

// New carries nothing yet.
func New(guests Guests, o Options) *Gateway {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	g := &Gateway{guests: guests, log: o.Logger, oneAddress: o.OneAddress, changed: make(chan struct{}, 1), instance: rand.Text(), orgs: map[string]*org{}}
	g.running, g.stop = context.WithCancel(context.Background())
	return g
}

// Features are the process's own.
func (g *Gateway) Features(context.Context) []edge.Feature {
	return []edge.Feature{{Name: "lab", Present: true, Detail: "forwards in the portal's process, on loopback addresses (" + runtime.GOOS + ")"}}
}

// Limits: loopback and nothing else.
func (g *Gateway) Limits() gateway.Limits { return gateway.Limits{Loopback: true} }

// Kept is nothing: what a process carries ends with it.
func (g *Gateway) Kept() ([]string, error) { return nil, nil }

// Changed tells of nodes that went or came.
func (g *Gateway) Changed() <-chan struct{} { return g.changed }

func (g *Gateway) turned() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// Close ends everything.
func (g *Gateway) Close() error {
	g.stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, o := range g.orgs {
		o.close()
		delete(g.orgs, key)
	}
	return nil
}

func (o *org) close() {
	for _, s := range o.services {
		s.close()
	}
	if o.tunnel != nil {
		o.tunnel.close()
	}
}

// Apply changes what is carried. A service that stays keeps its listener and
// its connections, one that moves to another address or port its connections;
// only what is wanted no more is ended.
func (g *Gateway) Apply(_ context.Context, want gateway.Checked) ([]edge.Blame, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running.Err() != nil {
		return nil, errors.New("the gateway has ended")
	}
	o := g.orgs[want.Key()]
	if o == nil {
		o = &org{services: map[string]*service{}}
		g.orgs[want.Key()] = o
	}
	state := want.Org()
	wanted := map[string]edge.Service{}
	for _, s := range state.Services {
		if s.Enabled {
			wanted[s.ID] = s
		}
	}
	for id, s := range o.services {
		switch w, ok := wanted[id]; {
		case ok && s.same(w):
		case ok && s.listener != nil && s.speaks(w):
			s.leave()
		default:
			s.close()
			delete(o.services, id)
		}
	}
	var failed []edge.Blame
	for id, w := range wanted {
		s := o.services[id]
		var err error
		switch {
		case s == nil:
			if s, err = g.open(w); err == nil {
				o.services[id] = s
			}
		case s.listener == nil && s.udp == nil: // it has left its place
			if err = s.listen(w); err != nil {
				s.close()
				delete(o.services, id)
			}
		}
		if err != nil {
			failed = append(failed, edge.Blame{ID: id, Text: err.Error()})
			continue
		}
		s.change(state, w) //nolint:contextcheck // nodes are watched beyond this call
	}
	if err := g.applyVPN(o, state); err != nil {
		failed = append(failed, edge.Blame{ID: state.VPN.ID, Text: err.Error()})
	}
	return failed, nil
}

// Remove ends an org.
func (g *Gateway) Remove(_ context.Context, key string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if o := g.orgs[key]; o != nil {
		o.close()
		delete(g.orgs, key)
	}
	return nil
}

// Repair has nothing to do: no other hands reach into the process.
func (g *Gateway) Repair(context.Context, gateway.Checked) ([]string, error) { return nil, nil }

// Observe reads the counters.
func (g *Gateway) Observe(_ context.Context, want gateway.Checked) (gateway.Observation, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := gateway.Observation{Services: map[string]gateway.ServiceReading{}, Peers: map[string]gateway.PeerReading{}}
	o := g.orgs[want.Key()]
	if o == nil {
		return out, nil
	}
	state := want.Org()
	for i := range state.Services {
		w := &state.Services[i]
		if s := o.services[w.ID]; s != nil {
			out.Services[w.ID] = s.observe()
			continue
		}
		off := gateway.ServiceReading{Instance: g.instance + " off", Nodes: map[string]gateway.NodeReading{}}
		for _, n := range w.Nodes {
			off.Nodes[n.ID] = gateway.NodeReading{Instance: off.Instance, State: edge.NodeOff, Reason: "the service is off"}
		}
		out.Services[w.ID] = off
	}
	if o.tunnel != nil && state.VPN != nil {
		o.tunnel.observe(*state.VPN, out)
		out.VPNMapped = o.tunnel.bind.where()
	}
	return out, nil
}

// Probe tries one connection as a service would make it.
func (g *Gateway) Probe(ctx context.Context, want gateway.Checked, p edge.Probe) edge.ProbeResult {
	r := edge.ProbeResult{ID: p.ID, At: time.Now().UTC()}
	began := time.Now()
	network := edge.L4(p.Protocol)
	if p.Monitor != nil && p.Monitor.Kind == "http" {
		network = "tcp"
	}
	c, err := g.dial(ctx, want.Org().ID, network, p.Address, p.Port)
	if err != nil {
		r.Detail = "nothing answers on the port: the machine is off, or nothing listens there"
		return r
	}
	defer c.Close() //nolint:errcheck // only asked
	if p.Monitor != nil && p.Monitor.Kind == "http" {
		if err := askHTTP(ctx, c, cmp.Or(p.Host, p.Address), *p.Monitor); err != nil {
			r.Detail = "it takes connections, but " + err.Error()
			return r
		}
	}
	r.OK, r.Detail = true, "answered in "+time.Since(began).Round(time.Millisecond).String()
	if network == edge.ProtocolUDP {
		r.Detail = "the machine is there, and the port refuses no datagram"
	}
	return r
}

// connectPatience is how long a node has to take a connection.
const connectPatience = time.Second

func (g *Gateway) dial(ctx context.Context, org, network, address string, port int) (net.Conn, error) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	where, err := g.guests.Locate(ctx, org, network, netip.AddrPortFrom(a, uint16(port))) // #nosec G115 -- checked to be a port
	if err != nil {
		return nil, err
	}
	c, err := new(net.Dialer).DialContext(ctx, network, where)
	if err != nil && ctx.Err() == nil {
		g.guests.Forget(org, a)
	}
	return c, err
}
