package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// patience is how long a test waits for a signal before it gives up.
const patience = 20 * time.Second

// bench is one node with consoles, one machine and one hypervisor.
type bench struct {
	t       *testing.T
	world   *testkit.World
	service *Service
	screens *screens
	host    *hypervisor
	machine models.Machine
	portal  *httptest.Server
	log     *logged

	mu     sync.Mutex
	people map[string]Caller // by the header that stands in for a cookie
}

type setting func(*Service)

func newBench(t *testing.T, settings ...setting) *bench {
	t.Helper()
	return newBenchOn(t, testkit.SQLite(t), settings...)
}

func newBenchOn(t *testing.T, db *models.DB, settings ...setting) *bench {
	t.Helper()
	b := &bench{t: t, world: testkit.NewWorld(t, db), host: newHypervisor(t), log: &logged{}, people: map[string]Caller{}}
	b.machine = b.world.Machine(t, "web-1")
	b.screens = &screens{give: b.host.screen}
	b.service = New(b.world.System, b.screens, Options{Node: "node-1",
		Logger: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelInfo}))})
	b.service.timing.recheck = 50 * time.Millisecond
	for _, set := range settings {
		set(b.service)
	}
	b.portal = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		caller, ok := b.people[r.Header.Get("Test-Session")]
		b.mu.Unlock()
		if !ok {
			http.Error(w, "nobody", http.StatusUnauthorized)
			return
		}
		b.service.Serve(w, r, caller)
	}))
	t.Cleanup(b.portal.Close)
	b.run()
	return b
}

// run starts the service's own work until the test ends.
func (b *bench) run() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.service.Run(ctx) }()
	b.t.Cleanup(func() { cancel(); <-done })
	b.t.Cleanup(func() { // before Run ends
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.service.Drain(ctx); err != nil {
			b.t.Error(err)
		}
	})
	b.until("the service runs", func() bool {
		b.service.mu.Lock()
		defer b.service.mu.Unlock()
		return b.service.ready
	})
}

// until waits for what has no signal of its own: rows in the database.
func (b *bench) until(what string, holds func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			b.t.Fatalf("never happened: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// person is somebody signed in, with a scope.
type person struct {
	who   models.SignedIn
	scope *models.Scope
}

func (b *bench) person(email, org string) person {
	b.t.Helper()
	who := b.world.SignedIn(b.t, email)
	scope, err := b.world.System.Scope(context.Background(), who, org)
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	b.people[string(who.Session.ID)] = Caller{Who: who}
	b.mu.Unlock()
	return person{who: who, scope: scope}
}

func (b *bench) user() person { b.t.Helper(); return b.person("user@acme.example", "acme") }

func (b *bench) ticket(p person, mode models.ConsoleMode) string {
	b.t.Helper()
	t, err := b.service.Issue(context.Background(), p.scope, b.machine.ID, b.portal.URL, models.ConsoleAsk{Mode: mode, Takeover: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return t.Ticket
}

// dial opens the socket as p's browser would; header overrides what it sends.
func (b *bench) dial(p person, ticket string, header http.Header) (*websocket.Conn, *http.Response, error) {
	b.t.Helper()
	h := http.Header{"Test-Session": {string(p.who.Session.ID)}, "Origin": {b.portal.URL}}
	for k, v := range header {
		if v == nil {
			delete(h, k)
			continue
		}
		h[k] = v
	}
	d := websocket.Dialer{Subprotocols: []string{"binary", "ticket." + ticket}}
	conn, res, err := d.Dial("ws"+strings.TrimPrefix(b.portal.URL, "http")+Path, h)
	if conn != nil {
		b.t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetReadDeadline(time.Now().Add(patience))
	}
	return conn, res, err
}

func (b *bench) connect(p person, ticket string) *websocket.Conn {
	b.t.Helper()
	conn, _, err := b.dial(p, ticket, nil)
	if err != nil {
		b.t.Fatalf("dial: %v", err)
	}
	if got := conn.Subprotocol(); got != "binary" {
		b.t.Fatalf("subprotocol %q, want binary", got)
	}
	return conn
}

// watch opens a console and reads the hypervisor's greeting.
func (b *bench) watch(p person, mode models.ConsoleMode) (*websocket.Conn, *screenSocket) {
	b.t.Helper()
	conn := b.connect(p, b.ticket(p, mode))
	if got := b.read(conn, len(greeting)); got != greeting {
		b.t.Fatalf("greeting %q", got)
	}
	return conn, b.host.next(b.t)
}

// read takes n bytes, however they are framed.
func (b *bench) read(conn *websocket.Conn, n int) string {
	b.t.Helper()
	var got []byte
	for len(got) < n {
		_, p, err := conn.ReadMessage()
		if err != nil {
			b.t.Fatalf("after %d of %d bytes: %v", len(got), n, err)
		}
		got = append(got, p...)
	}
	return string(got)
}

func (b *bench) readMessage(conn *websocket.Conn) []byte {
	b.t.Helper()
	_, p, err := conn.ReadMessage()
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// wantClose reads until the close frame, which must be e's.
func (b *bench) wantClose(conn *websocket.Conn, e ending) {
	b.t.Helper()
	for {
		_, _, err := conn.ReadMessage()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) {
			b.t.Fatalf("ended by %v, want close code %d", err, e.code)
		}
		if closed.Code != e.code || closed.Text != e.text {
			b.t.Fatalf("closed by %d %q, want %d %q", closed.Code, closed.Text, e.code, e.text)
		}
		return
	}
}

// history returns the org's events of one action, newest first.
func (b *bench) history(action models.Action) []models.AuditEvent {
	b.t.Helper()
	var page models.Page[models.AuditEvent]
	err := b.world.System.Look(context.Background(), b.world.Acme.ID, func(r *models.Reader) (err error) {
		page, err = r.Events(models.EventFilter{Action: action})
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return page.Rows
}

func (b *bench) wantEvent(action models.Action, part string) models.AuditEvent {
	b.t.Helper()
	var found models.AuditEvent
	b.until(string(action)+" with "+part, func() bool {
		for _, e := range b.history(action) {
			if strings.Contains(e.After, part) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

func (b *bench) consolesUsed() int64 {
	b.t.Helper()
	var used int64
	err := b.world.System.Look(context.Background(), b.world.Acme.ID, func(r *models.Reader) error {
		quotas, err := r.Quotas()
		for _, q := range quotas {
			if q.Resource == models.ResourceConsoles {
				used = q.Used
			}
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return used
}

func (b *bench) move(to models.MachineState) {
	b.t.Helper()
	err := b.world.System.Within(context.Background(), b.world.Acme.ID, models.SystemActor, func(w *models.Writer) error {
		return w.MoveMachine(b.machine.ID, to, nil)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}
