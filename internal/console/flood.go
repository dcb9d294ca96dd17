package console

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millwright/millwright/models"
)

// Limits is what one user, machine, org or ESXi host may take. 0 means the
// default. The caps hold across nodes, for the database counts; the rates and
// the dials are each node's own.
type Limits struct {
	Open             models.ConsoleLimits // consoles open at once
	TicketsPerMinute Rates
	DialsPerHost     int // at once, on one ESXi host
}

// Rates is a number per minute; half of it may come at once.
type Rates struct{ User, Machine, Org, Host int }

// DefaultLimits leave room for every page of a lost node to come back at once.
var DefaultLimits = Limits{
	Open:             models.ConsoleLimits{User: 50, Machine: 20, Host: 500},
	TicketsPerMinute: Rates{User: 120, Machine: 120, Org: 2000, Host: 2000},
	DialsPerHost:     16,
}

func (l Limits) orDefault() Limits {
	for _, f := range []struct {
		set *int
		to  int
	}{
		{&l.Open.User, DefaultLimits.Open.User}, {&l.Open.Machine, DefaultLimits.Open.Machine}, {&l.Open.Host, DefaultLimits.Open.Host},
		{&l.TicketsPerMinute.User, DefaultLimits.TicketsPerMinute.User}, {&l.TicketsPerMinute.Machine, DefaultLimits.TicketsPerMinute.Machine},
		{&l.TicketsPerMinute.Org, DefaultLimits.TicketsPerMinute.Org}, {&l.TicketsPerMinute.Host, DefaultLimits.TicketsPerMinute.Host},
		{&l.DialsPerHost, DefaultLimits.DialsPerHost},
	} {
		if *f.set <= 0 {
			*f.set = f.to
		}
	}
	return l
}

// rateKeysMost is how many keys a node keeps a count of before it forgets
// those that have been quiet.
const rateKeysMost = 10_000

// rates holds who asks to so many times a minute.
type rates struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	left float64
	at   time.Time
}

// ask is one count that has to allow what is asked.
type ask struct {
	key       string
	perMinute int
}

// allow takes one from each, or none and says how long to wait.
func (r *rates) allow(now time.Time, asks ...ask) (wait time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.buckets) > rateKeysMost {
		for key, b := range r.buckets {
			if now.Sub(b.at) > time.Minute { // full again
				delete(r.buckets, key)
			}
		}
	}
	for _, a := range asks {
		b := r.buckets[a.key]
		burst := max(1, float64(a.perMinute)/2)
		if b == nil {
			b = &bucket{left: burst, at: now}
			r.buckets[a.key] = b
		}
		b.left = min(burst, b.left+now.Sub(b.at).Minutes()*float64(a.perMinute))
		b.at = now
		if b.left < 1 {
			wait = max(wait, time.Duration((1-b.left)/float64(a.perMinute)*float64(time.Minute)))
		}
	}
	if wait > 0 {
		return wait, false
	}
	for _, a := range asks {
		r.buckets[a.key].left--
	}
	return 0, true
}

// hosts bounds the dials under way per ESXi host, and spares one that fails:
//
//	closed ──failuresMost in a row──▶ open for a while ──▶ one dial tries
//	   ▲                                 ▲                      │
//	   └───────────────it works──────────┼──────────────────────┤
//	                                     └──twice as long, fails┘
type hosts struct {
	dials int
	mu    sync.Mutex
	known map[string]*host
}

// outcome is what a dial told of its host.
type outcome int

const (
	untried   outcome = iota // nothing: it did not come to that, or was no matter of the host's
	reached                  // it works
	unreached                // it failed
)

type host struct {
	slots    chan struct{}
	users    int // that hold or wait for a slot
	failures int // in a row
	until    time.Time
	trying   bool
}

const (
	// failuresMost in a row are a host's, not one machine's.
	failuresMost = 4
	restShortest = 2 * time.Second
	restLongest  = time.Minute
)

// errResting: the host has failed so often that nobody tries for a while.
var errResting = errors.New("the host rests after failures")

// enter waits for a dial's turn. leave takes how it went.
func (h *hosts) enter(ctx context.Context, key string) (leave func(outcome), err error) {
	h.mu.Lock()
	one := h.known[key]
	if one == nil {
		one = &host{slots: make(chan struct{}, h.dials)}
		h.known[key] = one
	}
	probe := false
	if one.failures >= failuresMost {
		if one.trying || time.Now().Before(one.until) {
			h.mu.Unlock()
			return nil, errResting
		}
		one.trying, probe = true, true
	}
	one.users++
	h.mu.Unlock()
	left := func(how outcome) {
		h.mu.Lock()
		defer h.mu.Unlock()
		one.users--
		if probe {
			one.trying = false
		}
		switch how {
		case untried:
		case unreached:
			one.failures++
			one.until = time.Now().Add(rest(one.failures))
		case reached:
			one.failures = 0
		}
		if one.users == 0 && one.failures == 0 {
			delete(h.known, key)
		}
	}
	select {
	case one.slots <- struct{}{}:
	case <-ctx.Done():
		left(untried)
		return nil, fmt.Errorf("wait for a turn at the host: %w", ctx.Err())
	}
	return func(how outcome) {
		<-one.slots
		left(how)
	}, nil
}

// rest is how long nobody tries, half of it by chance: the nodes must not come
// back together.
func rest(failures int) time.Duration {
	if failures < failuresMost {
		return 0
	}
	d := min(restLongest, restShortest<<min(failures-failuresMost, 10))
	return d/2 + rand.N(d/2+1) // #nosec G404 -- spreads load, hides nothing
}

// resting says how long a host will be left alone, 0 where it isn't.
func (h *hosts) resting(key string) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.known[key]
	if one == nil || one.failures < failuresMost {
		return 0
	}
	return max(0, time.Until(one.until))
}

// hostKey names the machine's host. A machine whose host isn't known has its
// own key: such machines have nothing in common.
func hostKey(m *models.Machine) string {
	if m.Host == "" {
		return string(m.CloudID) + "/machine/" + string(m.ID)
	}
	return string(m.CloudID) + "/" + m.Host
}

// ticketRate refuses tickets that come faster than anybody needs them.
func (s *Service) ticketRate(user models.UserID, m *models.Machine) error {
	l := s.options.Limits.TicketsPerMinute
	asks := []ask{
		{"user " + string(user), l.User}, {"machine " + string(m.ID), l.Machine}, {"org " + string(m.OrgID), l.Org},
	}
	if m.Host != "" {
		asks = append(asks, ask{"host " + hostKey(m), l.Host})
	}
	if wait, ok := s.rates.allow(time.Now(), asks...); !ok {
		return models.TooMany("Consoles are being opened faster than anybody can look at them. Wait a moment, then try again.", seconds(wait))
	}
	return nil
}

// connectRate is the same for sockets, which a script may open without ever
// having asked for a ticket: each costs a look into the database.
func (s *Service) connectRate(who models.SignedIn) bool {
	_, ok := s.rates.allow(time.Now(), ask{"connect " + string(who.User.ID), 2 * s.options.Limits.TicketsPerMinute.User})
	return ok
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
