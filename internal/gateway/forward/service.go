package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
)

// service is one that is carried.
type service struct {
	gateway  *Gateway
	org      string // id
	mapped   string
	instance string
	listener net.Listener    // TCP
	http     *http.Server    // HTTP, on the listener
	udp      net.PacketConn  // UDP
	ctx      context.Context //nolint:containedctx // ends with the service, whose connections end with it
	stop     context.CancelFunc

	turn           atomic.Uint64
	total, in, out atomic.Int64

	mu       sync.Mutex
	state    edge.Org // for the firewall
	want     edge.Service
	nodes    []*node
	open     map[net.Conn]netip.Addr // of clients
	sessions map[netip.AddrPort]*session
}

// same says whether w needs no other listener.
func (s *service) same(w edge.Service) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want.PublicIP == w.PublicIP && s.want.Port == w.Port && s.want.Protocol == w.Protocol
}

// speaks says whether w needs no other service: a client of UDP knows its
// answers by where they come from, so that one can't move.
func (s *service) speaks(w edge.Service) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want.Protocol == w.Protocol
}

// leave gives the place up and keeps what is open. Another is taken by listen,
// when all that go have gone.
func (s *service) leave() {
	_ = s.listener.Close()
	s.listener = nil
}

// listen takes a place and serves who comes there.
func (s *service) listen(w edge.Service) (err error) {
	if s.listener, s.mapped, err = bind(w.PublicIP, w.Port, s.gateway.oneAddress, listenTCP); err != nil {
		s.listener = nil
		return err
	}
	if s.http != nil {
		listener := webListener{s, s.listener}
		go func() { _ = s.http.Serve(listener) }() // ends with it
	} else {
		go s.serve(s.listener)
	}
	return nil
}

func (g *Gateway) open(w edge.Service) (*service, error) {
	s := &service{gateway: g, want: w, open: map[net.Conn]netip.Addr{}, sessions: map[netip.AddrPort]*session{}, instance: g.instance + " " + time.Now().String()}
	s.ctx, s.stop = context.WithCancel(g.running)
	var err error
	switch w.Protocol {
	case edge.ProtocolUDP:
		if s.udp, s.mapped, err = bind(w.PublicIP, w.Port, g.oneAddress, listenUDP); err == nil {
			go s.serveUDP()
		}
	case edge.ProtocolHTTP:
		s.http = s.web()
		err = s.listen(w)
	default:
		err = s.listen(w)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// change takes a new state: nodes come and go, and what may no longer be there
// is ended.
func (s *service) change(state edge.Org, w edge.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.org, s.state, s.want = state.ID, state, w
	var nodes []*node
	for _, want := range w.Nodes {
		i := slices.IndexFunc(s.nodes, func(n *node) bool {
			return n.want.ID == want.ID && n.want.Address == want.Address && n.want.Port == want.Port
		})
		if i < 0 {
			n := &node{service: s, want: want, open: map[io.Closer]bool{}}
			ctx, stop := context.WithCancel(s.ctx)
			n.stop = stop
			nodes = append(nodes, n)
			go n.watch(ctx)
			continue
		}
		n := s.nodes[i]
		n.mu.Lock()
		n.want = want
		n.mu.Unlock()
		if !want.Enabled {
			n.cut()
		}
		nodes = append(nodes, n)
	}
	for _, n := range s.nodes {
		if !slices.Contains(nodes, n) {
			n.stop()
			n.cut()
		}
	}
	s.nodes = nodes
	for c, from := range s.open {
		if !s.lists(from) {
			reset(c)
		}
	}
	for from, session := range s.sessions {
		if !s.lists(from.Addr()) {
			session.end()
		}
	}
}

// lists says whether a source may still come. The caller holds mu.
func (s *service) lists(from netip.Addr) bool {
	return slices.ContainsFunc(s.want.Sources, func(text string) bool {
		p, err := netip.ParsePrefix(text)
		return err == nil && p.Contains(from)
	})
}

func (s *service) close() {
	s.stop()
	if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.udp != nil {
		_ = s.udp.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		reset(c)
	}
	for _, session := range s.sessions {
		session.end()
	}
	for _, n := range s.nodes {
		n.stop()
		n.cut()
	}
}

func (s *service) monitor() *edge.Monitor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want.Monitor
}

// host is what a node is called in a health check's request.
func (s *service) host() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want.PublicIP
}

func (s *service) monitored() bool { return s.monitor() != nil }

func (s *service) idle() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.want.IdleTimeoutSeconds) * time.Second
}

// passes asks the firewall, and the service's own sources.
func (s *service) passes(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := netip.ParseAddr(s.want.PublicIP)
	if err != nil {
		return false
	}
	protocol := edge.ProtocolTCP
	if s.udp != nil {
		protocol = edge.ProtocolUDP
	}
	return s.state.Judge(edge.Flow{Direction: edge.DirectionIn, Source: from, Destination: at, Protocol: protocol, Port: s.want.Port}).Pass
}

// reset ends a connection without a word.
func reset(c io.Closer) {
	if w, ok := c.(*webClient); ok { // not by its own Close, which asks for the list that is being walked
		c = w.Conn
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

func (s *service) serve(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors
			continue
		}
		go s.carry(c)
	}
}

func addrOf(a net.Addr) netip.AddrPort {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// carry brings one connection to a node, to another where that fails, and
// refuses it where none is left.
func (s *service) carry(client net.Conn) {
	from := addrOf(client.RemoteAddr()).Addr()
	if !s.passes(from) {
		reset(client)
		return
	}
	s.total.Add(1)
	s.mu.Lock()
	s.open[client] = from
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, client)
		s.mu.Unlock()
	}()
	for _, n := range s.choose(from) {
		n.mu.Lock()
		want := n.want
		n.mu.Unlock()
		up, err := s.gateway.dial(s.ctx, s.org, "tcp", want.Address, want.Port)
		if err != nil {
			n.failed(err)
			continue
		}
		n.total.Add(1)
		if n.add(client) && n.add(up) {
			p := pipe{client: client, node: up, idle: s.idle(), in: []*atomic.Int64{&s.in, &n.in}, out: []*atomic.Int64{&s.out, &n.out}}
			p.run()
		}
		n.drop(client)
		n.drop(up)
		reset(up)
		reset(client)
		return
	}
	reset(client)
}

// pipe copies both ways until both ends are done, or nothing moves any more.
type pipe struct {
	client, node net.Conn
	idle         time.Duration
	in, out      []*atomic.Int64
	moved        atomic.Int64 // when something last did, in nanoseconds
}

func (p *pipe) run() {
	p.moved.Store(time.Now().UnixNano())
	var both sync.WaitGroup
	both.Go(func() { p.copy(p.node, p.client, p.in) })
	both.Go(func() { p.copy(p.client, p.node, p.out) })
	both.Wait()
	// Said in full: end it properly.
	_ = p.client.Close()
	_ = p.node.Close()
}

func (p *pipe) copy(to, from net.Conn, counters []*atomic.Int64) {
	buffer := make([]byte, 32<<10)
	for {
		_ = from.SetReadDeadline(time.Unix(0, p.moved.Load()).Add(p.idle))
		n, err := from.Read(buffer)
		if n > 0 {
			p.moved.Store(time.Now().UnixNano())
			for _, c := range counters {
				c.Add(int64(n))
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Since(time.Unix(0, p.moved.Load())) < p.idle:
			// The other way is busy.
		case errors.Is(err, io.EOF):
			if t, ok := to.(*net.TCPConn); ok {
				_ = t.CloseWrite()
			}
			return
		default:
			reset(to)
			reset(from)
			return
		}
	}
}

func (s *service) observe() gateway.ServiceReading {
	s.mu.Lock()
	nodes, open := slices.Clone(s.nodes), len(s.open)+len(s.sessions)
	s.mu.Unlock()
	r := gateway.ServiceReading{Instance: s.instance, In: s.in.Load(), Out: s.out.Load(), Total: s.total.Load(), Open: open, Mapped: s.mapped, Nodes: map[string]gateway.NodeReading{}}
	for _, n := range nodes {
		reading := n.observe(s.instance)
		if s.udp == nil && s.http == nil {
			reading.Open /= 2 // both ends are in its list
		}
		r.Nodes[n.want.ID] = reading
	}
	return r
}
