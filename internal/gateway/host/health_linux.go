package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// How UDP nodes are asked. The same rhythm as HAProxy's checks.
const (
	askEvery   = time.Second
	askFast    = 300 * time.Millisecond // while a node is between up and down
	askTimeout = time.Second
	fallAfter  = 2
	riseAfter  = 2
	hearsayFor = 150 * time.Millisecond // how soon a refusal of a datagram comes
)

// health follows the UDP nodes of one org.
type health struct {
	ns      namespace
	changed func() // called when a node went or came

	mu    sync.Mutex
	nodes map[string]*nodeHealth // by id
	dead  map[string]bool        // of those that aren't followed yet: when the last agent ended
	ended sync.WaitGroup
}

type nodeHealth struct {
	edge.Node
	monitor edge.Monitor
	host    string // what the service is called by
	cancel  context.CancelFunc
	down    bool
	reason  string
}

func newHealth(ns namespace, dead map[string]bool, changed func()) *health {
	return &health{ns: ns, changed: changed, nodes: map[string]*nodeHealth{}, dead: dead}
}

// follow brings the list of nodes to that of org: new ones count as alive,
// unless they are known to have been dead when an agent last looked.
func (h *health) follow(ctx context.Context, org edge.Org) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wanted := map[string]bool{}
	for i := range org.Services {
		s := &org.Services[i]
		if s.Protocol != edge.ProtocolUDP || !s.Enabled || s.Monitor == nil {
			continue
		}
		for _, n := range s.Nodes {
			if !n.Enabled {
				continue
			}
			wanted[n.ID] = true
			if has := h.nodes[n.ID]; has != nil {
				if has.Address == n.Address && has.Port == n.Port && has.monitor == *s.Monitor && has.host == s.PublicIP {
					continue
				}
				has.cancel()
			}
			asking, cancel := context.WithCancel(ctx)
			node := &nodeHealth{Node: n, monitor: *s.Monitor, host: s.PublicIP, cancel: cancel}
			if h.dead[n.ID] {
				node.down, node.reason = true, "it was dead before the agent was started"
			}
			h.nodes[n.ID] = node
			h.ended.Go(func() { h.watch(asking, node) })
		}
	}
	h.dead = nil
	for id, n := range h.nodes {
		if !wanted[id] {
			n.cancel()
			delete(h.nodes, id)
		}
	}
}

func (h *health) close() {
	h.mu.Lock()
	for _, n := range h.nodes {
		n.cancel()
	}
	h.nodes = map[string]*nodeHealth{}
	h.mu.Unlock()
	h.ended.Wait()
}

// down lists the dead.
func (h *health) down() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := maps.Clone(h.dead)
	if out == nil {
		out = map[string]bool{}
	}
	for id, n := range h.nodes {
		if n.down {
			out[id] = true
		}
	}
	return out
}

func (h *health) of(id string) (down bool, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.nodes[id]; n != nil {
		return n.down, n.reason
	}
	return false, ""
}

func (h *health) watch(ctx context.Context, n *nodeHealth) {
	streak := 0 // answers in a row that speak for a change
	for {
		err := h.ask(ctx, n)
		if ctx.Err() != nil {
			return
		}
		h.mu.Lock()
		if n.down == (err != nil) {
			streak = 0
		} else {
			streak++
		}
		n.reason = "answered"
		if err != nil {
			n.reason = err.Error()
		}
		turned := n.down && streak >= riseAfter || !n.down && streak >= fallAfter
		if turned {
			n.down, streak = !n.down, 0
		}
		h.mu.Unlock()
		if turned {
			h.changed()
		}
		pause := askEvery
		if streak > 0 {
			pause = askFast
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// ask finds out whether a node lives. UDP itself has no answer that every
// program gives; what can be known is a refusal of an empty datagram (nobody
// listens), and whether the machine answers on TCP, with a connection or with
// a refusal. By HTTP, where the monitor says so.
func (h *health) ask(ctx context.Context, n *nodeHealth) error {
	at := net.JoinHostPort(n.Address, strconv.Itoa(n.Port))
	if n.monitor.Kind == "http" {
		return h.askHTTP(ctx, at, n.host, n.monitor)
	}
	if err := h.refused(ctx, at); err != nil {
		return err
	}
	conn, err := h.dial(ctx, "tcp", at)
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer")
	}
	return fmt.Errorf("no answer: %w", errors.Unwrap(err))
}

func (h *health) dial(ctx context.Context, network, at string) (conn net.Conn, err error) {
	err = h.ns.do(func() error {
		dialer := net.Dialer{Timeout: askTimeout}
		conn, err = dialer.DialContext(ctx, network, at)
		return err
	})
	return conn, err
}

func (h *health) refused(ctx context.Context, at string) error {
	conn, err := h.dial(ctx, "udp", at)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // a datagram
	_ = conn.SetDeadline(time.Now().Add(hearsayFor))
	if _, err := conn.Write(nil); err != nil {
		return errors.New("nobody listens on the port")
	}
	if _, err := conn.Read(make([]byte, 1)); errors.Is(err, syscall.ECONNREFUSED) {
		return errors.New("nobody listens on the port")
	}
	return nil
}

// askHTTP makes the health check's request, the one that HAProxy makes of TCP
// and HTTP services: it calls the node by the service's public address.
func (h *health) askHTTP(ctx context.Context, at, host string, m edge.Monitor) error {
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	client := http.Client{
		Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, at string) (net.Conn, error) { return h.dial(ctx, network, at) }},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+m.Path, nil)
	if err != nil {
		return err
	}
	req.Host = host
	res, err := client.Do(req)
	if err != nil {
		return errors.New("no answer to the request")
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16))
	_ = res.Body.Close()
	if m.Status != 0 && res.StatusCode != m.Status || m.Status == 0 && (res.StatusCode < 200 || res.StatusCode > 399) {
		return fmt.Errorf("answered with status %d", res.StatusCode)
	}
	return nil
}

// probe is one try from inside the org, for the portal's "why can't I reach it?".
func (h *health) probe(ctx context.Context, p edge.Probe) edge.ProbeResult {
	at := netip.AddrPortFrom(netip.MustParseAddr(p.Address), uint16(p.Port)) // #nosec G115 -- checked to be a port
	began := time.Now()
	r := edge.ProbeResult{ID: p.ID, At: time.Now().UTC()}
	asks := p.Monitor != nil && p.Monitor.Kind == "http"
	if p.Protocol == edge.ProtocolUDP && !asks {
		r.OK, r.Detail = h.probeUDP(ctx, at)
		return r
	}
	conn, err := h.dial(ctx, "tcp", at.String())
	switch {
	case err == nil && asks:
		_ = conn.Close()
		if err := h.askHTTP(ctx, at.String(), p.Host, *p.Monitor); err != nil {
			r.Detail = "it takes connections, but " + err.Error()
			return r
		}
		r.OK, r.Detail = true, fmt.Sprintf("answered in %d ms", time.Since(began).Milliseconds())
	case err == nil:
		_ = conn.Close()
		r.OK, r.Detail = true, fmt.Sprintf("answered in %d ms", time.Since(began).Milliseconds())
	case errors.Is(err, syscall.ECONNREFUSED):
		r.Detail = "connection refused: the machine answers, and nothing listens on the port"
	case errors.Is(err, syscall.EHOSTUNREACH):
		r.Detail = "no machine answers at this address"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		r.Detail = "no answer within 1 s"
	default:
		var op *net.OpError
		r.Detail = "could not connect"
		if errors.As(err, &op) {
			r.Detail += ": " + op.Err.Error()
		}
	}
	return r
}

// probeUDP finds out what can be known of a UDP port: that it refuses no
// datagram, which is worth something only where a machine is there to refuse.
func (h *health) probeUDP(ctx context.Context, at netip.AddrPort) (ok bool, detail string) {
	if err := h.refused(ctx, at.String()); err != nil {
		return false, err.Error()
	}
	there, err := present(h.ns, at.Addr())
	if err != nil { // no link to ask on: an answer of any kind on TCP
		var conn net.Conn
		if conn, err = h.dial(ctx, "tcp", at.String()); err == nil {
			_ = conn.Close()
		}
		there = err == nil || errors.Is(err, syscall.ECONNREFUSED)
	}
	if !there {
		return false, "no machine answers at this address"
	}
	return true, "the machine is there, and the port refuses no datagram"
}
