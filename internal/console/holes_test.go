package console

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// Whoever has a ticket of a machine that was deleted must not get the screen
// of the one that has its name now.
func TestTicketOfADeletedMachineDoesNotOpenItsNamesake(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	asked := make(chan struct{}, 8)
	b.screens.set(func() (vsphere.Screen, error) {
		asked <- struct{}{}
		return b.host.screen()
	})
	old := b.ticket(u, models.ConsoleOperate)
	b.move(models.MachineDeleting)
	b.move(models.MachineDeleted)
	first := b.machine
	b.machine = b.world.Machine(t, first.Name)
	if b.machine.ID == first.ID || b.machine.Name != first.Name {
		t.Fatalf("%s was made anew as %s, %s", first.ID, b.machine.ID, b.machine.Name)
	}
	b.wantClose(b.connect(u, old), endGone)
	if len(asked) != 0 {
		t.Error("a screen was asked for")
	}
	b.read(b.connect(u, b.ticket(u, models.ConsoleOperate)), len(greeting))
}

// A ticket to watch is a ticket to watch, whatever its bearer tries.
func TestViewerCannotBecomeOperator(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u, admin := b.user(), b.admin()
	operator, operated := b.watch(u, models.ConsoleOperate)

	// The wish to take over goes with the wish to operate, or with nothing.
	viewer := b.connect(admin, b.mustIssue(admin, models.ConsoleAsk{Mode: models.ConsoleView, Takeover: true}))
	b.read(viewer, len(greeting))
	watched := b.host.next(t)
	if err := operator.WriteMessage(websocket.BinaryMessage, []byte("still there")); err != nil {
		t.Fatal(err)
	}
	operated.receive(t, len("still there"))

	hello := []byte("RFB 003.008\n\x01\x01")
	if err := viewer.WriteMessage(websocket.BinaryMessage, hello); err != nil {
		t.Fatal(err)
	}
	watched.receive(t, len(hello))
	for _, claim := range []string{`{"mode":"operate"}`, `{"ping":1,"mode":"operate"}`, `{"takeover":"yes"}`} {
		if err := viewer.WriteMessage(websocket.TextMessage, []byte(claim)); err != nil {
			t.Fatal(err)
		}
	}
	// A key alone, one cut over two messages, one over the frames of a message,
	// one behind a clipboard that says it is shorter than it is.
	key := []byte{msgKey, 1, 0, 0, 0, 0, 0, 'a'}
	for _, message := range [][]byte{key, key[:3], key[3:], append([]byte{msgCutText, 0, 0, 0, 0, 0, 0, 0}, key...)} {
		if err := viewer.WriteMessage(websocket.BinaryMessage, message); err != nil {
			t.Fatal(err)
		}
	}
	w, err := viewer.NextWriter(websocket.BinaryMessage)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 { // more than the writer's buffer: it makes frames of it
		if _, err := w.Write(key); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	request := []byte{msgUpdateRequest, 1, 0, 0, 0, 0, 4, 0, 3, 0}
	if err := viewer.WriteMessage(websocket.BinaryMessage, request); err != nil {
		t.Fatal(err)
	}
	if got := watched.receive(t, len(request)); got != string(request) {
		t.Errorf("the hypervisor got %q of a viewer", got)
	}
	var modes []models.ConsoleMode
	err = admin.scope.Read(context.Background(), func(r *models.Reader) error {
		page, err := r.OpenConsoles(models.ConsoleFilter{})
		for _, row := range page.Rows {
			modes = append(modes, row.Mode)
		}
		return err
	})
	if err != nil || len(modes) != 2 || modes[0] != models.ConsoleOperate || modes[1] != models.ConsoleView {
		t.Errorf("open are %v, %v", modes, err)
	}
}

// Whatever a hypervisor answers in place of a socket: the page is told the
// same, and nobody follows it anywhere.
func TestHypervisorThatIsNoneIsUnreachable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	elsewhere := otherCertificate(t) // fails the test when a request gets there
	for name, answer := range map[string]http.HandlerFunc{
		"redirect here": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) },
		"redirect elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"redirect, kept": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "ws://169.254.169.254/latest", http.StatusPermanentRedirect)
		},
		"a page":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<h1>welcome</h1>") },
		"forbidden": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		"another protocol": func(w http.ResponseWriter, r *http.Request) {
			up := websocket.Upgrader{Subprotocols: []string{"base64"}, CheckOrigin: func(*http.Request) bool { return true }}
			if conn, err := up.Upgrade(w, r, nil); err == nil {
				_ = conn.Close()
			}
		},
		"hangs up": func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
		},
		"no HTTP": func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = conn.Write([]byte("RFB 003.008\n\r\n\r\n"))
				_ = conn.Close()
			}
		},
	} {
		b.host.answer(answer)
		b.wantClose(b.connect(u, b.ticket(u, models.ConsoleOperate)), endUnreachable)
		if t.Failed() {
			t.Fatalf("after %s", name)
		}
	}
}

// The secrets of a console are its ticket, vCenter's ticket and where the
// hypervisor is. Nothing that people read has any of them, whatever happens.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	const name = "esx17.secret.example"
	b := newBench(t, func(s *Service) { s.timing.dial, s.timing.again = 300*time.Millisecond, time.Millisecond })
	b.service.log = slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
	address := strings.TrimPrefix(b.host.server.URL, "https://")
	port := address[strings.LastIndexByte(address, ':'):]
	secrets := []string{address, port, name, "one-time-secret"}
	var told strings.Builder // all that browsers get to see, but for the tickets themselves
	u := b.user()
	open := func(ticket string) *websocket.Conn {
		secrets = append(secrets, ticket, hashTicket(ticket))
		conn, answer, err := b.dial(u, ticket, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Header.Write(&told)
		return conn
	}
	ends := func(conn *websocket.Conn, want ending) {
		t.Helper()
		for {
			kind, p, err := conn.ReadMessage()
			if err == nil && kind == websocket.TextMessage {
				told.Write(p)
			}
			if err == nil {
				continue
			}
			told.WriteString(err.Error())
			if !websocket.IsCloseError(err, want.code) {
				t.Errorf("ended by %v, want %d", err, want.code)
			}
			return
		}
	}
	ticket := func() string { return b.ticket(u, models.ConsoleOperate) }

	// It works, and is lost; the hypervisor's last words are not passed on.
	used := ticket()
	conn := open(used)
	b.read(conn, len(greeting))
	screen := b.host.next(t)
	if err := ping(conn, 1); err != nil {
		t.Fatal(err)
	}
	_ = screen.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "moved to "+name), time.Now().Add(patience))
	ends(conn, endUpstream)
	// The ticket is spent, or was never one.
	ends(open(used), endTicket)
	ends(open(newTicket()), endTicket)
	// A foreign page.
	foreign := ticket()
	secrets = append(secrets, foreign)
	if _, answer, err := b.dial(u, foreign, http.Header{"Origin": {"https://evil.example"}}); err == nil || answer == nil {
		t.Error("a foreign page opened a socket")
	} else {
		body, _ := io.ReadAll(answer.Body)
		told.Write(body)
		_ = answer.Header.Write(&told)
	}
	// vCenter refuses, in every way it can, with the host's name.
	for _, code := range []vsphere.Code{vsphere.CodeInvalidState, vsphere.CodeNotFound, vsphere.CodeBusy, vsphere.CodeUnreachable, vsphere.CodeFault, vsphere.CodeTimeout} {
		b.screens.set(func() (vsphere.Screen, error) {
			return vsphere.Screen{}, &vsphere.Error{Code: code, Op: "open the screen", Text: name + " says no: one-time-secret"}
		})
		ends(open(ticket()), screenEnding(&vsphere.Error{Code: code}))
	}
	// The hypervisor can't be reached, is another, or is none.
	other := strings.TrimPrefix(otherCertificate(t).URL, "https")
	for _, change := range []func(*vsphere.Screen){
		func(s *vsphere.Screen) { s.URL = "wss" + other + "/ticket/one-time-secret" },
		func(s *vsphere.Screen) { s.URL = "wss://127.0.0.1:1/ticket/one-time-secret" },
		func(s *vsphere.Screen) { s.URL = "wss://" + name + "/ticket/one-time-secret" },
		func(s *vsphere.Screen) { s.URL = "://" + name + "/ticket/one-time-secret" },
		func(s *vsphere.Screen) { s.ThumbprintsSHA256 = nil },
	} {
		b.service.hosts.forgive()
		b.screens.set(func() (vsphere.Screen, error) {
			s, err := b.host.screen()
			change(&s)
			return s, err
		})
		ends(open(ticket()), endUnreachable)
	}
	b.service.hosts.forgive()
	b.screens.set(b.host.screen)
	b.host.answer(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+name+r.URL.Path, http.StatusFound)
	})
	ends(open(ticket()), endUnreachable)
	stall := make(chan struct{})
	b.host.answer(func(http.ResponseWriter, *http.Request) { <-stall })
	ends(open(ticket()), endUnreachable)
	close(stall)
	b.host.answer(nil)
	b.service.hosts.forgive()
	// Closed by an admin, with words; taken over.
	conn = open(ticket())
	b.read(conn, len(greeting))
	if err := ping(conn, 2); err != nil {
		t.Fatal(err)
	}
	b.hear(conn, "an answer", func(f textFrame) bool { return f.Pong != nil })
	admin := b.admin()
	if _, err := b.issue(admin, operate); err == nil {
		t.Error("nobody is in the admin's way")
	} else {
		told.WriteString(err.Error())
	}
	takes := b.mustIssue(admin, models.ConsoleAsk{Mode: models.ConsoleOperate, Takeover: true})
	secrets = append(secrets, takes, hashTicket(takes))
	b.read(b.connect(admin, takes), len(greeting))
	ends(conn, endTakenOver)
	// The machine goes off while it is watched, and a ticket for it is refused.
	conn = open(ticket())
	b.read(conn, len(greeting))
	b.move(models.MachineStopped)
	ends(conn, endNotOn)
	if _, err := b.issue(u, operate); err == nil {
		t.Error("a machine that is off gave a ticket")
	} else {
		told.WriteString(err.Error())
	}
	b.until("all ends are in the history", func() bool { return b.consolesUsed() == 0 })

	places := map[string]string{"what pages are told": told.String(), "the log": b.log.String()}
	for _, action := range []models.Action{models.ActionConsoleTicket, models.ActionConsoleOpen, models.ActionConsoleClose, models.ActionConsoleRefuse} {
		rows := append(b.history(action), b.providerEvents(action)...)
		if len(rows) == 0 {
			t.Errorf("no %s in the history", action)
		}
		places["the history of "+string(action)] = fmt.Sprintf("%+v", rows)
	}
	places["the history of everybody"] = b.everyEvent()
	err := b.world.System.Look(context.Background(), b.world.Acme.ID, func(r *models.Reader) error {
		page, err := r.OpenConsoles(models.ConsoleFilter{})
		places["the list of open consoles"] = fmt.Sprintf("%+v", page.Rows)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for place, text := range places {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %q:\n%s", place, secret, text)
			}
		}
	}
	for _, kind := range []string{"certificate", "refused", "timeout", "the hypervisor answers 302", "vSphere: "} {
		if !strings.Contains(places["the log"], kind) {
			t.Errorf("the log does not say %q, which an operator needs:\n%s", kind, places["the log"])
		}
	}
}

// everyEvent is all that the history has, of all orgs and the provider, in all
// its columns.
func (b *bench) everyEvent() string {
	b.t.Helper()
	rows, err := b.world.DB.SQL().QueryContext(context.Background(), "SELECT * FROM audit_events")
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		b.t.Fatal(err)
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(sql.RawBytes)
	}
	var all strings.Builder
	events := 0
	for ; rows.Next(); events++ {
		if err := rows.Scan(values...); err != nil {
			b.t.Fatal(err)
		}
		for _, value := range values {
			all.Write(*value.(*sql.RawBytes))
			all.WriteByte(' ')
		}
	}
	if err := rows.Err(); err != nil || events < 20 {
		b.t.Errorf("the history has %d events: %v", events, err)
	}
	return all.String()
}

// forgive forgets which hosts have failed.
func (h *hosts) forgive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = map[string]*host{}
}
