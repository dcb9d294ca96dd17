package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/models"
)

const (
	// Path is where the socket is served, beside the portal's origin.
	Path = "/console"
	// protocolBinary is the one subprotocol that is spoken; the ticket travels
	// beside it as a second, never chosen one, because a URL ends up in logs.
	protocolBinary = "binary"
	protocolTicket = "ticket."
	ticketBytes    = 32
)

// ticketChars is the length of a ticket's text.
var ticketChars = base64.RawURLEncoding.EncodedLen(ticketBytes)

// Ticket is what a page gets to open one socket with, once.
type Ticket struct {
	Ticket  string             `json:"ticket"`
	URL     string             `json:"url"` // ws(s)://host/console
	Mode    models.ConsoleMode `json:"mode"`
	Expires time.Time          `json:"expires"`
}

// OccupiedError says who operates a machine that somebody else wants to operate.
type OccupiedError struct{ Operators []models.ConsoleRow }

func (o *OccupiedError) Error() string {
	names := make([]string, 0, len(o.Operators))
	for _, v := range o.Operators {
		if !slices.Contains(names, v.UserName) {
			names = append(names, v.UserName)
		}
	}
	if len(names) == 1 {
		return names[0] + " operates this machine's console. Watch, or take over."
	}
	return strings.Join(names, ", ") + " operate this machine's console. Watch, or take over."
}

// Issue makes a ticket for a running machine of the scope's org, or says
// *OccupiedError. origin is the portal's scheme and host as the browser knows it
// (Service.Origin).
func (s *Service) Issue(ctx context.Context, scope *models.Scope, id models.MachineID, origin string, ask models.ConsoleAsk) (Ticket, error) {
	if !scope.Can(models.ConsoleOpen) {
		return Ticket{}, models.Forbidden("Your role in this org does not open consoles.")
	}
	address, err := socketURL(origin)
	if err != nil {
		return Ticket{}, fmt.Errorf("console ticket: %w", err)
	}
	text := newTicket()
	var stored models.ConsoleTicket
	err = scope.Change(ctx, func(w *models.Writer) error {
		m, err := w.Machine(id)
		if err != nil {
			return err
		}
		if sentence := whyNoScreen(m.Name, m.State); sentence != "" {
			return models.Conflict(sentence)
		}
		if err := s.free(w, &m.Machine, ask); err != nil {
			return err
		}
		stored, err = w.InsertConsoleTicket(hashTicket(text), &m.Machine, ask, s.options.ttl())
		return err
	})
	switch {
	case errors.As(err, new(*OccupiedError)):
		err = s.refusedTicket(ctx, scope, id, endOccupied.text, true, err)
	case errors.Is(err, models.ErrConflict):
		err = s.refusedTicket(ctx, scope, id, "", false, err)
	case errors.Is(err, errFull):
		err = s.refusedTicket(ctx, scope, id, endTooMany.text, false, err)
	case models.CodeOf(err) == models.CodeTooMany:
		err = s.refusedTicket(ctx, scope, id, "too often", true, err)
	case models.CodeOf(err) == models.CodeDown:
		err = s.refusedTicket(ctx, scope, id, endUnreachable.text, true, err)
	}
	if err != nil {
		return Ticket{}, fmt.Errorf("console ticket: %w", err)
	}
	return Ticket{Ticket: text, URL: address, Mode: ask.Mode, Expires: stored.ExpiresAt}, nil
}

// errFull: as many consoles are open as may be.
var errFull = errors.New("no room for another console")

// free says whether the way to the screen is: not asked for too often, not
// full, its host not failing, and nobody else at the keyboard.
func (s *Service) free(w *models.Writer, m *models.Machine, ask models.ConsoleAsk) error {
	if err := s.ticketRate(models.UserID(w.Actor().ID), m); err != nil {
		return err
	}
	if pause := s.hosts.resting(hostKey(m)); pause > 0 {
		return &models.Error{Code: models.CodeDown, RetryAfterSeconds: seconds(pause),
			Message: "The host of " + m.Name + " does not answer just now. The machine itself may be well."}
	}
	if ask.Resumes == "" { // what is resumed gives its own place back
		if err := w.ConsoleRoom(m, s.options.Limits.Open); err != nil {
			return fmt.Errorf("%w: %w", errFull, err)
		}
	}
	if ask.Mode != models.ConsoleOperate || ask.Takeover {
		return nil
	}
	operators, err := w.ConsoleOperators(m.ID, w.Actor().SessionID)
	if err == nil && len(operators) > 0 {
		return &OccupiedError{Operators: operators}
	}
	return err
}

// refusedTicket tells the history of a ticket that was not given, and returns
// why. "" is for the machine's state; often, that a page asks for it again and
// again by itself.
func (s *Service) refusedTicket(ctx context.Context, scope *models.Scope, id models.MachineID, reason string, often bool, why error) error {
	e := models.Event{Action: models.ActionConsoleRefuse, Outcome: models.OutcomeRefused}
	name := func(r *models.Reader) error {
		m, err := r.Machine(id)
		if reason == "" {
			reason = "machine " + string(m.State)
		}
		e.Object, e.After = m.Object(), map[string]any{"reason": reason}
		return err
	}
	var err error
	if often {
		if err = scope.Read(ctx, name); err == nil {
			err = s.system.RefuseMember(ctx, scope, e)
		}
	} else {
		err = scope.Change(ctx, func(w *models.Writer) error {
			if err := name(&w.Reader); err != nil {
				return err
			}
			return w.Record(e)
		})
	}
	if err != nil {
		return err
	}
	return why
}

// whyNoScreen says why a machine has no screen now, or "" when it has one.
func whyNoScreen(name string, state models.MachineState) string {
	switch state {
	case models.MachineRunning:
		return ""
	case models.MachineBuilding:
		return name + " is still being made. Its screen is there as soon as it runs."
	case models.MachineStopped:
		return name + " is stopped. Start it to see its screen."
	case models.MachineSuspended:
		return name + " is suspended. Resume it to see its screen."
	case models.MachineMissing:
		return name + " is not in its cloud any more. Ask your provider about it."
	case models.MachineDeleting:
		return name + " is being deleted."
	default:
		return name + " does not run, so it has no screen."
	}
}

func newTicket() string {
	var b [ticketBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// hashTicket is how a ticket is stored. It takes the text, not the bytes: two
// texts that decode to the same bytes are two tickets.
func hashTicket(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// offeredTicket returns the ticket among the subprotocols that r offers, and
// "" where it doesn't offer exactly one, of the right length, beside binary.
func offeredTicket(r *http.Request) string {
	var ticket string
	var tickets int
	var binary bool
	for _, p := range websocket.Subprotocols(r) {
		if text, ok := strings.CutPrefix(p, protocolTicket); ok {
			ticket, tickets = text, tickets+1
		}
		binary = binary || p == protocolBinary
	}
	if !binary || tickets != 1 || len(ticket) != ticketChars {
		return ""
	}
	return ticket
}

func socketURL(origin string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%q is not the origin of a portal", origin)
	}
	scheme := "wss"
	if u.Scheme == "http" {
		scheme = "ws"
	}
	return (&url.URL{Scheme: scheme, Host: u.Host, Path: Path}).String(), nil
}
