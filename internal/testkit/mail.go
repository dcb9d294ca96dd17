package testkit

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// MailServer takes mail on loopback. It offers STARTTLS and, under it, PLAIN.
type MailServer struct {
	Port    int
	TLS     *tls.Config // its certificate, and whom to trust to know it
	Letters chan string // as they came
	// Plain offers PLAIN in the clear, as a relay on the same machine does.
	Plain bool

	mu      sync.Mutex
	refuse  int // answer to the next RCPTs
	refused int
	user    string // of the last sign-in
}

// NewMailServer serves until the test ends.
func NewMailServer(t testing.TB) *MailServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &MailServer{Port: listener.Addr().(*net.TCPAddr).Port, Letters: make(chan string, 10), TLS: Certificate(t)}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.talk(conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	return s
}

// Refuse answers that code to the next recipients: for good from 500 on, below
// that until it has done so twice.
func (s *MailServer) Refuse(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse, s.refused = code, 0
}

// Refused is how many recipients were refused.
func (s *MailServer) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// User is who has signed in last: "/name/password", "" for nobody.
func (s *MailServer) User() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.user
}

// Letter waits for the next one.
func (s *MailServer) Letter(t testing.TB) string {
	t.Helper()
	select {
	case text := <-s.Letters:
		return text
	case <-time.After(30 * time.Second):
		t.Fatal("no letter came")
		return ""
	}
}

func (s *MailServer) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(conn)
	say := func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
	secure := s.Plain
	say("220 test")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToUpper(word) {
		case "EHLO":
			if secure {
				say("250-test\r\n250 AUTH PLAIN")
			} else {
				say("250-test\r\n250 STARTTLS")
			}
		case "STARTTLS":
			say("220 go")
			over := tls.Server(conn, s.TLS)
			conn, in, secure = over, bufio.NewReader(over), true
		case "AUTH":
			_, encoded, _ := strings.Cut(rest, " ")
			plain, _ := base64.StdEncoding.DecodeString(encoded)
			s.mu.Lock()
			s.user = strings.ReplaceAll(string(plain), "\x00", "/")
			s.mu.Unlock()
			say("235 ok")
		case "RCPT":
			if code := s.recipient(); code != 0 {
				say(fmt.Sprintf("%d not this one", code))
			} else {
				say("250 ok")
			}
		case "DATA":
			say("354 go")
			text, err := letter(in)
			if err != nil {
				return
			}
			say("250 taken")
			s.Letters <- text
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// recipient is the answer to one, 0 for yes.
func (s *MailServer) recipient() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := s.refuse
	if code != 0 {
		s.refused++
	}
	if code >= 400 && code < 500 && s.refused == 2 { // twice "later", then it takes it
		s.refuse = 0
	}
	return code
}

func letter(in *bufio.Reader) (string, error) {
	var b bytes.Buffer
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return b.String(), err
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}

// Certificate is a new one for 127.0.0.1, which trusts itself alone.
func Certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "loopback"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, RootCAs: roots, MinVersion: tls.VersionTLS12}
}
