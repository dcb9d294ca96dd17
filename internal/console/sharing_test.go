package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func (b *bench) admin() person { b.t.Helper(); return b.person("admin@acme.example", "acme") }

// issue asks for a ticket as a page does.
func (b *bench) issue(p person, ask models.ConsoleAsk) (Ticket, error) {
	return b.service.Issue(context.Background(), p.scope, b.machine.ID, b.portal.URL, ask)
}

func (b *bench) mustIssue(p person, ask models.ConsoleAsk) string {
	b.t.Helper()
	t, err := b.issue(p, ask)
	if err != nil {
		b.t.Fatal(err)
	}
	return t.Ticket
}

// textFrame is a text frame of the portal's.
type textFrame struct {
	Pong    *json.Number `json:"pong"`
	Viewers []viewer     `json:"viewers"`
	Notice  *notice      `json:"notice"`
}

// hear reads text frames until one is as wanted, whatever comes between.
func (b *bench) hear(conn *websocket.Conn, what string, wanted func(textFrame) bool) textFrame {
	b.t.Helper()
	for {
		kind, p, err := conn.ReadMessage()
		if err != nil {
			b.t.Fatalf("%s: %v", what, err)
		}
		if kind != websocket.TextMessage {
			continue
		}
		var s textFrame
		if err := json.Unmarshal(p, &s); err != nil {
			b.t.Fatalf("%q: %v", p, err)
		}
		if wanted(s) {
			return s
		}
	}
}

func ping(conn *websocket.Conn, n int) error {
	return conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"ping":%d}`, n))
}

func TestSecondViewerIsToldWhoOperates(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u, admin := b.user(), b.admin()
	b.watch(u, models.ConsoleOperate)
	_, err := b.issue(admin, operate)
	var occupied *OccupiedError
	if !errors.As(err, &occupied) || len(occupied.Operators) != 1 || occupied.Operators[0].UserName != u.who.User.Name ||
		!strings.Contains(occupied.Error(), u.who.User.Name) {
		t.Fatalf("a second operator is told %v", err)
	}
	b.wantEvent(models.ActionConsoleRefuse, endOccupied.text)
	if _, err := b.issue(admin, models.ConsoleAsk{Mode: models.ConsoleView}); err != nil {
		t.Errorf("to watch: %v", err)
	}
	if _, err := b.issue(u, operate); err != nil {
		t.Errorf("the operator's own page, coming back: %v", err)
	}
	// Whoever only watches is in nobody's way.
	b2 := newBench(t)
	b2.watch(b2.user(), models.ConsoleView)
	if _, err := b2.issue(b2.admin(), operate); err != nil {
		t.Errorf("beside one who watches: %v", err)
	}
}

func TestTakeOverTellsTheFirstByWhom(t *testing.T) {
	t.Parallel()
	// No regular round: the announced change alone must do.
	b := newBench(t, func(s *Service) { s.timing.recheck = time.Hour })
	u, admin := b.user(), b.admin()
	first, _ := b.watch(u, models.ConsoleOperate)
	onlooker, _ := b.watch(b.user(), models.ConsoleView)
	ticket := b.mustIssue(admin, models.ConsoleAsk{Mode: models.ConsoleOperate, Takeover: true})
	// Asking alone ends nobody.
	if err := ping(first, 1); err != nil {
		t.Fatal(err)
	}
	b.hear(first, "an answer", func(s textFrame) bool { return s.Pong != nil })
	second := b.connect(admin, ticket)
	got := b.hear(first, "the notice", func(s textFrame) bool { return s.Notice != nil }).Notice
	if got.Kind != models.ConsoleTakenOver || got.By != admin.who.User.Name || !strings.Contains(got.Text, admin.who.User.Name) {
		t.Errorf("the first is told %+v", got)
	}
	b.wantClose(first, endTakenOver)
	b.read(second, len(greeting))
	if err := ping(onlooker, 2); err != nil {
		t.Fatal(err)
	}
	b.hear(onlooker, "the onlooker stays", func(s textFrame) bool { return s.Pong != nil })
	b.wantEvent(models.ActionConsoleOpen, u.who.User.Name)
	b.wantEvent(models.ActionConsoleClose, endTakenOver.text)
}

// Two tickets that were given while nobody operated: one operates.
func TestLateTicketFindsTheConsoleOccupied(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u, admin := b.user(), b.admin()
	early, late := b.mustIssue(u, operate), b.mustIssue(admin, operate)
	b.read(b.connect(u, early), len(greeting))
	b.wantClose(b.connect(admin, late), endOccupied)
	if used := b.consolesUsed(); used != 1 {
		t.Errorf("%d consoles count as open, want 1", used)
	}
}

func TestTakeOverReachesTheOtherNode(t *testing.T) {
	t.Parallel()
	address := testkit.PostgresURL(t)
	open := func() *models.DB {
		db, err := models.Open(context.Background(), models.Options{URL: address, Key: testkit.Key, Logger: testkit.Quiet()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); db.Listen(ctx) }()
		t.Cleanup(func() { cancel(); <-done; _ = db.Close() })
		return db
	}
	b := newBenchOn(t, open(), func(s *Service) { s.timing.recheck = time.Second })
	other := New(open().System(), b.screens, Options{Node: "node-2"})
	first := b.service
	b.service = other
	b.run()
	b.service = first
	second := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		caller := b.people[r.Header.Get("Test-Session")]
		b.mu.Unlock()
		other.Serve(w, r, caller)
	}))
	t.Cleanup(second.Close)

	u, admin := b.user(), b.admin()
	conn, _ := b.watch(u, models.ConsoleOperate)
	if err := ping(conn, 1); err != nil {
		t.Fatal(err)
	}
	b.hear(conn, "the list with oneself", func(s textFrame) bool { return len(s.Viewers) == 1 })
	if _, err := other.Issue(context.Background(), admin.scope, b.machine.ID, second.URL, operate); !errors.As(err, new(*OccupiedError)) {
		t.Fatalf("on the other node it is %v", err)
	}
	ticket := b.mustIssue(admin, models.ConsoleAsk{Mode: models.ConsoleOperate, Takeover: true})
	was := b.portal.URL
	b.portal.URL = second.URL
	taker := b.connect(admin, ticket)
	b.portal.URL = was
	b.read(taker, len(greeting))
	b.hear(conn, "the notice from the other node", func(s textFrame) bool { return s.Notice != nil && s.Notice.By == admin.who.User.Name })
	b.wantClose(conn, endTakenOver)
}

func TestResumedConsoleStandsInForTheLostOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	old, _ := b.watch(u, models.ConsoleOperate)
	if err := ping(old, 1); err != nil {
		t.Fatal(err)
	}
	list := b.hear(old, "the list", func(s textFrame) bool { return len(s.Viewers) > 0 }).Viewers
	if len(list) != 1 || !list[0].You || list[0].Name != u.who.User.Name || list[0].Mode != models.ConsoleOperate {
		t.Fatalf("the page is told %+v", list)
	}
	// Somebody else can't end it by its id.
	stranger := b.admin()
	b.read(b.connect(stranger, b.mustIssue(stranger, models.ConsoleAsk{Mode: models.ConsoleView, Resumes: list[0].ID})), len(greeting))
	if used := b.consolesUsed(); used != 2 {
		t.Fatalf("%d consoles count as open, want 2", used)
	}
	fresh := b.connect(u, b.mustIssue(u, models.ConsoleAsk{Mode: models.ConsoleOperate, Resumes: list[0].ID}))
	b.read(fresh, len(greeting))
	b.wantClose(old, endResumed)
	if used := b.consolesUsed(); used != 2 {
		t.Errorf("%d consoles count as open, want 2", used)
	}
}

func TestPageIsToldWhoElseLooks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u, admin := b.user(), b.admin()
	conn, _ := b.watch(u, models.ConsoleOperate)
	if err := ping(conn, 7); err != nil {
		t.Fatal(err)
	}
	b.hear(conn, "the pong", func(s textFrame) bool { return s.Pong != nil && s.Pong.String() == "7" })
	b.hear(conn, "the list", func(s textFrame) bool { return len(s.Viewers) == 1 })
	other, _ := b.watch(admin, models.ConsoleView)
	got := b.hear(conn, "the second viewer", func(s textFrame) bool { return len(s.Viewers) == 2 }).Viewers
	if got[1].Name != admin.who.User.Name || got[1].Mode != models.ConsoleView || got[1].You || !got[0].You {
		t.Errorf("the list is %+v", got)
	}
	_ = other.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""))
	b.hear(conn, "the second viewer's leaving", func(s textFrame) bool { return len(s.Viewers) == 1 })
}

// A plain VNC client takes every frame for picture.
func TestClientThatSendsNoTextGetsNone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn, screen := b.watch(b.user(), models.ConsoleOperate)
	b.watch(b.admin(), models.ConsoleView)
	screen.draw(t, "picture")
	kind, p, err := conn.ReadMessage()
	if err != nil || kind != websocket.BinaryMessage || string(p) != "picture" {
		t.Errorf("it reads %d %q: %v", kind, p, err)
	}
}

func TestTextFramesAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn, screen := b.watch(b.user(), models.ConsoleOperate)
	for n := range 20 * textsPerSecond {
		if err := ping(conn, n); err != nil {
			t.Fatal(err)
		}
	}
	for _, nonsense := range []string{"", "{", `{"ping":"x"}`, `{"ping":1e999999}`, `[1]`, "\xff\xfe", `{"notice":{"text":"x"}}`} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(nonsense)); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.WriteMessage(websocket.BinaryMessage, []byte("key")); err != nil {
		t.Fatal(err)
	}
	if got := string(<-screen.got); got != "key" {
		t.Errorf("the hypervisor reads %q", got)
	}
	screen.draw(t, "end")
	answers := 0
	for {
		kind, p, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if kind == websocket.BinaryMessage {
			break
		}
		if strings.Contains(string(p), "pong") {
			answers++
		}
	}
	if answers == 0 || answers > 3*textsPerSecond {
		t.Errorf("%d of %d pings were answered", answers, 20*textsPerSecond)
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"ping":`+strings.Repeat("1", textMax)+`}`)); err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endGibberish)
}

func TestConsoleClosedByAnAdminSaysByWhom(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.timing.recheck = time.Hour })
	u, admin := b.user(), b.admin()
	conn, _ := b.watch(u, models.ConsoleOperate)
	var rows []models.ConsoleRow
	err := admin.scope.Change(context.Background(), func(w *models.Writer) (err error) {
		page, err := w.OpenConsoles(models.ConsoleFilter{})
		if err != nil {
			return err
		}
		rows = page.Rows
		_, err = w.EndConsole(rows[0].ID)
		return err
	})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d open consoles: %v", len(rows), err)
	}
	got := b.hear(conn, "the notice", func(s textFrame) bool { return s.Notice != nil }).Notice
	if got.Kind != models.ConsoleClosedBy || got.By != admin.who.User.Name {
		t.Errorf("its user is told %+v", got)
	}
	b.wantClose(conn, endClosedBy)
	b.wantEvent(models.ActionConsoleEnd, u.who.User.Name)
	b.wantEvent(models.ActionConsoleClose, endClosedBy.text)
}
