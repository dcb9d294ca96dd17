package web

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// onTheWire serves on a real listener, with deadlines that a test can wait for.
func onTheWire(t *testing.T, p *portal) string {
	t.Helper()
	server := p.server.listening()
	for name, d := range map[string]time.Duration{"header": server.ReadHeaderTimeout, "read": server.ReadTimeout, "write": server.WriteTimeout, "idle": server.IdleTimeout} {
		if d <= 0 || d > 5*time.Minute {
			t.Errorf("the %s deadline is %s", name, d)
		}
	}
	server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout = 300*time.Millisecond, 700*time.Millisecond, 300*time.Millisecond
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestHoleSlowClientsHoldNothing(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	address := onTheWire(t, p)
	for name, beginning := range map[string]string{
		"silence": "", "half a request line": "GET /sign-in HT", "headers without end": "GET /sign-in HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n",
		"half a body":  "POST /sign-in HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nemail=",
		"half a chunk": "POST /sign-in HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nemail=",
		"idle":         "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		conn := dial(t, address)
		if _, err := io.WriteString(conn, beginning); err != nil {
			t.Fatal(err)
		}
		dripping := make(chan struct{})
		go func() { // a byte now and then doesn't buy time
			for {
				select {
				case <-dripping:
					return
				case <-time.After(50 * time.Millisecond):
					if name != "idle" && name != "silence" {
						_, _ = io.WriteString(conn, "a")
					}
				}
			}
		}()
		began := time.Now()
		_, err := io.Copy(io.Discard, conn)
		close(dripping)
		if took := time.Since(began); took > patience/2 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s is held for %s (%v)", name, took, err)
		}
	}
}

func TestHoleTwoRequestsInOne(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	address := onTheWire(t, p)
	const smuggled = "GET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n"
	post := func(headers string) string {
		return "POST /sign-in HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n" + headers + "\r\n"
	}
	for name, text := range map[string]string{
		"two lengths":          post(fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n", len(smuggled))) + smuggled,
		"a list of lengths":    post(fmt.Sprintf("Content-Length: 0, %d\r\n", len(smuggled))) + smuggled,
		"signed length":        post("Content-Length: +0\r\n") + smuggled,
		"space before colon":   post("Content-Length : 0\r\n") + smuggled,
		"unknown encoding":     post("Transfer-Encoding: xchunked\r\n") + "0\r\n\r\n" + smuggled,
		"two encodings":        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n") + "0\r\n\r\n" + smuggled,
		"line feed in a name":  post("X\n-A: b\r\nContent-Length: 0\r\n") + smuggled,
		"control in a name":    post("X\x01A: b\r\nContent-Length: 0\r\n") + smuggled,
		"no host":              "GET /healthz HTTP/1.1\r\n\r\n",
		"two hosts":            "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"host of two":          "GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",
		"headers without room": "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 100<<10) + "\r\n\r\n",
	} {
		conn := dial(t, address)
		_, _ = io.WriteString(conn, text)
		in := bufio.NewReader(conn)
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			continue // the connection was ended: nothing was taken
		}
		if answer.StatusCode < 400 {
			t.Errorf("%s: %d", name, answer.StatusCode)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if second, err := http.ReadResponse(in, nil); err == nil {
			_ = second.Body.Close()
			t.Errorf("%s: a second request was taken: %d", name, second.StatusCode)
		}
	}
	// Both a length and chunks: chunks count, and what stands behind them is
	// the same client's next request, not a part of this one.
	conn := dial(t, address)
	_, _ = io.WriteString(conn, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")+"0\r\n\r\n")
	if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
		_ = answer.Body.Close()
		if answer.StatusCode < 400 {
			t.Errorf("length and chunks: %d", answer.StatusCode)
		}
	}
}
