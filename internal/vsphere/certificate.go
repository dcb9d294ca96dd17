package vsphere

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Certificate is what a server shows before anybody has signed in.
type Certificate struct {
	SHA256    string // AB:CD:…, as vSphere and openssl print it
	Subject   string
	Issuer    string
	NotBefore time.Time
	NotAfter  time.Time
	// Trusted says that the system's roots vouch for it and for the name.
	Trusted bool
}

// certificateTimeout is for name, dial and handshake together.
const certificateTimeout = 10 * time.Second

// FetchCertificate looks at the certificate of the server at a vCenter URL. It
// sends nothing but the handshake: whether this is the right server is for
// whoever reads the thumbprint to say.
func FetchCertificate(ctx context.Context, rawURL string, guard Guard) (Certificate, error) {
	u, err := Config{URL: rawURL}.endpoint()
	if err != nil {
		return Certificate{}, err
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, certificateTimeout)
	defer cancel()
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{},
		Config:    &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, ServerName: host}, // #nosec G402 -- to be shown, not trusted
	}
	if guard != nil {
		dialer.NetDialer.Control = guard.Control
	}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return Certificate{}, fmt.Errorf("connect to %s: %w", net.JoinHostPort(host, port), err)
	}
	defer func() { _ = conn.Close() }()
	secured, ok := conn.(*tls.Conn)
	if !ok || len(secured.ConnectionState().PeerCertificates) == 0 {
		return Certificate{}, errors.New("the server shows no certificate")
	}
	return describe(secured.ConnectionState().PeerCertificates, host), nil
}

func describe(chain []*x509.Certificate, host string) Certificate {
	leaf := chain[0]
	sum := sha256.Sum256(leaf.Raw)
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Intermediates: between})
	return Certificate{
		SHA256: colons(sum[:]), Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Trusted: err == nil,
	}
}

func colons(sum []byte) string {
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return strings.Join(pairs, ":")
}

// SamePin says whether two texts name the same certificate.
func SamePin(a, b string) bool {
	x, err := parsePin(a)
	if err != nil {
		return false
	}
	y, err := parsePin(b)
	return err == nil && string(x) == string(y)
}
