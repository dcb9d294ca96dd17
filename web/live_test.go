package web

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// patience bounds what must come; nothing here takes that long.
const patience = 20 * time.Second

// listener is an open stream, read line by line; lines closes when it ends.
type listener struct {
	lines chan string
	stop  context.CancelFunc
}

func listen(t *testing.T, b *browser, base, org string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/orgs/"+org+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.AddCookie(&http.Cookie{Name: "millwright", Value: b.token})
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", answer.StatusCode, answer.Header)
	}
	l := &listener{lines: make(chan string, 1000), stop: cancel}
	go func() {
		defer close(l.lines)
		defer func() { _ = answer.Body.Close() }()
		for s := bufio.NewScanner(answer.Body); s.Scan(); {
			l.lines <- s.Text()
		}
	}()
	t.Cleanup(cancel)
	return l
}

// heard reads until a line has the words, for so long.
func (l *listener) heard(t *testing.T, words string, wait time.Duration) (string, bool) {
	t.Helper()
	late := time.After(wait)
	for {
		select {
		case line, open := <-l.lines:
			if !open {
				t.Fatalf("the stream ended before %s", words)
			}
			if strings.Contains(line, words) {
				return line, true
			}
		case <-late:
			return "", false
		}
	}
}

// until waits for a line with the words.
func (l *listener) until(t *testing.T, words string) string {
	t.Helper()
	line, ok := l.heard(t, words, patience)
	if !ok {
		t.Fatalf("nothing with %s came", words)
	}
	return line
}

func (l *listener) ended(t *testing.T) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, open := <-l.lines:
			if !open {
				return
			}
		case <-late:
			t.Fatal("the stream goes on")
		}
	}
}

func TestStreamTellsWhichRowChangedAndNothingElse(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go db.Listen(ctx)
		site := httptest.NewServer(p.server.Handler())
		t.Cleanup(site.Close)
		own, foreign := listen(t, p.as("auditor@acme.example"), site.URL, "acme"), listen(t, p.as("user@globex.example"), site.URL, "globex")
		own.until(t, "retry:")
		foreign.until(t, "retry:")
		// The database's listener takes a moment to connect and doesn't say when
		// it has: one machine after the other, until one is told.
		line, ok := "", false
		for n := 1; !ok; n++ {
			if n > 50 {
				t.Fatal("nothing was told")
			}
			p.order("live" + strings.Repeat("x", n))
			line, ok = own.heard(t, `"kind":"machine"`, time.Second)
		}
		if !strings.HasPrefix(line, `data: {"kind":"machine","id":"`) {
			t.Errorf("told %q", line)
		}
		if err := p.System.RecordIn(ctx, p.Globex.ID, models.SystemActor, models.Event{Action: models.ActionMachineState, Outcome: models.OutcomeSucceeded}); err != nil {
			t.Fatal(err)
		}
		// The first that the neighbour hears is its own event, but for the
		// listener's word that it may have missed something while it connected.
		line = foreign.until(t, "data:")
		for strings.Contains(line, `"kind":"all"`) {
			line = foreign.until(t, "data:")
		}
		if !strings.Contains(line, `"kind":"event"`) {
			t.Errorf("the neighbour was told %q", line)
		}
	})
}

func TestStreamEndsWithItsSession(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	p.server.recheck = 10 * time.Millisecond
	site := httptest.NewServer(p.server.Handler())
	t.Cleanup(site.Close)
	b := p.as("user@acme.example")
	l := listen(t, b, site.URL, "acme")
	l.until(t, "retry:")
	if err := p.System.RevokeSession(context.Background(), b.who); err != nil {
		t.Fatal(err)
	}
	l.ended(t)
}

func TestStopEndsStreamsAndLetsNobodyWait(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.server.Serve(ctx, socket) }()
	l := listen(t, p.as("user@acme.example"), "http://"+socket.Addr().String(), "acme")
	l.until(t, "retry:")
	start := time.Now()
	cancel()
	l.ended(t)
	if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(start); took > stopTimeout/2 {
		t.Errorf("the stop took %s", took)
	}
	if answer := p.anonymous().get("/readyz"); answer.Code != http.StatusServiceUnavailable {
		t.Errorf("/readyz while stopping: %d", answer.Code)
	}
}

func TestStreamsOfOneSessionAreBounded(t *testing.T) {
	t.Parallel()
	places := newPerSource(2)
	leave, ok := places.enter("s")
	_, second := places.enter("s")
	_, third := places.enter("s")
	_, other := places.enter("t")
	if !ok || !second || third || !other {
		t.Error("a limit of two is not two per key")
	}
	leave()
	if _, ok := places.enter("s"); !ok {
		t.Error("a place that was left is not free")
	}
}

func TestManyChangesAtOnceBecomeOneLookAtEverything(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	st := &stream{out: echo.NewResponse(w, echo.New()), control: http.NewResponseController(deadlines{w})}
	gathered := map[note]struct{}{}
	for range gatherMost + 1 {
		gathered[note{Kind: "machine", ID: models.NewID[string]()}] = struct{}{}
	}
	if err := st.send(gathered); err != nil {
		t.Fatal(err)
	}
	if got := w.Body.String(); got != "data: {\"kind\":\"all\",\"id\":\"\"}\n\n" {
		t.Errorf("%d bytes: %.80q", len(got), got)
	}
}

// deadlines is a recorder that takes deadlines, as a connection does.
type deadlines struct{ *httptest.ResponseRecorder }

func (deadlines) SetWriteDeadline(time.Time) error { return nil }
