package console

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestSignOutClosesTheSocket(t *testing.T) {
	t.Parallel()
	// No regular round: the announced change alone must do.
	b := newBench(t, func(s *Service) { s.timing.recheck = time.Hour })
	u := b.user()
	conn, screen := b.watch(u, models.ConsoleOperate)
	other, _ := b.watch(b.user(), models.ConsoleView)
	if err := b.world.System.RevokeSession(context.Background(), u.who); err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endForbidden)
	if _, ok := <-screen.got; ok {
		t.Error("input after the end")
	}
	if err := other.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)); err != nil {
		t.Errorf("another session's console was closed as well: %v", err)
	}
	b.wantEvent(models.ActionConsoleClose, endForbidden.text)
}

func TestLostRoleClosesTheSocket(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	conn, _ := b.watch(u, models.ConsoleOperate)
	if err := b.world.System.PutMember(context.Background(), b.world.Acme.ID, u.who.User.ID, models.RoleAuditor); err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endForbidden)
}

// Within the seconds that the operator's page promises: no regular round is
// waited for.
func TestSuspendedOrgsConsolesEnd(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		b := newBenchOn(t, db, func(s *Service) { s.timing.recheck = time.Hour })
		listening, end := context.WithCancel(context.Background())
		listened := make(chan struct{})
		go func() { defer close(listened); db.Listen(listening) }()
		t.Cleanup(func() { end(); <-listened })
		operating, screen := b.watch(b.user(), models.ConsoleOperate)
		viewing, _ := b.watch(b.person("admin@acme.example", "acme"), models.ConsoleView)
		operator, err := b.world.System.Provider(b.world.SignedIn(t, "operator@provider.example"))
		if err == nil {
			err = operator.SuspendOrg(context.Background(), "acme", true)
		}
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		b.wantClose(operating, endForbidden)
		b.wantClose(viewing, endForbidden)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("they ended after %s", took)
		}
		if _, ok := <-screen.got; ok {
			t.Error("input after the end")
		}
		b.until("nothing counts as open", func() bool { return b.consolesUsed() == 0 })
	})
}

func TestMachineGoingOffClosesTheSocket(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.timing.recheck = time.Hour })
	conn, _ := b.watch(b.user(), models.ConsoleOperate)
	b.move(models.MachineSuspended)
	b.wantClose(conn, endNotOn)
}

func TestDeletedMachineClosesTheSocket(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.timing.recheck = time.Hour })
	conn, _ := b.watch(b.user(), models.ConsoleOperate)
	b.move(models.MachineDeleting)
	b.wantClose(conn, endGone)
}

func TestSignOutEndsAConsoleThatIsStillConnecting(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.stall = make(chan struct{})
	t.Cleanup(func() { close(b.host.stall) })
	u := b.user()
	conn := b.connect(u, b.ticket(u, models.ConsoleOperate))
	b.until("the console is known", func() bool { return len(b.service.sockets()) == 1 })
	if err := b.world.System.RevokeSession(context.Background(), u.who); err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endForbidden)
}

func TestQuotaOfConsolesHolds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	limits := maps.Clone(testkit.RoomyLimits)
	limits[models.ResourceConsoles] = 1
	if _, err := b.world.System.PutOrg(context.Background(), "acme", "Acme", limits); err != nil {
		t.Fatal(err)
	}
	u := b.user()
	early := b.ticket(u, models.ConsoleOperate)
	first, _ := b.watch(u, models.ConsoleOperate)
	b.wantClose(b.connect(u, early), endTooMany)
	b.wantEvent(models.ActionConsoleRefuse, endTooMany.text)
	_, err := b.service.Issue(context.Background(), u.scope, b.machine.ID, b.portal.URL, operate)
	var refused *models.Error
	if !errors.As(err, &refused) || refused.Code != models.CodeTooMany || refused.RetryAfterSeconds == 0 || !strings.Contains(refused.Message, "may have 1 console open") {
		t.Errorf("a ticket beyond the quota: %v", err)
	}
	_ = first.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""))
	b.until("the first gives its place back", func() bool { return b.consolesUsed() == 0 })
	b.watch(u, models.ConsoleOperate)
}

func TestDrainSendsPagesToAnotherNode(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	conn, _ := b.watch(u, models.ConsoleOperate)
	later := b.ticket(u, models.ConsoleOperate)
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		drained <- b.service.Drain(ctx)
	}()
	b.wantClose(conn, endNodeDown)
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	if n := len(b.history(models.ActionConsoleClose)); n != 1 {
		t.Errorf("%d ends in the history after Drain, want 1", n)
	}
	// A late comer is told as well, and its ticket is good on another node.
	b.wantClose(b.connect(u, later), endNodeDown)
	other := New(b.world.System, b.screens, Options{Node: "node-2"})
	b.service = other
	b.run()
	b.read(b.connect(u, later), len(greeting))
}

func TestConsolesOfAKilledNodeAreClosedAtStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	open := func(node string) {
		ticket := b.ticket(u, models.ConsoleOperate)
		grant, err := b.world.System.RedeemConsoleTicket(context.Background(), hashTicket(ticket), u.who.Session.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.world.System.OpenConsole(context.Background(), grant, node, models.ConsoleLimits{}); err != nil {
			t.Fatal(err)
		}
	}
	open("node-2")
	open("node-3")
	b.service = New(b.world.System, b.screens, Options{Node: "node-2"})
	b.run()
	b.wantEvent(models.ActionConsoleClose, "restarted")
	if got := b.consolesUsed(); got != 1 {
		t.Errorf("%d consoles count as open, want the other node's one", got)
	}
}

// A node that never comes back must not take from the org's quota for ever,
// and a living one's consoles stay open however long they are.
func TestConsolesOfALostNodeAreClosedByAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) {
		s.timing.report, s.timing.present, s.timing.silent = 30*time.Millisecond, 30*time.Millisecond, 400*time.Millisecond
	})
	u := b.user()
	living := b.connect(u, b.ticket(u, models.ConsoleOperate))
	b.read(living, len(greeting))
	grant, err := b.world.System.RedeemConsoleTicket(context.Background(), hashTicket(b.ticket(u, models.ConsoleOperate)), u.who.Session.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.world.System.OpenConsole(context.Background(), grant, "node-9", models.ConsoleLimits{}); err != nil {
		t.Fatal(err)
	}
	b.wantEvent(models.ActionConsoleClose, "lost")
	b.until("one console is open", func() bool { return b.consolesUsed() == 1 })
	time.Sleep(600 * time.Millisecond) // beyond the silence that ends what nobody speaks for
	if got := b.consolesUsed(); got != 1 {
		t.Errorf("%d consoles count as open, want the living one", got)
	}
}

// A database that hangs must not leave the page connecting for ever.
func TestHangingDatabaseClosesTheSocket(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.timing.decide = 200 * time.Millisecond })
	u := b.user()
	ticket := b.ticket(u, models.ConsoleOperate)
	held, release := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = b.world.System.Within(context.Background(), b.world.Acme.ID, models.SystemActor, func(*models.Writer) error {
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	begun := time.Now()
	b.wantClose(b.connect(u, ticket), endInternal)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	close(release)
	<-ended
}
