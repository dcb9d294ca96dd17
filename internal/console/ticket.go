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

// Issue makes a ticket for a running machine of the scope's org. origin is
// the portal's scheme and host as the browser knows it (Service.Origin).
func (s *Service) Issue(ctx context.Context, scope *models.Scope, id models.MachineID, origin string) (Ticket, error) {
	return s.issue(ctx, scope, id, origin, models.ConsoleOperate)
}

func (s *Service) issue(ctx context.Context, scope *models.Scope, id models.MachineID, origin string, mode models.ConsoleMode) (Ticket, error) {
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
		stored, err = w.InsertConsoleTicket(hashTicket(text), &m.Machine, mode, s.options.ttl())
		return err
	})
	if errors.Is(err, models.ErrConflict) {
		err = s.refusedTicket(ctx, scope, id, err)
	}
	if err != nil {
		return Ticket{}, fmt.Errorf("console ticket: %w", err)
	}
	return Ticket{Ticket: text, URL: address, Mode: mode, Expires: stored.ExpiresAt}, nil
}

// refusedTicket tells the history of a ticket that was not given, and returns
// why.
func (s *Service) refusedTicket(ctx context.Context, scope *models.Scope, id models.MachineID, why error) error {
	err := scope.Change(ctx, func(w *models.Writer) error {
		m, err := w.Machine(id)
		if err != nil {
			return err
		}
		return w.Record(models.Event{Action: models.ActionConsoleRefuse, Object: m.Object(), Outcome: models.OutcomeRefused,
			After: map[string]any{"reason": "machine " + string(m.State)}})
	})
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
