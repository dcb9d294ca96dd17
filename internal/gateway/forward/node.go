package forward

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
)

// How nodes are asked.
const (
	askEvery  = 500 * time.Millisecond
	fallAfter = 2
	riseAfter = 1
)

// node is one behind a service.
type node struct {
	service *service
	stop    context.CancelFunc

	total, in, out atomic.Int64

	mu     sync.Mutex
	want   edge.Node
	down   bool
	reason string
	open   map[io.Closer]bool
}

// usable says whether it may get something new.
func (n *node) usable() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.want.Enabled && !n.want.Draining && !n.down
}

func (n *node) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.open)
}

// add takes c along when the node is taken out; false: it is out already.
func (n *node) add(c io.Closer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		return false
	}
	n.open[c] = true
	return true
}

func (n *node) drop(c io.Closer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, c)
}

// cut ends what is open.
func (n *node) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.open {
		reset(c)
	}
	clear(n.open)
}

// failed is what a connection that could not be made says of a node. Without
// a monitor nothing would bring it back, so that it isn't marked.
func (n *node) failed(err error) {
	if n.service.monitored() {
		n.set(true, "a connection to it failed: "+plain(err))
	}
}

func (n *node) set(down bool, reason string) {
	n.mu.Lock()
	turned := n.down != down
	n.down, n.reason = down, reason
	n.mu.Unlock()
	if turned {
		n.service.gateway.turned()
	}
}

// plain leaves out what only this computer's network says.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// watch asks for as long as the node is there.
func (n *node) watch(ctx context.Context) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	streak := 0
	for {
		n.mu.Lock()
		down, want := n.down, n.want
		n.mu.Unlock()
		if m := n.service.monitor(); m != nil && want.Enabled {
			err := n.ask(ctx, want, *m)
			if ctx.Err() != nil {
				return
			}
			if down == (err != nil) {
				streak = 0
				n.set(down, words(err))
			} else if streak++; down && streak >= riseAfter || !down && streak >= fallAfter {
				streak = 0
				n.set(!down, words(err))
			}
		} else if m == nil && down {
			n.set(false, "")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func words(err error) string {
	if err == nil {
		return "answered"
	}
	return plain(err)
}

func (n *node) ask(ctx context.Context, want edge.Node, m edge.Monitor) error {
	network := "tcp"
	if n.service.udp != nil && m.Kind != "http" {
		network = "udp" // located only where the guest runs and listens
	}
	c, err := n.service.gateway.dial(ctx, n.service.org, network, want.Address, want.Port)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // only asked
	if m.Kind != "http" {
		return nil
	}
	return askHTTP(ctx, c, n.service.host(), m)
}

// askHTTP makes the health check's request over a connection. The node is called
// by the service's public address, as on a gateway host.
func askHTTP(ctx context.Context, c net.Conn, host string, m edge.Monitor) error {
	client := http.Client{Timeout: 2 * connectPatience,
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+m.Path, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return errors.New("no answer to the request")
	}
	_ = res.Body.Close()
	if m.Status != 0 && res.StatusCode != m.Status || m.Status == 0 && (res.StatusCode < 200 || res.StatusCode > 399) {
		return fmt.Errorf("answered with status %d", res.StatusCode)
	}
	return nil
}

// choose orders the usable nodes for one connection: the first is tried first,
// the others where it fails.
func (s *service) choose(client netip.Addr) []*node {
	s.mu.Lock()
	list := slices.DeleteFunc(slices.Clone(s.nodes), func(n *node) bool { return !n.usable() })
	how := s.want.Balancing
	if s.udp != nil && how != edge.BalanceSource {
		how = edge.BalanceRound // as on a gateway host
	}
	s.mu.Unlock()
	if len(list) < 2 {
		return list
	}
	first := 0
	switch how {
	case edge.BalanceSource:
		h := fnv.New32a()
		_, _ = h.Write(client.AsSlice())
		first = int(h.Sum32() % uint32(len(list))) // #nosec G115 -- a handful
	case edge.BalanceRound:
		first = int(s.turn.Add(1) % uint64(len(list))) // #nosec G115 -- a handful
	default:
		s.turn.Add(1)
		// Those with equally few take turns.
		at := int(s.turn.Load() % uint64(len(list))) // #nosec G115 -- a handful
		list = append(list[at:], list[:at]...)
		slices.SortStableFunc(list, func(a, b *node) int { return a.count() - b.count() })
	}
	return append(slices.Clone(list[first:]), list[:first]...)
}

func (n *node) observe(instance string) gateway.NodeReading {
	monitored := n.service.monitored()
	n.mu.Lock()
	defer n.mu.Unlock()
	r := gateway.NodeReading{Instance: instance, State: edge.NodeUp, Reason: n.reason, Open: len(n.open), Total: n.total.Load(), In: n.in.Load(), Out: n.out.Load()}
	switch {
	case !n.want.Enabled:
		r.State, r.Reason = edge.NodeOff, ""
	case n.want.Draining:
		r.State = edge.NodeDraining
	case n.down:
		r.State = edge.NodeDown
	case !monitored:
		r.State, r.Reason = edge.NodeUnmonitored, ""
	}
	return r
}
