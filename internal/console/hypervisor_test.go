package console

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// screens is vCenter.
type screens struct {
	mu   sync.Mutex
	give func() (vsphere.Screen, error)
}

func (s *screens) AcquireScreen(ctx context.Context, _ models.CloudID, _ string) (vsphere.Screen, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.give()
}

func (s *screens) set(give func() (vsphere.Screen, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.give = give
}

const greeting = "RFB 003.008\n"

// hypervisor speaks just enough of a screen: it greets, then does as the test says.
type hypervisor struct {
	server  *httptest.Server
	sockets chan *screenSocket
	stall   chan struct{} // non-nil: handshakes wait for its end
	onPing  func(*websocket.Conn, string) error
	instead atomic.Pointer[http.HandlerFunc] // answers in its place
}

// answer replaces the screen; nil gives it back.
func (h *hypervisor) answer(f http.HandlerFunc) {
	if f == nil {
		h.instead.Store(nil)
		return
	}
	h.instead.Store(&f)
}

type screenSocket struct {
	conn    *websocket.Conn
	got     chan []byte // messages from the portal; closed at the end
	offered string      // WebSocket extensions
}

func newHypervisor(t *testing.T) *hypervisor {
	t.Helper()
	h := &hypervisor{sockets: make(chan *screenSocket, 16)}
	up := websocket.Upgrader{Subprotocols: []string{"binary"}, CheckOrigin: func(*http.Request) bool { return true }}
	h.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := h.instead.Load(); f != nil {
			(*f)(w, r)
			return
		}
		if h.stall != nil {
			<-h.stall
			return
		}
		if got := r.Header.Get("Sec-WebSocket-Protocol"); got != "binary" {
			t.Errorf("upstream was offered %q", got)
		}
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		if h.onPing != nil {
			conn.SetPingHandler(func(data string) error { return h.onPing(conn, data) })
		}
		s := &screenSocket{conn: conn, got: make(chan []byte, 1024), offered: r.Header.Get("Sec-WebSocket-Extensions")}
		_ = conn.WriteMessage(websocket.BinaryMessage, []byte(greeting))
		h.sockets <- s
		defer close(s.got)
		for {
			_, p, err := conn.ReadMessage()
			if err != nil {
				return
			}
			s.got <- p
		}
	}))
	h.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	h.server.StartTLS()
	t.Cleanup(func() {
		h.server.CloseClientConnections()
		h.server.Close()
	})
	return h
}

func (h *hypervisor) screen() (vsphere.Screen, error) {
	sum := sha256.Sum256(h.server.Certificate().Raw)
	return vsphere.Screen{
		URL:               "wss" + strings.TrimPrefix(h.server.URL, "https") + "/ticket/one-time-secret",
		ThumbprintsSHA256: []string{hex.EncodeToString(sum[:])},
	}, nil
}

func (h *hypervisor) sha1() string {
	sum := sha1.Sum(h.server.Certificate().Raw)
	var pairs []string
	for _, c := range sum {
		pairs = append(pairs, strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return strings.Join(pairs, ":")
}

func (h *hypervisor) next(t *testing.T) *screenSocket {
	t.Helper()
	select {
	case s := <-h.sockets:
		return s
	case <-time.After(patience):
		t.Fatal("nobody came to the hypervisor")
		return nil
	}
}

// draw sends a piece of picture.
func (s *screenSocket) draw(t *testing.T, picture string) {
	t.Helper()
	if err := s.conn.WriteMessage(websocket.BinaryMessage, []byte(picture)); err != nil {
		t.Fatal(err)
	}
}

// receive takes n bytes from the portal.
func (s *screenSocket) receive(t *testing.T, n int) string {
	t.Helper()
	var got []byte
	for len(got) < n {
		select {
		case p, ok := <-s.got:
			if !ok {
				t.Fatalf("the portal left after %d of %d bytes", len(got), n)
			}
			got = append(got, p...)
		case <-time.After(patience):
			t.Fatalf("%d of %d bytes came", len(got), n)
		}
	}
	return string(got)
}

// logged keeps what was logged, for the tests that look for secrets in it.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// otherCertificate is a hypervisor in front of the first, with its own key.
func otherCertificate(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a request reached a hypervisor that was not pinned")
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func itoa(n int) string { return strconv.Itoa(n) }

// providerEvents reads the provider's own history.
func (b *bench) providerEvents(action models.Action) []models.AuditEvent {
	b.t.Helper()
	var page models.Page[models.AuditEvent]
	err := b.world.System.Look(context.Background(), models.ProviderOrg, func(r *models.Reader) (err error) {
		page, err = r.Events(models.EventFilter{Action: action})
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return page.Rows
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
