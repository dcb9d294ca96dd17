package vsphere

import (
	"sync"
	"time"
)

const (
	// circuitSlowLimit is how many calls in a row may go unanswered before the
	// others stop waiting their whole deadline too.
	circuitSlowLimit    = 3
	circuitFirstPause   = 250 * time.Millisecond
	circuitLongestPause = 10 * time.Second
)

// outcome is what a call learned about whether vCenter is there.
type outcome int

const (
	answered    outcome = iota // any answer, a fault included
	unanswered                 // our own deadline passed, or the connection broke
	unreachable                // no connection
	unknown                    // the caller gave up first
)

// circuit keeps callers from queueing up behind a vCenter that is away.
//
//	closed ──unreachable, or 3 × unanswered──▶ open ──pause over──▶ one probe
//	   ▲                                        ▲                      │
//	   └───────────────answered─────────────────┼──────────────────────┤
//	                                            └──── pause doubled ◀──┘
//
// While it is open every call but the probe fails at once.
type circuit struct {
	now func() time.Time

	mu       sync.Mutex
	slow     int
	isOpen   bool
	pause    time.Duration
	retryAt  time.Time
	probing  bool
	lastText string
}

// circuitOpenError stands in for the connection error seen by an earlier caller.
type circuitOpenError struct{ lastText string }

func (e *circuitOpenError) Error() string {
	return "not tried again yet, last try: " + e.lastText
}

// enter asks to make a call. leave must be called with what came of it.
func (c *circuit) enter() (leave func(outcome, error), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	probe := false
	if c.isOpen {
		if c.probing || c.now().Before(c.retryAt) {
			return nil, &circuitOpenError{lastText: c.lastText}
		}
		c.probing, probe = true, true
	}
	return func(o outcome, cause error) { c.leave(o, cause, probe) }, nil
}

func (c *circuit) leave(o outcome, cause error, probe bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if probe {
		c.probing = false
	}
	switch o {
	case answered:
		c.isOpen, c.slow, c.pause = false, 0, 0
	case unknown:
	case unreachable:
		c.openAgain(cause, probe)
	case unanswered:
		c.slow++
		if probe || c.slow >= circuitSlowLimit {
			c.openAgain(cause, probe)
		}
	}
}

// openAgain opens the circuit. Only a failed probe makes the pause longer:
// the stragglers of a burst all report the same outage.
func (c *circuit) openAgain(cause error, probe bool) {
	if c.isOpen && !probe {
		return
	}
	c.isOpen = true
	c.pause = min(max(2*c.pause, circuitFirstPause), circuitLongestPause)
	c.retryAt = c.now().Add(c.pause)
	c.lastText = "unknown"
	if cause != nil {
		c.lastText = cause.Error()
	}
}
