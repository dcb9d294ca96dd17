package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// writeCertificate makes a self-signed one with the given number.
func writeCertificate(t *testing.T, dir string, number int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(number), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name+".new", pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// serveTLS serves a portal by TLS until the test ends.
func serveTLS(t *testing.T, dir string) string {
	t.Helper()
	certFile, keyFile := writeCertificate(t, dir, 1)
	p := newPortal(t, testkit.SQLite(t))
	var err error
	if p.server.certificate, err = ReadCertificate(certFile, keyFile, testkit.Quiet()); err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func shown(t *testing.T, conn *tls.Conn) int64 {
	t.Helper()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func dialTLS(address string, c *tls.Config) (*tls.Conn, error) {
	c.InsecureSkipVerify = true
	return tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, c)
}

func TestOnlyAuthenticatedSuitesAreSpoken(t *testing.T) {
	t.Parallel()
	address := serveTLS(t, t.TempDir())
	for name, c := range map[string]*tls.Config{
		"1.3":                  {MinVersion: tls.VersionTLS13},
		"1.2":                  {MaxVersion: tls.VersionTLS12},
		"1.2 with AES-256-GCM": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}},
	} {
		conn, err := dialTLS(address, c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = conn.Close()
	}
	for name, c := range map[string]*tls.Config{
		"1.1":             {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"1.0":             {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
		"1.2 with CBC":    {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256}},
		"1.2 without DHE": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
		"1.2 with RC4":    {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}},
	} {
		if conn, err := dialTLS(address, c); err == nil {
			_ = conn.Close()
			t.Errorf("%s was spoken", name)
		}
	}
}

func TestBrowsersAreHeldToTLS(t *testing.T) {
	t.Parallel()
	address := serveTLS(t, t.TempDir())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answer, err := client.Get("https://" + address + "/sign-in")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if got := answer.Header.Get("Strict-Transport-Security"); !strings.HasPrefix(got, "max-age=") {
		t.Errorf("Strict-Transport-Security is %q", got)
	}
}

// A renewed certificate is shown to those who come, and nobody is cut off.
func TestRenewedCertificateIsServedWithoutARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address := serveTLS(t, dir)
	first, err := dialTLS(address, &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	if got := shown(t, first); got != 1 {
		t.Fatalf("certificate %d is shown", got)
	}
	// A file that is no certificate changes nothing.
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for broken := true; ; {
		conn, err := dialTLS(address, &tls.Config{})
		if err != nil {
			t.Fatal(err)
		}
		got := shown(t, conn)
		_ = conn.Close()
		if got == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is never shown")
		}
		time.Sleep(lookEvery / 4)
		if broken && time.Until(deadline) < 8*time.Second { // it has been looked at
			writeCertificate(t, dir, 2)
			broken = false
		}
	}
	if _, err := first.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := first.Read(make([]byte, 64)); err != nil || n == 0 {
		t.Errorf("the connection from before: %v", err)
	}
}
