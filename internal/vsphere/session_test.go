package vsphere

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestManyCallersShareOneSession(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client()
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			if _, err := c.About(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if n := v.count("Login"); n != 1 {
		t.Errorf("signed in %d times, want once", n)
	}
}

func TestSessionIsMadeAgainOnceForAllCallers(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client()
	connect(t, c)
	v.dropSessions(v.bare())
	before := v.count("Login")
	var callers sync.WaitGroup
	for range 30 {
		callers.Go(func() {
			if _, err := c.About(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if n := v.count("Login") - before; n < 1 || n > 3 {
		t.Errorf("30 callers signed in %d times again", n)
	}
}

func TestWrongPasswordIsNotTriedAgainAndNowhereShown(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	var logged bytes.Buffer
	const wrong = "wr0ng-Passw0rd"
	c := v.client(func(cfg *Config) {
		cfg.Password = wrong
		cfg.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	var shown strings.Builder
	for range 3 {
		_, err := c.About(t.Context())
		wantCode(t, err, CodeBadCredentials)
		fmt.Fprintf(&shown, "%v %+v %#v\n", err, err, err)
	}
	wantCode(t, c.Watch(t.Context(), nil), CodeBadCredentials)
	if n := v.count("Login"); n != 1 {
		t.Errorf("the refused password was sent %d times; vCenter locks the account", n)
	}
	fmt.Fprintf(&shown, "%v %+v %#v\n", c.config, c.config, c.config)
	if strings.Contains(shown.String()+logged.String(), wrong) {
		t.Error("the password shows up in an error or log")
	}
}

func TestPasswordIsNotSentToAnotherCertificate(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	for name, pin := range map[string]string{
		"other pin": strings.Repeat("ab", 32),
		"no pin":    "", // self-signed: the system's roots refuse it
	} {
		c := v.client(func(cfg *Config) { cfg.ThumbprintSHA256 = pin })
		_, err := c.About(t.Context())
		if CodeOf(err) != CodeCertificate || IsTransient(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := v.count("Login") + v.count("RetrieveServiceContent"); n != 0 {
		t.Errorf("%d calls got through", n)
	}
}

func TestPasswordIsNotSentToAnotherVCenter(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client(func(cfg *Config) { cfg.ExpectInstanceUUID = "0195f3a0-0000-7000-8000-000000000001" })
	_, err := c.About(t.Context())
	wantCode(t, err, CodeWrongVCenter)
	if n := v.count("Login"); n != 0 {
		t.Error("signed in to another vCenter")
	}
	known := connect(t, v.client())
	again := v.client(func(cfg *Config) { cfg.ExpectInstanceUUID = strings.ToUpper(known.InstanceUUID) })
	if _, err := again.About(t.Context()); err != nil {
		t.Errorf("the expected vCenter was refused: %v", err)
	}
}

func TestPasswordDoesNotFollowRedirect(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	elsewhere := startVCenter(t)
	v.answer("*", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.front.URL+"/sdk", http.StatusTemporaryRedirect)
	})
	_, err := v.client().About(t.Context())
	wantCode(t, err, CodeFault)
	if n := elsewhere.count("RetrieveServiceContent"); n != 0 {
		t.Error("the call followed the redirect")
	}
}

func TestUnusableConfigIsReportedOnFirstUse(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{URL: "http://vcenter.example"},
		{URL: "https://"},
		{URL: "https://user:" + testPassword + "@bad host/%zz"},
		{URL: "https://vcenter.example", ThumbprintSHA256: "12:34"},
	} {
		_, err := New(cfg).About(t.Context())
		wantCode(t, err, CodeInvalidSpec)
		if strings.Contains(err.Error(), testPassword) {
			t.Errorf("password in %v", err)
		}
	}
}

func TestRefusedConnectionIsUnreachable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	_, err = New(Config{URL: "https://" + address}).About(t.Context())
	wantCode(t, err, CodeUnreachable)
	if !IsTransient(err) {
		t.Error("an outage must be transient")
	}
}

func TestStartingVCenterIsUnreachable(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client()
	v.answer("*", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	_, err := c.About(t.Context())
	wantCode(t, err, CodeUnreachable)
	v.answer("*", nil)
	recovers(t, c)
}

func connect(t *testing.T, c *Client) About {
	t.Helper()
	about, err := c.About(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return about
}

// recovers waits for the circuit's pause to be over.
func recovers(t *testing.T, c *Client) {
	t.Helper()
	for {
		_, err := c.About(t.Context())
		if err == nil {
			return
		}
		wantCode(t, err, CodeUnreachable)
		c.circuit.mu.Lock()
		pause := time.Until(c.circuit.retryAt)
		c.circuit.mu.Unlock()
		select {
		case <-time.After(max(pause, time.Millisecond)):
		case <-t.Context().Done():
			t.Fatal("did not recover")
		}
	}
}

func TestHangingVCenterHoldsUpOnlyTheFirstCallers(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client(func(cfg *Config) { cfg.CallTimeout = 300 * time.Millisecond })
	connect(t, c)
	v.answer("*", v.hang)
	for range circuitSlowLimit {
		_, err := c.About(t.Context())
		wantCode(t, err, CodeTimeout)
		if !IsTransient(err) {
			t.Error("a timeout must be transient")
		}
	}
	asked := v.count("CurrentTime")
	_, err := c.About(t.Context())
	wantCode(t, err, CodeUnreachable)
	if v.count("CurrentTime") != asked {
		t.Error("the circuit let a call through")
	}
	v.answer("*", nil)
	recovers(t, c)
}

func TestImpatientCallerIsNotAnOutage(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client()
	connect(t, c)
	v.answer("CurrentTime", v.hang)
	for range 2 * circuitSlowLimit {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := c.About(ctx)
		cancel()
		wantCode(t, err, CodeTimeout)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.About(ctx)
	wantCode(t, err, CodeInterrupted)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("lost the cause: %v", err)
	}
	v.answer("CurrentTime", nil)
	if _, err := c.About(t.Context()); err != nil {
		t.Errorf("other callers are refused: %v", err)
	}
}

func TestCloseSignsOut(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	bare := v.bare()
	c := v.client()
	connect(t, c)
	if n := len(v.sessions(bare)); n != 1 {
		t.Fatalf("%d sessions while open", n)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(v.sessions(bare)); n != 0 {
		t.Errorf("%d sessions left behind", n)
	}
	_, err := c.About(t.Context())
	wantCode(t, err, CodeInterrupted)
}

func TestSpokenVersionIsNoNewerThanEitherSide(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]string{
		"7.0.3.2": "7.0.3.2", "8.0.3.0": "8.0.3.0", "99.0": "9.1.0.0", "": "9.1.0.0", "9.1.0.0": "9.1.0.0",
	} {
		if got := speak(server); got != want {
			t.Errorf("server %q: speak %q, want %q", server, got, want)
		}
	}
}
