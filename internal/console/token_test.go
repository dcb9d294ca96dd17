package console

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/millwright/millwright/models"
)

// program is a client that acts by an API token of acme's user.
func (b *bench) program(name string) person {
	b.t.Helper()
	ctx := context.Background()
	maker := b.user()
	token := models.APIToken{Name: name, Role: models.RoleUser, TokenHash: "hash of " + name, ExpiresAt: models.Now().Add(time.Hour)}
	if err := maker.scope.Change(ctx, func(w *models.Writer) error { return w.InsertAPIToken(&token) }); err != nil {
		b.t.Fatal(err)
	}
	who, err := b.world.System.SignedInByToken(ctx, token.TokenHash)
	if err != nil {
		b.t.Fatal(err)
	}
	scope, err := b.world.System.Scope(ctx, who, "acme")
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	b.people[string(token.ID)] = Caller{Who: who, Bearer: true}
	b.mu.Unlock()
	return person{who: who, scope: scope}
}

// byToken is what the program sends: no Origin.
func byToken(p person) http.Header {
	return http.Header{"Test-Session": {string(p.who.Token.ID)}, "Origin": nil}
}

func TestTicketOfATokenIsThatTokensAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mine, other, maker := b.program("one"), b.program("two"), b.user()
	ticket := b.ticket(mine, models.ConsoleOperate)
	conn, _, err := b.dial(maker, ticket, nil) // its maker's session
	if err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endTicket)
	if conn, _, err = b.dial(other, ticket, byToken(other)); err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endTicket)
	if conn, _, err = b.dial(mine, b.ticket(maker, models.ConsoleOperate), byToken(mine)); err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endTicket)
	if conn, _, err = b.dial(mine, ticket, byToken(mine)); err != nil {
		t.Fatal(err)
	}
	if got := b.read(conn, len(greeting)); got != greeting {
		t.Errorf("greeting %q", got)
	}
}

func TestRevokedTokenClosesTheSocket(t *testing.T) {
	t.Parallel()
	// No regular round: the announced change alone must do.
	b := newBench(t, func(s *Service) { s.timing.recheck = time.Hour })
	p := b.program("one")
	conn, _, err := b.dial(p, b.ticket(p, models.ConsoleOperate), byToken(p))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.read(conn, len(greeting)); got != greeting {
		t.Fatalf("greeting %q", got)
	}
	if err := b.world.System.RevokeAPIToken(context.Background(), b.user().who, p.who.Token.ID); err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endForbidden)
	b.wantEvent(models.ActionConsoleClose, endForbidden.text)
}

func TestDemotedMakerClosesTheTokensSocket(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.program("one")
	conn, _, err := b.dial(p, b.ticket(p, models.ConsoleOperate), byToken(p))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.world.System.PutMember(context.Background(), b.world.Acme.ID, p.who.User.ID, models.RoleAuditor); err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endForbidden)
}
