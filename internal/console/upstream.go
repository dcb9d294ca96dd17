package console

import (
	"bufio"
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/sha1" // #nosec G505 -- see pinned
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/vsphere"
)

var errPin = errors.New("the hypervisor's certificate is not the one that vCenter names")

// earlyMost bounds what is read ahead of the handshake's answer. It has room in
// the picture's first buffer.
const earlyMost = smallBuffer - headMax

// answerMost bounds the answer to the handshake, most of which gorilla keeps.
const answerMost = 16 << 10

var errAnswerTooLong = &strangeError{"the hypervisor's answer does not end"}

// strangeError is an answer that no screen's server gives. Its text is ours
// alone: it may be logged.
type strangeError struct{ text string }

func (e *strangeError) Error() string { return e.text }

// upstream is the hypervisor's socket. gorilla opens it and writes to it; the
// picture is read past gorilla (picture.go).
type upstream struct {
	*websocket.Conn
	conn net.Conn
	wire *wire
}

// early takes what came along with the handshake's answer, frames and all, once.
// It is no more than earlyMost.
func (u *upstream) early(to []byte) int {
	n := 0
	if u.wire.ahead.Buffered() > 0 {
		n, _ = u.wire.ahead.Read(to[:earlyMost])
	}
	u.wire.ahead = nil
	return n
}

// wire is the connection as gorilla has it.
type wire struct {
	net.Conn
	ahead *bufio.Reader // until the handshake is over
	read  int           // of the handshake's answer
	write deadline
}

func newWire(conn net.Conn) *wire {
	return &wire{Conn: conn, ahead: bufio.NewReaderSize(conn, earlyMost), write: deadline{set: conn.SetWriteDeadline}}
}

// Read returns no more than the rest of a line, so that nothing behind the
// handshake's answer ends in a buffer of gorilla's.
func (w *wire) Read(p []byte) (int, error) {
	if _, err := w.ahead.Peek(1); err != nil {
		return 0, err
	}
	line, _ := w.ahead.Peek(min(w.ahead.Buffered(), len(p)))
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end+1]
	}
	if w.read += len(line); w.read > answerMost {
		return 0, errAnswerTooLong
	}
	return w.ahead.Read(p[:len(line)])
}

// SetWriteDeadline is called for every frame.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		w.write.lift()
		return nil
	}
	now := time.Now()
	w.write.extend(now, t.Sub(now))
	return nil
}

// dial opens the hypervisor's socket. No redirect is followed.
func (s *Service) dial(ctx context.Context, screen vsphere.Screen) (*upstream, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timing.dial)
	defer cancel()
	conn, err := s.options.Dial(ctx, screen)
	if err != nil {
		return nil, err
	}
	up, err := s.upgrade(ctx, screen, conn)
	if err != nil {
		_ = conn.Close()
	}
	return up, err
}

// upgrade makes a connection to the hypervisor a WebSocket.
func (s *Service) upgrade(ctx context.Context, screen vsphere.Screen, conn net.Conn) (*upstream, error) {
	w := newWire(conn)
	dialer := s.dialer
	dialer.NetDialContext = func(context.Context, string, string) (net.Conn, error) { return w, nil }
	dialer.NetDialTLSContext = dialer.NetDialContext
	var socket *websocket.Conn
	var answer *http.Response
	var err error
	// As at the browser's end, the handshake's SHA-1 alone is let through; TLS
	// is spoken already, under enforcement.
	fips140.WithoutEnforcement(func() { socket, answer, err = dialer.DialContext(ctx, screen.URL, nil) }) //nolint:bodyclose // it is, two lines below: the linter does not see out of the function
	if answer != nil {
		_ = answer.Body.Close() // its first bytes, kept by the dialer; the socket is not in it
	}
	switch {
	case answer != nil && answer.StatusCode != http.StatusSwitchingProtocols:
		return nil, &strangeError{"the hypervisor answers " + strconv.Itoa(answer.StatusCode)}
	case err != nil:
		return nil, err
	case socket.Subprotocol() != protocolBinary:
		return nil, &strangeError{"the hypervisor does not speak the binary subprotocol"}
	case answer.Header.Get("Sec-WebSocket-Extensions") != "":
		return nil, &strangeError{"the hypervisor wants extensions that were not offered"}
	}
	return &upstream{Conn: socket, conn: conn, wire: w}, nil
}

// dialPinned opens TLS to the hypervisor. No proxy, no other certificate than
// the one that vCenter's ticket names, no address that the guard refuses: a
// vCenter may be an org's, or somebody else's by now.
func (s *Service) dialPinned(ctx context.Context, screen vsphere.Screen) (net.Conn, error) {
	u, err := url.Parse(screen.URL)
	if err != nil || u.Scheme != "wss" || u.Host == "" {
		return nil, &strangeError{"vCenter's address of the screen can't be used"} // the address itself holds a ticket
	}
	check, err := pinned(screen)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Control: func(network, address string, raw syscall.RawConn) error {
		if guard := s.options.Guard; guard != nil {
			if err := guard.Control(network, address, raw); err != nil {
				return err
			}
		}
		return boundSilence(raw, s.timing.read)
	}}
	return (&tls.Dialer{NetDialer: dialer, Config: &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // #nosec G402 -- check compares the whole certificate instead
		VerifyConnection:   check,
	}}).DialContext(ctx, "tcp", hostPort(u))
}

// hostPort is where the URL leads, its port spelt out.
func hostPort(u *url.URL) string {
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return u.Host
}

// isNetwork says whether the hypervisor can't be reached, or does not answer.
func isNetwork(err error) bool {
	var network *net.OpError
	return !errors.Is(err, errPin) && !errors.Is(err, vsphere.ErrAddress) && (errors.As(err, &network) || isTimeout(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF))
}

// pinned makes the check of the hypervisor's certificate. Hosts older than
// vSphere 7.0.3 have only a SHA-1 thumbprint; a second preimage of it is still
// out of reach, and the ticket that names it came over vCenter's own TLS.
func pinned(screen vsphere.Screen) (func(tls.ConnectionState) error, error) {
	digest := func(der []byte) []byte { sum := sha256.Sum256(der); return sum[:] }
	prints := screen.ThumbprintsSHA256
	size := sha256.Size
	if len(prints) == 0 {
		if fips140.Enforced() {
			return nil, &strangeError{"vCenter names no SHA-256 thumbprint of the hypervisor, and enforced FIPS 140-3 allows no other"}
		}
		digest = func(der []byte) []byte { sum := sha1.Sum(der); return sum[:] } // #nosec G401 -- see above
		prints, size = []string{screen.ThumbprintSHA1}, sha1.Size
	}
	var pins [][]byte
	for _, text := range prints {
		pin, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), ":", ""))
		if err != nil || len(pin) != size {
			return nil, &strangeError{"vCenter names no usable thumbprint of the hypervisor"}
		}
		pins = append(pins, pin)
	}
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errPin
		}
		seen := digest(state.PeerCertificates[0].Raw)
		for _, pin := range pins {
			if subtle.ConstantTimeCompare(seen, pin) == 1 {
				return nil
			}
		}
		return errPin
	}, nil
}
