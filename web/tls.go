package web

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// lookEvery is how often the certificate's files are looked at, while
// connections come: a renewed one is served within this time.
const lookEvery = time.Second

// Certificate is what the portal shows to browsers, read anew when its files
// change. Connections that are open stay as they are.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu     sync.Mutex
	looked time.Time
	stamp  string
	now    *tls.Certificate
}

// ReadCertificate reads it from a chain and a key, both in PEM.
func ReadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, looked: time.Now()}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", certFile, err)
	}
	c.now, c.stamp = &pair, c.stampOf()
	return c, nil
}

// stampOf tells one state of the files from another.
func (c *Certificate) stampOf() string {
	var stamp strings.Builder
	for _, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return ""
		}
		fmt.Fprintf(&stamp, "%d/%d ", info.ModTime().UnixNano(), info.Size())
	}
	return stamp.String()
}

// current is the certificate to show. New files that can't be used, such as
// half-written ones, leave the old one in place and are looked at again.
func (c *Certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookEvery {
		return c.now, nil
	}
	c.looked = time.Now()
	stamp := c.stampOf()
	if stamp == "" || stamp == c.stamp {
		return c.now, nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		c.log.Warn("the new certificate can't be used; the old one goes on", "error", err)
		return c.now, nil
	}
	c.now, c.stamp = &pair, stamp
	c.log.Info("the certificate was read anew", "until", pair.Leaf.NotAfter)
	return c.now, nil
}

// config speaks TLS 1.2 and 1.3, with suites that authenticate what they
// encrypt and keys that are made for the connection. Under FIPS 140-3 Go takes
// those of them away that are not approved.
func (c *Certificate) config() *tls.Config {
	return &tls.Config{
		GetCertificate: c.current,
		MinVersion:     tls.VersionTLS12,
		CipherSuites: []uint16{ // of 1.2; those of 1.3 all are so
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}
