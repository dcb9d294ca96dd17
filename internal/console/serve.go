package console

import (
	"context"
	"crypto/fips140"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// Caller is who asks for a socket.
type Caller struct {
	Who models.SignedIn
	// Bearer says that a token in a header carried the request, not a cookie:
	// no page of somebody else's can have made the browser send it, so there
	// is no Origin to check.
	Bearer bool
}

// Serve opens a console, and returns once it is carried or refused. It answers
// 403 to a foreign or missing Origin; everything else is told by close code.
//
// A console lives for hours, so it gets goroutines of its own: this one's
// stack has grown deep in the database and in TLS, and the request with all
// its headers hangs on it.
func (s *Service) Serve(w http.ResponseWriter, r *http.Request, caller Caller) {
	ctx := context.WithoutCancel(r.Context())
	timely := s.connectRate(caller.Who)
	if !caller.Bearer && !s.fromOwnPage(r) {
		if timely { // a page that tries without end must not fill the history
			s.refused(ctx, caller.Who, nil, "foreign origin")
		}
		http.Error(w, "This page may not open a console here.", http.StatusForbidden)
		return
	}
	var client *websocket.Conn
	var err error
	// The handshake's accept key is a SHA-1 that secures nothing (RFC 6455,
	// 1.3); enforced FIPS 140-3 would refuse it.
	fips140.WithoutEnforcement(func() { client, err = s.upgrader.Upgrade(lined{w}, r, nil) })
	if err != nil {
		s.log.DebugContext(ctx, "console upgrade failed", "error", err) // Upgrade has answered
		return
	}
	client.SetReadLimit(browserMessageMax)
	if !timely {
		dismiss(client, endTooMany, s.timing.linger)
		return
	}
	if !s.enter() {
		dismiss(client, endNodeDown, s.timing.linger)
		return
	}
	carried := false
	defer func() {
		if !carried {
			s.open.Done()
		}
	}()
	deciding, decided := context.WithTimeout(ctx, s.timing.decide)
	defer decided()
	grant, e, ok := s.redeem(deciding, offeredTicket(r), caller.Who)
	if !ok {
		dismiss(client, e, s.timing.linger)
		return
	}
	session, err := s.system.OpenConsole(deciding, grant, s.options.Node, s.options.Limits.Open)
	if err != nil {
		e := openEnding(err)
		s.complain(ctx, e, "open console", err)
		if e != endInternal { // nobody refused it, and the history would not take it either
			s.refused(ctx, caller.Who, &grant, e.text)
		}
		dismiss(client, e, s.timing.linger)
		return
	}
	asking, c := s.newSocket(client, session)
	s.keep(c)
	actor, object := grant.Actor, grant.Machine.Object() // the rest of the grant would stay as long as the console

	end := func() { //nolint:contextcheck // a socket outlives its request on purpose, until Drain has told its page where to go
		s.forget(c)
		s.record(context.Background(), c, actor, object)
	}
	if !s.connect(asking, c, grant.Machine) { //nolint:contextcheck // the socket outlives its request
		end()
		return
	}
	carried = true
	go func() {
		defer s.open.Done()
		c.run()
		end()
	}()
}

// redeem spends the ticket and judges who brought it.
func (s *Service) redeem(ctx context.Context, ticket string, who models.SignedIn) (models.ConsoleGrant, ending, bool) {
	if ticket == "" {
		s.refused(ctx, who, nil, endTicket.text)
		return models.ConsoleGrant{}, endTicket, false
	}
	grant, err := s.system.RedeemConsoleTicket(ctx, hashTicket(ticket), who.Actor.SessionID)
	if err != nil {
		e := openEnding(err)
		s.complain(ctx, e, "redeem console ticket", err)
		if e != endInternal {
			s.refused(ctx, who, nil, e.text)
		}
		return grant, e, false
	}
	// The database knows the account, the request knows where it comes from.
	grant.Actor.Source, grant.Actor.RequestID = who.Actor.Source, who.Actor.RequestID
	if e, over := verdict(grant.Role, grant.Machine.State); over {
		s.refused(ctx, who, &grant, e.text)
		return grant, e, false
	}
	return grant, ending{}, true
}

// connect gives the socket its machine's screen, or ends it.
func (s *Service) connect(ctx context.Context, c *socket, m models.Machine) bool {
	up, e, ok := s.reach(ctx, m)
	if ok && c.attach(up) {
		return true
	}
	if !ok {
		c.end(e)
	}
	discard(c.client) // until the page has read the close frame; end bounds it
	_ = c.client.Close()
	return false
}

// reach asks vCenter for the screen and opens the hypervisor's socket, in
// turn with the others of that host. A host that refuses at once, as one does
// whose screen server restarts, gets a second and a third try.
func (s *Service) reach(ctx context.Context, m models.Machine) (*upstream, ending, bool) {
	asking, cancel := context.WithTimeout(ctx, s.timing.acquire)
	defer cancel()
	leave, err := s.hosts.enter(asking, hostKey(&m))
	if err != nil {
		s.complain(ctx, endUnreachable, "wait for the host", err)
		return nil, endUnreachable, false
	}
	for pause := s.timing.again; ; pause *= 2 {
		screen, err := s.screens.AcquireScreen(asking, m.CloudID, m.ID.InstanceUUID())
		if err != nil {
			leave(untried) // vCenter's, not the host's
			e := screenEnding(err)
			s.complain(ctx, e, "acquire screen", err)
			return nil, e, false
		}
		begun := time.Now()
		up, err := s.dial(asking, screen)
		if err == nil {
			leave(reached)
			return up, ending{}, true
		}
		// A wrong certificate or a strange answer is no sign of failing, and
		// none of being well.
		failed := isNetwork(err)
		momentary := failed && time.Since(begun) < time.Second && pause <= 2*s.timing.again
		if momentary && wait(asking, pause/2+rand.N(pause/2+1)) { // #nosec G404 -- spreads load, hides nothing
			continue
		}
		outcome := untried
		if failed && ctx.Err() == nil { // a browser that left says nothing of the host
			outcome = unreached
		}
		leave(outcome)
		s.complain(ctx, endUnreachable, "dial screen", err)
		return nil, endUnreachable, false
	}
}

// record ends the console in the database. It tries for a while: a console
// that stays open there takes from the org's quota until it counts as lost.
func (s *Service) record(ctx context.Context, c *socket, actor models.Actor, machine models.Object) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	e := c.reason()
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		err := s.system.CloseConsole(ctx, c.record, actor, machine, e.text, c.in.Load(), c.out.Load())
		if err == nil {
			break
		}
		s.log.WarnContext(ctx, "can't record the end of a console", "console", c.record.ID, "error", err)
		if !wait(ctx, pause) {
			return
		}
	}
	s.log.InfoContext(ctx, "console closed", "console", c.record.ID, "machine", c.record.MachineID,
		"reason", e.text, "bytes_in", c.in.Load(), "bytes_out", c.out.Load())
}

// refused tells the history of a try that came to nothing: the org's, where
// the ticket has told which, else the provider's.
func (s *Service) refused(ctx context.Context, who models.SignedIn, grant *models.ConsoleGrant, why string) {
	event := models.Event{
		Action: models.ActionConsoleRefuse, Outcome: models.OutcomeRefused,
		Object: models.Object{Kind: "session", ID: string(who.Actor.SessionID), Name: who.User.Name},
		After:  map[string]any{"reason": why},
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var err error
	if grant == nil {
		err = s.system.RecordProvider(ctx, who.Actor, event)
	} else {
		event.Object = grant.Machine.Object()
		err = s.system.RecordIn(ctx, grant.Ticket.OrgID, who.Actor, event)
	}
	if err != nil {
		s.log.WarnContext(ctx, "can't record a refused console", "reason", why, "error", err)
	}
}

// complain logs what kept a console from opening: what was being done and what
// kind of failure it was. The errors themselves hold addresses and tickets,
// which no log may have, at whatever level.
func (s *Service) complain(ctx context.Context, e ending, doing string, err error) {
	level := slog.LevelDebug
	if e == endUnreachable || e == endInternal {
		level = slog.LevelWarn
	}
	if errors.Is(err, context.Canceled) {
		level = slog.LevelDebug // the socket ended first
	}
	s.log.Log(ctx, level, "console did not open", "doing", doing, "kind", kindOf(err))
}

// kindOf names a failure in our own words.
func kindOf(err error) string {
	var of *vsphere.Error
	var odd *strangeError
	var name *net.DNSError
	switch {
	case errors.As(err, &of):
		return "vSphere: " + string(of.Code)
	case errors.As(err, &odd):
		return odd.Error()
	case errors.Is(err, errPin):
		return "certificate"
	case errors.Is(err, vsphere.ErrAddress):
		return "address not allowed"
	case errors.Is(err, errResting):
		return "host rests"
	case errors.Is(err, context.Canceled):
		return "socket ended"
	case isTimeout(err) || errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "hung up"
	case errors.As(err, &name):
		return "name not found"
	case errors.Is(err, websocket.ErrBadHandshake):
		return "bad handshake"
	}
	if code := models.CodeOf(err); code != "" {
		return string(code)
	}
	return "error"
}
