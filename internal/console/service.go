package console

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// Options is how a node serves consoles.
type Options struct {
	// Node names this node in the records of its sockets: the same after a
	// restart, different from every other node's.
	Node string
	// Origins lists the origins (scheme and host, as browsers write them)
	// under which the portal may have served the page that r comes from. Nil
	// takes r's own: right where no proxy stands in front.
	Origins func(r *http.Request) []string
	// TTLSeconds is how long a ticket waits to be redeemed; 0 means 30. It
	// covers only the way from page to socket.
	TTLSeconds int
	Limits     Limits
	// Dial connects to the hypervisor. Nil, as in production, takes TLS and the
	// certificate that vCenter's ticket pins.
	Dial func(context.Context, vsphere.Screen) (net.Conn, error)
	// Guard says at which addresses a hypervisor may be; nil allows any.
	Guard  vsphere.Guard
	Logger *slog.Logger
}

func (o Options) ttl() time.Duration { return time.Duration(o.TTLSeconds) * time.Second }

// timing is every wait of a socket's life, so that tests can shorten them.
type timing struct {
	ping    time.Duration // between two pings, to both ends
	read    time.Duration // without any sign of life from an end
	write   time.Duration // for an end to take a frame
	decide  time.Duration // for the database to say whether it may open
	acquire time.Duration // for vCenter to give a ticket
	dial    time.Duration // for the hypervisor to answer
	again   time.Duration // before a second try of a hypervisor that refused
	recheck time.Duration // between two looks at whether a socket may stay
	blind   time.Duration // that a socket stays when the look fails
	gather  time.Duration // between two looks at who has a machine's console open
	linger  time.Duration // for a closed browser to take notice
	report  time.Duration // between two notes of what sockets have carried
	present time.Duration // at least, between two notes of which sockets are open
	silent  time.Duration // that a socket counts as open without such a note
}

var production = timing{
	ping: 15 * time.Second, read: 45 * time.Second, write: 20 * time.Second,
	decide: 15 * time.Second, acquire: 20 * time.Second, dial: 10 * time.Second, again: 250 * time.Millisecond,
	recheck: 3 * time.Second, blind: 30 * time.Second, gather: 250 * time.Millisecond,
	linger: 2 * time.Second,
	report: 5 * time.Second, present: 4 * time.Second, silent: 3 * time.Minute,
}

// Service issues tickets and carries this node's sockets.
type Service struct {
	system   *models.System
	screens  Screens
	options  Options
	timing   timing
	log      *slog.Logger
	upgrader websocket.Upgrader
	dialer   websocket.Dialer
	large    largeBuffers
	rates    rates
	hosts    hosts
	watched  watched

	mu       sync.Mutex
	ready    bool // Run has closed what an earlier life of this node left
	draining bool
	live     map[*socket]struct{}
	open     sync.WaitGroup // sockets whose end is not recorded yet
}

// New makes the Service. Sockets are served while Run runs.
func New(system *models.System, screens Screens, o Options) *Service {
	if o.Origins == nil {
		o.Origins = requestOrigin
	}
	if o.TTLSeconds <= 0 {
		o.TTLSeconds = 30
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Limits = o.Limits.orDefault()
	s := &Service{
		system: system, screens: screens, options: o, timing: production, log: o.Logger,
		rates:   rates{buckets: map[string]*bucket{}},
		hosts:   hosts{dials: o.Limits.DialsPerHost, known: map[string]*host{}},
		watched: newWatched(),
		live:    map[*socket]struct{}{},
	}
	// An idle socket keeps one read buffer, beside its relays' two, and no write
	// buffer.
	writers := &sync.Pool{}
	s.upgrader = websocket.Upgrader{
		Subprotocols: []string{protocolBinary}, ReadBufferSize: 512, // most of its messages have ten bytes
		WriteBufferSize: smallBuffer, WriteBufferPool: writers,
		CheckOrigin: func(*http.Request) bool { return true }, // Serve has done it
	}
	if s.options.Dial == nil {
		s.options.Dial = s.dialPinned
	}
	s.dialer = websocket.Dialer{
		Subprotocols: []string{protocolBinary}, ReadBufferSize: 256, // for the handshake alone
		WriteBufferSize: smallBuffer, WriteBufferPool: writers,
	}
	return s
}

// Run first ends, in the records, the sockets that this node held before it
// was killed, then judges the live ones again and again until ctx ends.
// Sockets that come before it runs are sent away to try again.
func (s *Service) Run(ctx context.Context) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := s.system.CloseStaleConsoles(ctx, s.options.Node)
		if err == nil {
			break
		}
		s.log.WarnContext(ctx, "can't close the consoles of an earlier run", "error", err)
		if !wait(ctx, pause) {
			return fmt.Errorf("close stale consoles: %w", err)
		}
	}
	s.mu.Lock()
	s.ready = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.ready = false
		s.mu.Unlock()
	}()
	var all errgroup.Group
	all.Go(func() error { s.guard(ctx); return nil })
	all.Go(func() error { s.report(ctx); return nil })
	return all.Wait()
}

// report notes what the sockets here have carried and, less often, which are
// open, and closes those in the records for which no node does so any more:
// they would take from an org's quota for good.
func (s *Service) report(ctx context.Context) {
	noted := map[models.ConsoleSessionID]models.ConsoleTraffic{}
	var present time.Time
	for wait(ctx, s.timing.report) {
		var ids []models.ConsoleSessionID
		var moved []models.ConsoleTraffic
		now := map[models.ConsoleSessionID]models.ConsoleTraffic{}
		all := time.Since(present) >= s.timing.present
		for _, c := range s.sockets() {
			t := models.ConsoleTraffic{ID: c.record.ID, In: c.in.Load(), Out: c.out.Load()}
			now[t.ID] = t
			if all {
				ids = append(ids, t.ID)
			}
			if noted[t.ID] != t {
				moved = append(moved, t)
			}
		}
		err := s.system.SeeConsoles(ctx, ids, moved)
		if err == nil {
			noted = now
			if all {
				present = time.Now()
				err = s.system.CloseLostConsoles(ctx, s.timing.silent)
			}
		}
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "can't note which consoles are open", "error", err)
		}
	}
}

// Drain tells every page to come back on another node, lets none in any more,
// and waits until the ends are in the history or ctx ends.
func (s *Service) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	for _, c := range s.sockets() {
		go c.end(endNodeDown) // at once: one whose browser hangs must not hold up the others
	}
	done := make(chan struct{})
	go func() { s.open.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain consoles: %w", ctx.Err())
	}
}

// enter counts a Serve call, and refuses it while the node isn't serving.
func (s *Service) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready || s.draining {
		return false
	}
	s.open.Add(1)
	return true
}

// keep makes a socket known to guard and Drain. One that comes after Drain
// has looked is told the same.
func (s *Service) keep(c *socket) {
	s.mu.Lock()
	s.live[c] = struct{}{}
	late := s.draining
	s.mu.Unlock()
	if late {
		c.end(endNodeDown)
	}
}

func (s *Service) forget(c *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, c)
}

func (s *Service) sockets() []*socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*socket, 0, len(s.live))
	for c := range s.live {
		list = append(list, c)
	}
	return list
}

// wait pauses, and says false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
