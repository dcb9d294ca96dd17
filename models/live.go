package models

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Change says that a row was changed and committed: which, never how. Pages
// that watch fetch the row anew, under their own scope.
type Change struct {
	Org  OrgID  `json:"org"`
	Kind string `json:"kind"` // machine, task, event, session, seal; "all" where it isn't known which
	ID   string `json:"id"`
}

// touch marks a row as changed, to be announced at commit.
func (w *Writer) touch(kind, id string) {
	c := Change{Org: w.scope.org, Kind: kind, ID: id}
	if !slices.Contains(w.changed, c) {
		w.changed = append(w.changed, c)
	}
}

func (w *Writer) touchOf(org OrgID, kind, id string) {
	w.changed = append(w.changed, Change{Org: org, Kind: kind, ID: id})
}

const notifyChannel = "millwright"

// announce sends the changes to every node with the commit (PostgreSQL); on
// SQLite there is one node, and changing publishes after the commit.
func (w *Writer) announce() error {
	if w.db.kind != PostgreSQL || len(w.changed) == 0 {
		return nil
	}
	// A notification carries at most 8,000 bytes; a change is about 130.
	for start := 0; start < len(w.changed); start += 40 {
		text, err := json.Marshal(w.changed[start:min(start+40, len(w.changed))])
		if err != nil {
			return err
		}
		if err := notify(w.tx, string(text)); err != nil {
			return err
		}
	}
	return nil
}

// Listen feeds other nodes' changes to this node's subscribers until ctx ends,
// reconnecting as needed. On SQLite there is nothing to listen to.
func (db *DB) Listen(ctx context.Context) {
	for db.kind == PostgreSQL && ctx.Err() == nil {
		if err := db.listenOnce(ctx); err != nil && ctx.Err() == nil {
			db.log.Warn("listening for changes was interrupted", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

func (db *DB) listenOnce(ctx context.Context) error {
	pooled, err := db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack() // a connection of its own, not the pool's
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+notifyChannel); err != nil {
		return err
	}
	db.hub.missed() // whatever was announced while nobody listened
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		var changes []Change
		if json.Unmarshal([]byte(n.Payload), &changes) == nil {
			db.hub.publish(changes)
		}
	}
}

// hub hands changes to this node's subscribers. A slow one misses none that
// matter: in place of what its buffer can't hold it finds one Change of kind
// "all" there.
type hub struct {
	mu   sync.Mutex
	next int
	subs map[int]*subscription
}

type subscription struct {
	org OrgID // "" for all
	out chan Change
}

func newHub() *hub { return &hub{subs: map[int]*subscription{}} }

func (h *hub) publish(changes []Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.subs {
		for _, c := range changes {
			if s.org != "" && s.org != c.Org {
				continue
			}
			select {
			case s.out <- c:
			default:
				s.lookAtAll()
			}
		}
	}
}

// missed tells every subscriber that changes went by unseen.
func (h *hub) missed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.subs {
		s.lookAtAll()
	}
}

// lookAtAll puts one "all" in place of what waits. The hub's lock is held, so
// nobody fills the buffer meanwhile.
func (s *subscription) lookAtAll() {
	for {
		select {
		case s.out <- Change{Org: s.org, Kind: "all"}:
			return
		default:
		}
		for range cap(s.out) {
			select {
			case <-s.out:
			default:
			}
		}
	}
}

func (h *hub) subscribe(org OrgID) (<-chan Change, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := h.next
	h.next++
	s := &subscription{org: org, out: make(chan Change, 256)}
	h.subs[id] = s
	return s.out, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, id)
	}
}

// Watch subscribes to the org's changes. Call the second result when done.
func (s *Scope) Watch() (<-chan Change, func()) { return s.db.hub.subscribe(s.org.ID) }

// Watch subscribes to every org's changes: wakes workers and closes consoles.
func (s *System) Watch() (<-chan Change, func()) { return s.db.hub.subscribe("") }
