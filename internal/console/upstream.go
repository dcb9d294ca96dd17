package console

import (
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

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/vsphere"
)

var errPin = errors.New("the hypervisor's certificate is not the one that vCenter names")

// strangeError is an answer that no screen's server gives. Its text is ours
// alone: it may be logged.
type strangeError struct{ text string }

func (e *strangeError) Error() string { return e.text }

// dial opens the hypervisor's socket. No proxy, no redirect, no other
// certificate than the one that vCenter's ticket names.
func (s *Service) dial(ctx context.Context, screen vsphere.Screen) (*websocket.Conn, error) {
	u, err := url.Parse(screen.URL)
	if err != nil || u.Scheme != "wss" || u.Host == "" {
		return nil, &strangeError{"vCenter's address of the screen can't be used"} // the address itself holds a ticket
	}
	check, err := pinned(screen)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timing.dial)
	defer cancel()
	secured, err := (&tls.Dialer{Config: &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // #nosec G402 -- check compares the whole certificate instead
		VerifyConnection:   check,
	}}).DialContext(ctx, "tcp", hostPort(u))
	if err != nil {
		return nil, err
	}
	dialer := s.dialer
	dialer.NetDialTLSContext = func(context.Context, string, string) (net.Conn, error) { return secured, nil }
	var conn *websocket.Conn
	var answer *http.Response
	// As at the browser's end, the handshake's SHA-1 alone is let through; TLS
	// is spoken already, under enforcement.
	fips140.WithoutEnforcement(func() { conn, answer, err = dialer.DialContext(ctx, screen.URL, nil) }) //nolint:bodyclose // it is, two lines below: the linter does not see out of the function
	if answer != nil {
		_ = answer.Body.Close() // its first bytes, kept by the dialer; the socket is not in it
	}
	if answer != nil && answer.StatusCode != http.StatusSwitchingProtocols {
		_ = secured.Close()
		return nil, &strangeError{"the hypervisor answers " + strconv.Itoa(answer.StatusCode)}
	}
	if err != nil {
		_ = secured.Close()
		return nil, err
	}
	if conn.Subprotocol() != protocolBinary {
		_ = conn.Close()
		return nil, &strangeError{"the hypervisor does not speak the binary subprotocol"}
	}
	return conn, nil
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
	return !errors.Is(err, errPin) && (errors.As(err, &network) || isTimeout(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF))
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
