package console

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// crowd lets so many consoles be open at once on one machine.
func (b *bench) crowd(n int) {
	b.t.Helper()
	limits := maps.Clone(testkit.RoomyLimits)
	limits[models.ResourceConsoles] = int64(n)
	if _, err := b.world.System.PutOrg(context.Background(), "acme", "Acme", limits); err != nil {
		b.t.Fatal(err)
	}
	b.service.options.Limits = Limits{Open: models.ConsoleLimits{User: n, Machine: n, Host: n},
		TicketsPerMinute: Rates{User: 10 * n, Machine: 10 * n, Org: 10 * n, Host: 10 * n}, DialsPerHost: 16}.orDefault()
}

// onlooker is a page that reads all the time and remembers the newest list.
type onlooker struct {
	conn  *websocket.Conn
	lists atomic.Int64
	mu    sync.Mutex
	last  []viewer
}

func (o *onlooker) read() {
	for {
		kind, p, err := o.conn.ReadMessage()
		if err != nil {
			return
		}
		var s textFrame
		if kind == websocket.TextMessage && json.Unmarshal(p, &s) == nil && s.Viewers != nil {
			o.mu.Lock()
			o.last = s.Viewers
			o.mu.Unlock()
			o.lists.Add(1)
		}
	}
}

// Each who comes concerns all who are there. Their pages are told of many at
// once, not of each.
func TestCrowdIsToldOfItselfNowAndThen(t *testing.T) {
	t.Parallel()
	const people = 200
	const gather = 500 * time.Millisecond
	b := newBench(t, func(s *Service) { s.timing.gather, s.timing.recheck = gather, time.Minute })
	b.crowd(people)
	who := []person{b.user(), b.admin()}
	var crowd []*onlooker
	begun := time.Now()
	for i := range people {
		p := who[i%len(who)]
		o := &onlooker{conn: b.connect(p, b.mustIssue(p, models.ConsoleAsk{Mode: models.ConsoleView}))}
		b.read(o.conn, len(greeting))
		b.host.next(t)
		if err := ping(o.conn, i); err != nil {
			t.Fatal(err)
		}
		_ = o.conn.SetReadDeadline(time.Now().Add(time.Minute))
		crowd = append(crowd, o)
		go o.read()
	}
	for i, o := range crowd {
		b.until("everybody's list is whole", func() bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			return len(o.last) == people
		})
		names := map[string]int{}
		for k, v := range o.last {
			names[v.Name]++
			if v.You != (k == i) {
				t.Fatalf("page %d is told that it were number %d", i, k)
			}
		}
		if names[who[0].who.User.Name] != people/2 || names[who[1].who.User.Name] != people/2 {
			t.Fatalf("page %d is told of %v", i, names)
		}
	}
	most := int64(time.Since(begun)/gather) + 2
	if most >= people/2 {
		t.Fatalf("%d consoles took so long to open that this shows nothing", people)
	}
	for i, o := range crowd {
		if n := o.lists.Load(); n > most {
			t.Errorf("page %d was told %d times, want %d at most", i, n, most)
		}
	}
}

// The newest is never lost, nobody waits longer than the pause, and machines
// don't wait for each other.
func TestMachinesTakeTheirTurns(t *testing.T) {
	t.Parallel()
	const every = 250 * time.Millisecond
	w := newWatched()
	now := time.Now()
	take := func(after, again time.Duration, want ...models.MachineID) {
		t.Helper()
		ripe, wait := w.take(now.Add(after), every)
		got := slices.Sorted(maps.Keys(ripe))
		if !slices.Equal(got, want) || wait != again {
			t.Errorf("after %v it is the turn of %v and again in %v, want %v and %v", after, got, wait, want, again)
		}
	}
	take(0, 0)
	w.ask("a")
	w.ask("a")
	take(0, 0, "a")
	w.ask("a")
	w.ask("b")
	take(100*time.Millisecond, 150*time.Millisecond, "b")
	w.ask("b")
	take(200*time.Millisecond, 50*time.Millisecond)
	take(250*time.Millisecond, 100*time.Millisecond, "a")
	take(350*time.Millisecond, 0, "b")
	take(time.Second, 0)
	if len(w.last) != 0 || len(w.due) != 0 {
		t.Errorf("%d and %d machines are remembered for nothing", len(w.last), len(w.due))
	}
}
