package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// The synthetic screen: 1280 × 800 pixels, Raw, as an ESXi host would send
// them to a client that asks for no compression.
const (
	screenWidth, screenHeight = 1280, 800
	frameBytes                = 4 + 12 + 4*screenWidth*screenHeight
	rectangleBytes            = 4 + 12 + 4*5*5 // what a key's echo changes
	screenGreeting            = "RFB 003.008\n"
	messageBytes              = 64 << 10 // of one WebSocket message
)

// Messages of a client, RFC 6143 §7.5.
const (
	askUpdate  = 3 // FramebufferUpdateRequest, 10 bytes: answered by a whole frame
	sendKey    = 4 // KeyEvent, 8 bytes: answered by one small rectangle
	askLength  = 10
	keyLength  = 8
	rawMessage = 0
)

// screenAddresses is where the synthetic screen is served, and how its
// certificate is known.
type screenAddresses struct {
	TCP             string `json:"tcp"` // host:port, as all of them
	TLS             string `json:"tls"`
	WebSocket       string `json:"websocket"`
	SecureWebSocket string `json:"secure_websocket"`
	Thumbprint      string `json:"thumbprint"` // SHA-256
}

// playScreen serves the same stream four ways.
func playScreen(ctx context.Context, _ json.RawMessage) (any, error) {
	certificate, err := newCertificate()
	if err != nil {
		return nil, err
	}
	secure := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	up := websocket.Upgrader{Subprotocols: []string{"binary"}, CheckOrigin: func(*http.Request) bool { return true }}
	sockets := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := up.Upgrade(w, r, nil); err == nil {
			showScreen(newStream(conn.NetConn(), true, false))
		}
	})
	var told screenAddresses
	for _, way := range []struct {
		address *string
		secure  bool
		socket  bool
	}{{&told.TCP, false, false}, {&told.TLS, true, false}, {&told.WebSocket, false, true}, {&told.SecureWebSocket, true, true}} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		*way.address = l.Addr().String()
		if way.secure {
			l = tls.NewListener(l, secure)
		}
		if way.socket {
			go func() { _ = (&http.Server{Handler: sockets, ReadHeaderTimeout: time.Minute}).Serve(l) }()
			continue
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go showScreen(newStream(conn, false, false))
			}
		}()
	}
	sum := sha256.Sum256(certificate.Certificate[0])
	told.Thumbprint = hex.EncodeToString(sum[:])
	return told, nil
}

// What a screen says, as it goes out with frames and without: made once for
// all connections, and not in the processes that only pass it on.
var (
	wholeFrame     = sync.OnceValue(func() []byte { return update(screenWidth, screenHeight) })
	smallRectangle = sync.OnceValue(func() []byte { return update(5, 5) })
	framedFrame    = sync.OnceValue(func() []byte { return frames(wholeFrame(), binaryFrame, false) })
	framedSmall    = sync.OnceValue(func() []byte { return frames(smallRectangle(), binaryFrame, false) })
)

// showScreen greets, then answers each request.
func showScreen(s *stream) {
	defer s.Close()
	if s.write(s.wire([]byte(screenGreeting))) != nil {
		return
	}
	frame, rectangle := wholeFrame, smallRectangle
	if s.framed {
		frame, rectangle = framedFrame, framedSmall
	}
	for {
		kind, err := s.take(1)
		if err != nil {
			return
		}
		length, answer := askLength, frame
		if kind == sendKey {
			length, answer = keyLength, rectangle
		}
		if _, err := s.take(length - 1); err != nil {
			return
		}
		if s.write(answer()) != nil {
			return
		}
	}
}

// update is a FramebufferUpdate with one Raw rectangle.
func update(width, height int) []byte {
	text := make([]byte, 16+4*width*height)
	text[0] = rawMessage
	binary.BigEndian.PutUint16(text[2:], 1)
	binary.BigEndian.PutUint16(text[8:], uint16(width))
	binary.BigEndian.PutUint16(text[10:], uint16(height))
	for i := 16; i < len(text); i++ {
		text[i] = byte(i * 7)
	}
	return text
}

func newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// writeCertificate puts certificate and key into one file, as websockify reads it.
func writeCertificate(dir string) (string, error) {
	c, err := newCertificate()
	if err != nil {
		return "", err
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return "", err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})...)
	path := filepath.Join(dir, "self.pem")
	return path, os.WriteFile(path, text, 0o600)
}

// playRelay passes bytes on as simply as a program can: io.Copy between two
// TCP connections, which the kernel may splice.
func playRelay(ctx context.Context, options json.RawMessage) (any, error) {
	var to string
	if err := json.Unmarshal(options, &to); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				upstream, err := new(net.Dialer).DialContext(ctx, "tcp", to)
				if err != nil {
					return
				}
				defer upstream.Close()
				go func() { _, _ = io.Copy(upstream, client) }()
				_, _ = io.Copy(client, upstream)
			}()
		}
	}()
	return l.Addr().String(), nil
}
