package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

func TestVSphereDecidesWhatItsRefusalIsCalled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	for code, want := range map[vsphere.Code]ending{
		vsphere.CodeInvalidState: endNotOn,
		vsphere.CodeNotFound:     endGone,
		vsphere.CodeBusy:         endTooMany,
		vsphere.CodeUnreachable:  endUnreachable,
		vsphere.CodeFault:        endUnreachable,
	} {
		b.screens.set(func() (vsphere.Screen, error) {
			return vsphere.Screen{}, &vsphere.Error{Code: code, Op: "open the screen", Text: "esx17.secret.example says no"}
		})
		b.wantClose(b.connect(u, b.ticket(u, models.ConsoleOperate)), want)
		b.wantEvent(models.ActionConsoleClose, want.text)
	}
	if strings.Contains(b.log.String(), "secret") {
		t.Errorf("the log names the hypervisor:\n%s", b.log)
	}
}

func TestOtherCertificateThanPinnedIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	other := otherCertificate(t)
	for _, change := range map[string]func(*vsphere.Screen){
		"another server":   func(s *vsphere.Screen) { s.URL = "wss" + strings.TrimPrefix(other.URL, "https") + "/ticket/x" },
		"sha-1 of another": func(s *vsphere.Screen) { s.ThumbprintsSHA256, s.ThumbprintSHA1 = nil, strings.Repeat("00:", 19)+"00" },
		"right sha-1 beside": func(s *vsphere.Screen) {
			s.ThumbprintsSHA256[0], s.ThumbprintSHA1 = strings.Repeat("0", 64), b.host.sha1()
		},
		"no thumbprint": func(s *vsphere.Screen) { s.ThumbprintsSHA256 = nil },
		"garbage":       func(s *vsphere.Screen) { s.ThumbprintsSHA256[0] = "zz" },
		"no TLS":        func(s *vsphere.Screen) { s.URL = "ws://127.0.0.1:1/ticket/x" },
	} {
		b.screens.set(func() (vsphere.Screen, error) {
			s, err := b.host.screen()
			change(&s)
			return s, err
		})
		conn := b.connect(u, b.ticket(u, models.ConsoleOperate))
		b.wantClose(conn, endUnreachable)
	}
	if len(b.host.sockets) != 0 {
		t.Error("a refused hypervisor got a socket")
	}
}

func TestOldHostIsPinnedBySHA1(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.screens.set(func() (vsphere.Screen, error) {
		s, err := b.host.screen()
		s.ThumbprintsSHA256, s.ThumbprintSHA1 = nil, b.host.sha1()
		return s, err
	})
	b.watch(b.user(), models.ConsoleOperate)
}

func TestHypervisorThatNeverAnswersClosesWith4502(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.timing.dial = 200 * time.Millisecond })
	b.host.stall = make(chan struct{})
	t.Cleanup(func() { close(b.host.stall) })
	u := b.user()
	b.wantClose(b.connect(u, b.ticket(u, models.ConsoleOperate)), endUnreachable)
	b.wantEvent(models.ActionConsoleClose, endUnreachable.text)
}

func TestRedirectingHypervisorIsNotFollowed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	next := b.host.server.Config.Handler
	b.host.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			next.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	u := b.user()
	b.wantClose(b.connect(u, b.ticket(u, models.ConsoleOperate)), endUnreachable)
}

func TestCloudWithoutClientIsUnreachable(t *testing.T) {
	t.Parallel()
	none := Clients(func(models.CloudID) *vsphere.Client { return nil })
	_, err := none.AcquireScreen(context.Background(), "c", "uuid")
	if screenEnding(err) != endUnreachable || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAnswerWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.user()
	b.host.answer(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, err = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n"))
		for err == nil { // until the portal hangs up
			_, err = conn.Write([]byte("X-More: " + strings.Repeat("x", 1000) + "\r\n"))
		}
	})
	b.wantClose(b.connect(u, b.ticket(u, models.ConsoleOperate)), endUnreachable)
	if !strings.Contains(b.log.String(), errAnswerTooLong.text) {
		t.Errorf("the log does not say why:\n%s", b.log)
	}
}

// vCenter names the address, so whoever rules a vCenter could have the portal
// call at its own doors.
func TestHypervisorAtAForbiddenAddressIsNotCalled(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *Service) { s.options.Guard = vsphere.PublicGuard(false) })
	u := b.user()
	for range failuresMost + 1 { // it is no failing of a host's
		b.wantClose(b.connect(u, b.ticket(u, models.ConsoleOperate)), endUnreachable)
	}
	if len(b.host.sockets) != 0 {
		t.Error("the portal called itself")
	}
	if !strings.Contains(b.log.String(), "address not allowed") || strings.Contains(b.log.String(), "127.0.0.1") {
		t.Errorf("the log says\n%s", b.log)
	}
}
