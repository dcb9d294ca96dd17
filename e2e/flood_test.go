package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// nowhere counts who asks for a screen, and gives none.
type nowhere struct{ asked atomic.Int64 }

func (n *nowhere) AcquireScreen(context.Context, models.CloudID, string) (vsphere.Screen, error) {
	n.asked.Add(1)
	return vsphere.Screen{}, &vsphere.Error{Code: vsphere.CodeUnreachable, Op: "open the screen"}
}

// memory is what the process keeps.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// Nobody without a session gets as far as a hypervisor, in whatever numbers
// they come, and those who have one work on meanwhile.
func TestFloodOfStrangersReachesNothing(t *testing.T) {
	t.Parallel()
	screens := &nowhere{}
	p := newScreenPortal(t, screens)
	user := testkit.NewVisitor(t, p.url)
	user.SignIn(t, "user@acme.example", testkit.SitePassword)
	page := "/orgs/acme/machines/" + string(p.machine.ID)
	if a, err := user.Get(page); err != nil || a.Status != http.StatusOK {
		t.Fatalf("before the flood: %d %v", a.Status, err)
	}
	address := strings.TrimPrefix(p.url, "http://")
	hello := func(session string) string {
		return fmt.Sprintf("GET /console HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"+
			"Sec-WebSocket-Protocol: binary, ticket.%s\r\nCookie: millwright=%s\r\n\r\n", address, p.url, strings.Repeat("A", 43), session)
	}
	const connects, atOnce, halves = 10_000, 100, 1_000
	before := memory()
	begun := time.Now()

	// Some never finish what they have to say, and stay.
	var held []net.Conn
	for range halves {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte("GET /console HTTP/1.1\r\nHost: "))
		held = append(held, conn)
	}
	var upgraded, answered atomic.Int64
	work := make(chan int)
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for n := range work {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Errorf("connect %d: %v", n, err)
					continue
				}
				_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
				session := "" // none, or one that never was
				if n%2 == 1 {
					session = fmt.Sprintf("%043d", n)
				}
				_, _ = conn.Write([]byte(hello(session)))
				if n%4 != 3 { // the fourth hangs up without waiting
					if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
						answered.Add(1)
						if res.StatusCode == http.StatusSwitchingProtocols {
							upgraded.Add(1)
						}
						_ = res.Body.Close()
					}
				}
				_ = conn.Close()
			}
		})
	}
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		for n := range connects - halves {
			work <- n
		}
		close(work)
		all.Wait()
	}()
	pages, slowest := 0, time.Duration(0)
	for flowing := true; flowing; {
		select {
		case <-flooded:
			flowing = false
		default:
			asked := time.Now()
			a, err := user.Get(page)
			if err != nil || a.Status != http.StatusOK || !strings.Contains(a.Body, p.machine.Name) {
				t.Fatalf("during the flood, after %d pages: %d %v", pages, a.Status, err)
			}
			pages++
			slowest = max(slowest, time.Since(asked))
		}
	}
	took := time.Since(begun)
	after := memory()
	for _, conn := range held {
		_ = conn.Close()
	}
	t.Logf("%d connects in %s, %d answered; %d pages meanwhile, the slowest in %s; %d KiB kept before, %d after",
		connects, took.Round(time.Millisecond), answered.Load(), pages, slowest.Round(time.Millisecond), before>>10, after>>10)
	if upgraded.Load() > 0 {
		t.Errorf("%d strangers were let in", upgraded.Load())
	}
	if want := int64(connects-halves) * 3 / 4; answered.Load() < want*99/100 {
		t.Errorf("%d of %d were answered", answered.Load(), want)
	}
	if screens.asked.Load() > 0 {
		t.Errorf("%d screens were asked for", screens.asked.Load())
	}
	if pages < 10 || slowest > 5*time.Second {
		t.Errorf("%d pages came during the flood, the slowest after %s", pages, slowest)
	}
	// Those that stay cost a goroutine and its buffers each; those that went, nothing.
	if after > before+48<<20 {
		t.Errorf("the flood left %d MiB", (after-before)>>20)
	}
	if open := p.openConsoles(t); open != 0 {
		t.Errorf("%d consoles count as open", open)
	}
}
