package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

func TestTicketsBeyondTheRateAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.options.Limits.TicketsPerMinute.User = 6 })
	u := b.user()
	for n := range 4 {
		_, err := b.issue(u, operate)
		if n < 3 && err != nil {
			t.Fatalf("ticket %d: %v", n, err)
		}
		var refused *models.Error
		if n == 3 && (!errors.As(err, &refused) || refused.Code != models.CodeTooMany || refused.RetryAfterSeconds < 1 || refused.RetryAfterSeconds > 10) {
			t.Errorf("beyond the rate: %v", err)
		}
	}
	if _, err := b.issue(b.admin(), models.ConsoleAsk{Mode: models.ConsoleView}); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	// The history has it, and no more of it however often a page tries.
	for range 20 {
		_, _ = b.issue(u, operate)
	}
	b.wantEvent(models.ActionConsoleRefuse, "too often")
	if n := len(b.history(models.ActionConsoleRefuse)); n > 2 { // a minute may have ended between
		t.Errorf("%d events of 21 refusals", n)
	}
}

func TestRatesComeBackWithTime(t *testing.T) {
	t.Parallel()
	r := rates{buckets: map[string]*bucket{}}
	now := time.Now()
	one := []ask{{"user a", 60}, {"org o", 1000}}
	for range 30 {
		if _, ok := r.allow(now, one...); !ok {
			t.Fatal("refused within the burst")
		}
	}
	wait, ok := r.allow(now, one...)
	if ok || wait <= 0 || wait > time.Second {
		t.Fatalf("beyond the burst: %v, wait %s", ok, wait)
	}
	if left := r.buckets["org o"].left; left != 500-30 {
		t.Errorf("a refusal took from the org: %v left", left)
	}
	if _, ok := r.allow(now.Add(wait), one...); !ok {
		t.Error("refused after the wait that it named")
	}
}

func TestCapsOfUserMachineAndHostHold(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]models.ConsoleLimits{"user": {User: 3}, "machine": {Machine: 3}} {
		b := newBench(t, func(s *Service) { s.options.Limits.Open = limits })
		u := b.user()
		var tickets []string
		for range 12 {
			tickets = append(tickets, b.mustIssue(u, models.ConsoleAsk{Mode: models.ConsoleView}))
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		opened := 0
		for _, ticket := range tickets {
			conn := b.connect(u, ticket)
			all.Go(func() {
				if _, _, err := conn.ReadMessage(); err == nil {
					mu.Lock()
					opened++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if opened != 3 || b.consolesUsed() != 3 {
			t.Errorf("%s: %d consoles opened, %d count", name, opened, b.consolesUsed())
		}
		if _, err := b.issue(u, operate); models.CodeOf(err) != models.CodeTooMany {
			t.Errorf("%s: a ticket beyond the cap: %v", name, err)
		}
	}
}

// A host that fails is left alone for a while, and tried by one alone then.
func TestFailingHostIsSparedAndTriedAgain(t *testing.T) {
	t.Parallel()
	h := hosts{dials: 2, known: map[string]*host{}}
	ctx := context.Background()
	for range failuresMost {
		leave, err := h.enter(ctx, "esx")
		if err != nil {
			t.Fatal(err)
		}
		leave(unreached)
	}
	if _, err := h.enter(ctx, "esx"); !errors.Is(err, errResting) {
		t.Fatalf("after %d failures: %v", failuresMost, err)
	}
	if rest := h.resting("esx"); rest <= 0 || rest > restShortest {
		t.Errorf("it rests for %s", rest)
	}
	if leave, err := h.enter(ctx, "another"); err != nil {
		t.Errorf("another host: %v", err)
	} else {
		leave(reached)
	}
	h.known["esx"].until = time.Now() // the rest is over
	leave, err := h.enter(ctx, "esx")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.enter(ctx, "esx"); !errors.Is(err, errResting) {
		t.Errorf("beside the one that tries: %v", err)
	}
	leave(unreached)
	if rest := h.resting("esx"); rest <= restShortest/2 {
		t.Errorf("after another failure it rests for %s", rest)
	}
	h.known["esx"].until = time.Now()
	if leave, err = h.enter(ctx, "esx"); err != nil {
		t.Fatal(err)
	}
	leave(reached)
	if len(h.known) != 0 {
		t.Errorf("a well host is remembered: %v", h.known)
	}
}

func TestDialsOfOneHostTakeTurns(t *testing.T) {
	t.Parallel()
	h := hosts{dials: 1, known: map[string]*host{}}
	leave, err := h.enter(context.Background(), "esx")
	if err != nil {
		t.Fatal(err)
	}
	impatient, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := h.enter(impatient, "esx"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beside the first: %v", err)
	}
	leave(reached)
	if leave, err = h.enter(context.Background(), "esx"); err != nil {
		t.Errorf("after it: %v", err)
	}
	leave(reached)
}

// A dial that told nothing of the host neither spares it nor clears it.
func TestDialThatToldNothingChangesNothing(t *testing.T) {
	t.Parallel()
	h := hosts{dials: 2, known: map[string]*host{}}
	try := func(how outcome) {
		t.Helper()
		leave, err := h.enter(context.Background(), "esx")
		if err != nil {
			t.Fatal(err)
		}
		leave(how)
	}
	try(untried)
	if len(h.known) != 0 {
		t.Error("a host is remembered for nothing")
	}
	for range failuresMost {
		try(untried)
		try(unreached)
		if _, ok := h.known["esx"]; !ok {
			t.Fatal("the failure is forgotten")
		}
	}
	if h.resting("esx") == 0 {
		t.Fatal("it does not rest")
	}
	h.known["esx"].until = time.Now()
	try(untried) // the one that tries
	if got := h.known["esx"]; got == nil || got.failures != failuresMost || got.trying {
		t.Errorf("a try that told nothing left %+v", got)
	}
	try(unreached) // the next
	if h.resting("esx") == 0 {
		t.Error("it does not rest after another failure")
	}
}

// What vCenter refuses, and a screen with the wrong certificate, say nothing of
// whether the host can be reached.
func TestRefusalsBetweenFailuresDoNotClearTheHost(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.timing.again = time.Millisecond })
	gone := func() (vsphere.Screen, error) {
		s, err := b.host.screen()
		s.URL = "wss://127.0.0.1:1/ticket/x"
		return s, err
	}
	refused := func() (vsphere.Screen, error) {
		return vsphere.Screen{}, &vsphere.Error{Code: vsphere.CodeUnreachable}
	}
	foreign := func() (vsphere.Screen, error) {
		s, err := b.host.screen()
		s.ThumbprintsSHA256[0] = strings.Repeat("0", 64)
		return s, err
	}
	u := b.user()
	for _, give := range []func() (vsphere.Screen, error){gone, refused, gone, foreign, gone, refused, gone} {
		b.screens.set(give)
		b.wantClose(b.connect(u, b.mustIssue(u, operate)), endUnreachable)
	}
	if b.service.hosts.resting(hostKey(&b.machine)) == 0 {
		t.Error("a host that failed whenever it was tried does not rest")
	}
}

func TestMachinesOfUnknownHostsShareNone(t *testing.T) {
	t.Parallel()
	one, other := models.Machine{ID: "a", CloudID: "c"}, models.Machine{ID: "b", CloudID: "c"}
	if hostKey(&one) == hostKey(&other) {
		t.Errorf("both go by %q", hostKey(&one))
	}
	one.Host, other.Host = "esx-1", "esx-1"
	if hostKey(&one) != hostKey(&other) {
		t.Error("two machines of one host go by two keys")
	}
}

func TestTicketForARestingHostSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.timing.again = time.Millisecond })
	b.screens.set(func() (vsphere.Screen, error) { // nobody listens there
		s, err := b.host.screen()
		s.URL = "wss://127.0.0.1:1/ticket/x"
		return s, err
	})
	u := b.user()
	for range failuresMost {
		b.wantClose(b.connect(u, b.mustIssue(u, operate)), endUnreachable)
	}
	_, err := b.issue(u, operate)
	var away *models.Error
	if !errors.As(err, &away) || away.Code != models.CodeDown || away.RetryAfterSeconds < 1 || strings.Contains(away.Message, "127.0.0.1") {
		t.Errorf("a ticket meanwhile: %v", err)
	}
}

// Sockets without a good ticket cost a look into the database each: a script
// that opens them without end is turned away before.
func TestSocketsBeyondTheRateAreTurnedAway(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.options.Limits.TicketsPerMinute.User = 4 })
	u := b.user()
	for range 4 {
		b.wantClose(b.connect(u, strings.Repeat("x", ticketChars)), endTicket)
	}
	b.wantClose(b.connect(u, strings.Repeat("x", ticketChars)), endTooMany)
	for range 20 {
		if _, answer, err := b.dial(u, "x", http.Header{"Origin": {"https://evil.example"}}); err == nil || answer.StatusCode != http.StatusForbidden {
			t.Fatal("a foreign page's socket was not refused")
		}
	}
	if told := len(b.providerEvents(models.ActionConsoleRefuse)); told > 5 {
		t.Errorf("the history was told %d times", told)
	}
}

// A host's cap counts the consoles of all its machines, and nobody else's.
func TestHostCapCountsAllMachinesOfTheHost(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		b := newBenchOn(t, db, func(s *Service) { s.options.Limits.Open = models.ConsoleLimits{User: 50, Machine: 50, Host: 3} })
		u := b.user()
		first, second, away := b.machine, b.world.Machine(t, "web-2"), b.world.Machine(t, "web-3")
		err := b.world.System.Within(context.Background(), b.world.Acme.ID, models.SystemActor, func(w *models.Writer) error {
			for m, host := range map[models.MachineID]string{first.ID: "esx-1", second.ID: "esx-1", away.ID: "esx-2"} {
				if err := w.SetMachine(m, map[string]any{"host": host}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		view := models.ConsoleAsk{Mode: models.ConsoleView}
		var late []string
		for _, m := range []models.Machine{first, second, first, second} {
			b.machine = m
			late = append(late, b.mustIssue(u, view))
		}
		var conns []*websocket.Conn
		for _, ticket := range late[:3] {
			conn := b.connect(u, ticket)
			b.read(conn, len(greeting))
			conns = append(conns, conn)
		}
		// Given while there was room, and one that is asked for now.
		b.wantClose(b.connect(u, late[3]), endTooMany)
		if _, err := b.issue(u, view); models.CodeOf(err) != models.CodeTooMany || !strings.Contains(err.Error(), "host") {
			t.Errorf("beyond the host's cap: %v", err)
		}
		b.machine = away
		b.read(b.connect(u, b.mustIssue(u, view)), len(greeting))
		// One goes, one comes.
		_ = conns[0].Close()
		b.until("its place is free", func() bool { return b.consolesUsed() == 3 })
		b.machine = first
		b.read(b.connect(u, b.mustIssue(u, view)), len(greeting))
	})
}
