package handlers

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// Who reads nothing, or next to nothing, has no place among the exports for
// ever, and only his own org waits for it.
func TestSlowReaderHoldsNoPlace(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	for i := range 200 {
		err := w.System.RecordIn(t.Context(), w.Acme.ID, models.SystemActor, models.Event{Action: models.ActionMachinePower,
			Outcome: models.OutcomeSucceeded, Object: models.Object{Kind: "machine", ID: models.NewID[string](), Name: fmt.Sprintf("machine-%d", i)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	h := &History{audit: audit.New(w.System, audit.Options{Logger: testkit.Quiet()}), pace: pace{part: 3 * time.Second, rate: 1 << 20}}
	scopes := map[string]*models.Scope{"acme": w.Scope(t, "auditor@acme.example", "acme"), "globex": w.Scope(t, "admin@globex.example", "globex")}
	ended := make(chan struct{}, 8)
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if models.CodeOf(err) == models.CodeTooMany {
			_ = c.NoContent(http.StatusTooManyRequests)
			return
		}
		t.Error(err)
	}
	e.GET("/:org", func(c echo.Context) error {
		defer func() { ended <- struct{}{} }()
		return h.Export(c, scopes[c.Param("org")])
	})
	listener := testkit.NewPipes(t)
	server := &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	client := &http.Client{Transport: &http.Transport{DialContext: listener.Dial, DisableKeepAlives: true}}
	get := func(org string) *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://portal/"+org, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer
	}
	whole := func(org string) int {
		answer := get(org)
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Errorf("%s: %v", org, err)
		}
		<-ended
		return answer.StatusCode
	}
	silent, dripping := get("acme"), get("acme") // both have begun: their headers are here
	if silent.StatusCode != http.StatusOK || dripping.StatusCode != http.StatusOK {
		t.Fatalf("the slow ones are answered %d and %d", silent.StatusCode, dripping.StatusCode)
	}
	go func() {
		for b := make([]byte, 1); ; {
			if _, err := io.ReadFull(dripping.Body, b); err != nil {
				return
			}
			time.Sleep(time.Millisecond) // a slow line
		}
	}()
	if code := whole("acme"); code != http.StatusTooManyRequests {
		t.Errorf("a third one of the org: %d", code)
	}
	if code := whole("globex"); code != http.StatusOK {
		t.Errorf("another org waits: %d", code)
	}
	for range 2 {
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Fatal("a slow reader holds its place")
		}
	}
	if code := whole("acme"); code != http.StatusOK {
		t.Errorf("after the slow ones: %d", code)
	}
	if _, err := io.Copy(io.Discard, silent.Body); err == nil {
		t.Error("what was cut looks whole")
	}
}

// A line that is slow, and keeps up, is left to go on for longer than a part
// may take; one that reads too little is cut, however often it reads.
func TestReaderHasToKeepUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate int64
		cut  bool
	}{"keeps up": {rate: 1000}, "falls behind": {rate: 1 << 20, cut: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, there := net.Pipe()
			defer here.Close()
			defer there.Close()
			go func() {
				for b := make([]byte, 100); ; {
					time.Sleep(20 * time.Millisecond) // a slow line: 5 kB a second
					if _, err := io.ReadFull(there, b); err != nil {
						return
					}
				}
			}()
			out := &patientWriter{w: here, control: http.NewResponseController(wire{here}), pace: pace{part: 300 * time.Millisecond, rate: c.rate}}
			var err error
			for range 50 {
				if _, err = out.Write(make([]byte, 100)); err != nil {
					break
				}
			}
			if c.cut != (err != nil) {
				t.Errorf("after %d bytes: %v", out.sent, err)
			}
		})
	}
}

// wire has a connection's deadlines, as the server's answers have.
type wire struct{ net.Conn }

func (wire) Header() http.Header { return nil }
func (wire) WriteHeader(int)     {}
