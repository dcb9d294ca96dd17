package console

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/models"
)

var operate = models.ConsoleAsk{Mode: models.ConsoleOperate}

func TestTicketIsWhatThePageNeeds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	got, err := b.service.Issue(context.Background(), b.user().scope, b.machine.ID, "https://portal.example", operate)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(got.Ticket)
	if err != nil || len(raw) != 32 {
		t.Errorf("ticket %q is not 256 bits of base64url", got.Ticket)
	}
	if got.URL != "wss://portal.example/console" || got.Mode != models.ConsoleOperate {
		t.Errorf("url %q, mode %q", got.URL, got.Mode)
	}
	if left := time.Until(got.Expires); left <= 25*time.Second || left > 30*time.Second {
		t.Errorf("expires in %s, want 30 s", left)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"ticket":`, `"url":`, `"mode":"operate"`, `"expires":`} {
		if !strings.Contains(string(text), key) {
			t.Errorf("%s lacks %s", text, key)
		}
	}
}

func TestOnlyRunningMachineGivesTicket(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	for _, state := range []models.MachineState{models.MachineStopped, models.MachineSuspended, models.MachineMissing} {
		b.move(state)
		_, err := b.service.Issue(context.Background(), u.scope, b.machine.ID, b.portal.URL, operate)
		var told *models.Error
		if !errors.Is(err, models.ErrConflict) || !errors.As(err, &told) || !strings.Contains(told.Message, "web-1") {
			t.Errorf("%s: %v, want a conflict that names the machine", state, err)
		}
		b.wantEvent(models.ActionConsoleRefuse, string(state))
	}
	b.move(models.MachineDeleting)
	b.move(models.MachineDeleted)
	if _, err := b.service.Issue(context.Background(), u.scope, b.machine.ID, b.portal.URL, operate); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("deleted: %v, want not found", err)
	}
}

func TestStrangerGetsNoTicket(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stranger := b.person("admin@globex.example", "globex")
	_, foreign := b.service.Issue(context.Background(), stranger.scope, b.machine.ID, b.portal.URL, operate)
	_, invented := b.service.Issue(context.Background(), stranger.scope, models.NewID[models.MachineID](), b.portal.URL, operate)
	if !errors.Is(foreign, models.ErrNotFound) || foreign.Error() != invented.Error() {
		t.Errorf("foreign machine: %v; invented one: %v; want the same not found", foreign, invented)
	}
	auditor := b.person("auditor@acme.example", "acme")
	if _, err := b.service.Issue(context.Background(), auditor.scope, b.machine.ID, b.portal.URL, operate); !errors.Is(err, models.ErrForbidden) {
		t.Errorf("auditor: %v, want forbidden", err)
	}
}

func TestTicketOpensOneSocketOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	ticket := b.ticket(u, models.ConsoleOperate)
	first := b.connect(u, ticket)
	b.read(first, len(greeting))
	b.wantClose(b.connect(u, ticket), endTicket)
	if err := first.WriteMessage(2, []byte("still there")); err != nil {
		t.Fatal(err)
	}
	b.host.next(t).receive(t, len("still there"))
}

func TestBadTicketsAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	good := b.ticket(u, models.ConsoleOperate)
	expired := newTicket()
	err := u.scope.Change(context.Background(), func(w *models.Writer) error {
		_, err := w.InsertConsoleTicket(hashTicket(expired), &b.machine, models.ConsoleAsk{Mode: models.ConsoleOperate}, -time.Second)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	flipped := flipFirst(good)
	cases := map[string]struct {
		by     person
		ticket string
	}{
		"expired":                {u, expired},
		"tampered":               {u, flipped},
		"same bytes, other text": {u, sameBytes(good)},
		"cut":                    {u, good[:42]},
		"none":                   {u, ""},
		"of another session":     {b.user(), good},
		"of another user":        {b.admin(), good}, // of the same org, who may open the same machine's console
		"of another org":         {b.person("admin@globex.example", "globex"), good},
	}
	for _, c := range cases {
		b.wantClose(b.connect(c.by, c.ticket), endTicket)
	}
	// None of that has spent the ticket of its owner.
	b.read(b.connect(u, good), len(greeting))
	overview := b.providerEvents(models.ActionConsoleRefuse)
	if len(overview) != len(cases) {
		t.Errorf("%d refusals in the provider's history, want %d", len(overview), len(cases))
	}
	for _, e := range overview {
		if strings.Contains(e.Body, good) || strings.Contains(e.Body, expired) {
			t.Error("a ticket is in the history")
		}
	}
}

func TestForeignPageCannotOpenSocket(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	ticket := b.ticket(u, models.ConsoleOperate)
	host := strings.TrimPrefix(b.portal.URL, "http://")
	for _, origin := range [][]string{
		nil, {"null"}, {"https://evil.example"}, {"https://" + host}, {b.portal.URL + ".evil.example"},
		{b.portal.URL + "/"}, {strings.ToUpper(b.portal.URL)}, {b.portal.URL, "https://evil.example"},
	} {
		_, res, err := b.dial(u, ticket, http.Header{"Origin": origin})
		if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("origin %q: %v, want 403", origin, err)
		}
	}
	b.read(b.connect(u, ticket), len(greeting))
	if n := len(b.providerEvents(models.ActionConsoleRefuse)); n != 8 {
		t.Errorf("%d refusals in the history, want 8", n)
	}
}

func TestBearerNeedsNoOrigin(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	b.mu.Lock()
	b.people[string(u.who.Session.ID)] = Caller{Who: u.who, Bearer: true}
	b.mu.Unlock()
	conn, _, err := b.dial(u, b.ticket(u, models.ConsoleOperate), http.Header{"Origin": nil})
	if err != nil {
		t.Fatal(err)
	}
	b.read(conn, len(greeting))
}

func TestOriginIsTheOneThatTheBrowserKnows(t *testing.T) {
	t.Parallel()
	s := New(nil, nil, Options{Origins: func(*http.Request) []string {
		return []string{"https://portal.example", "https://alias.example"}
	}})
	for sent, want := range map[string]string{
		"":                      "https://portal.example",
		"https://alias.example": "https://alias.example",
		"https://evil.example":  "https://portal.example",
	} {
		r := &http.Request{Header: http.Header{}, Host: "evil.example"}
		if sent != "" {
			r.Header.Set("Origin", sent)
		}
		if got := s.Origin(r); got != want {
			t.Errorf("Origin %q: %q, want %q", sent, got, want)
		}
		if own := s.fromOwnPage(r); own != (sent == "https://alias.example") {
			t.Errorf("Origin %q is taken for our own: %v", sent, own)
		}
	}
}

func flipFirst(ticket string) string {
	c := byte('A')
	if ticket[0] == c {
		c = 'B'
	}
	return string(c) + ticket[1:]
}

// sameBytes changes the two bits of the last character that carry nothing.
func sameBytes(ticket string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, ticket[len(ticket)-1])
	return ticket[:len(ticket)-1] + string(alphabet[last^1])
}
