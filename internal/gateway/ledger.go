package gateway

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Ledger turns counters that begin again (a reload, a reboot) into ones that
// only grow. Its sums and the readings that they include are written together,
// so that a crash in between neither counts twice nor loses: the next reading
// is compared with the one that the sum on disk knows.
//
// Only what a machine carried between the last write and a power cut is lost.
type Ledger struct {
	path string
	book book
	used bool // changed since the last write
}

type book struct {
	Epoch    string                          `json:"epoch"`
	Sequence int64                           `json:"sequence"` // of what is told once
	Entries  map[string]entry                `json:"entries"`
	Nodes    map[string]nodeSince            `json:"nodes"`
	Released map[string]map[string]time.Time `json:"released"` // org → address → when it was last used; zero: it is
}

type entry struct {
	Instance string    `json:"instance"`
	Raw      int64     `json:"raw"`
	Sum      int64     `json:"sum"`
	Seen     time.Time `json:"seen"`
}

type nodeSince struct {
	State string    `json:"state"`
	Since time.Time `json:"since"`
	Seen  time.Time `json:"seen"`
}

// forgetAfter is how long the ledger remembers what nobody mentions.
const forgetAfter = 30 * 24 * time.Hour

// OpenLedger reads the book, or begins one with a new epoch: without it, all
// counters begin from 0.
func OpenLedger(dir string) (*Ledger, error) {
	l := &Ledger{path: filepath.Join(dir, "ledger.json")}
	text, err := os.ReadFile(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("ledger: %w", err)
	default:
		if err := json.Unmarshal(text, &l.book); err != nil {
			l.book = book{} // a new epoch tells the portal that sums were lost
		}
	}
	if l.book.Epoch == "" {
		l.book.Epoch = rand.Text()
	}
	if l.book.Entries == nil {
		l.book.Entries = map[string]entry{}
	}
	if l.book.Nodes == nil {
		l.book.Nodes = map[string]nodeSince{}
	}
	if l.book.Released == nil {
		l.book.Released = map[string]map[string]time.Time{}
	}
	l.used = true
	return l, l.Write()
}

// Epoch of the sums.
func (l *Ledger) Epoch() string { return l.book.Epoch }

// Next numbers what is told once: within an epoch no number comes again.
func (l *Ledger) Next() int64 {
	l.book.Sequence++
	l.used = true
	return l.book.Sequence
}

// Count adds a reading and returns the sum.
func (l *Ledger) Count(key, instance string, raw int64) int64 {
	e := l.book.Entries[key]
	if e.Instance == instance && raw >= e.Raw {
		e.Sum += raw - e.Raw
	} else {
		e.Sum += raw
	}
	e.Instance, e.Raw, e.Seen = instance, raw, time.Now().UTC()
	l.book.Entries[key] = e
	l.used = true
	return e.Sum
}

// Since tells when a node came into the state that it is in.
func (l *Ledger) Since(node, state string) time.Time {
	n, now := l.book.Nodes[node], time.Now().UTC()
	if n.State != state {
		n = nodeSince{State: state, Since: now}
		l.used = true
	}
	n.Seen = now
	l.book.Nodes[node] = n
	return n.Since
}

// Using notes which public addresses an org uses now.
func (l *Ledger) Using(org string, addresses map[string]bool) {
	list := l.book.Released[org]
	if list == nil {
		list = map[string]time.Time{}
		l.book.Released[org] = list
	}
	for a := range addresses {
		if at, known := list[a]; !known || !at.IsZero() {
			list[a], l.used = time.Time{}, true
		}
	}
	for a, at := range list {
		if at.IsZero() && !addresses[a] {
			list[a], l.used = time.Now().UTC(), true
		}
	}
}

// Released lists the addresses that an org used and uses no more.
func (l *Ledger) Released(org string) []string {
	list := []string{}
	for a, at := range l.book.Released[org] {
		if !at.IsZero() {
			list = append(list, a)
		}
	}
	return list
}

// Orgs lists those of which addresses are remembered.
func (l *Ledger) Orgs() []string {
	var list []string
	for org := range l.book.Released {
		list = append(list, org)
	}
	return list
}

// Write brings the book to the disk if anything changed.
func (l *Ledger) Write() error {
	if !l.used {
		return nil
	}
	old := time.Now().Add(-forgetAfter)
	for k, e := range l.book.Entries {
		if e.Seen.Before(old) {
			delete(l.book.Entries, k)
		}
	}
	for k, n := range l.book.Nodes {
		if n.Seen.Before(old) {
			delete(l.book.Nodes, k)
		}
	}
	for org, list := range l.book.Released {
		for a, at := range list {
			if !at.IsZero() && at.Before(old) {
				delete(list, a)
			}
		}
		if len(list) == 0 {
			delete(l.book.Released, org)
		}
	}
	text, err := json.Marshal(l.book)
	if err != nil {
		return err
	}
	if err := WriteFile(l.path, text); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	l.used = false
	return nil
}
