package lab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// journal is the inventory on disk: one JSON object per line, appended before
// the change is answered, compacted at each start.
//
// A line reaches the kernel with one write. That is enough for what it
// promises (a killed process loses nothing); a power cut may lose the tail,
// which a lab can bear.
type journal struct {
	mu   sync.Mutex
	file *os.File
	err  error
}

// entry is one line.
type entry struct {
	Op      string   `json:"op"` // machine, gone, folder, pool, unfolder, unpool
	Key     string   `json:"key,omitempty"`
	Path    string   `json:"path,omitempty"`
	Machine *Machine `json:"machine,omitempty"`
}

// inventory is what a journal amounts to.
type inventory struct {
	machines []Machine // in the order in which they were made
	folders  []string
	pools    []string
}

const journalName = "journal.jsonl"

// openJournal reads what there is, writes it anew without its history, and
// opens it for appending. seed is asked only when there is no journal yet.
func openJournal(dir string, seed func() (inventory, error)) (*journal, inventory, error) {
	path := filepath.Join(dir, journalName)
	inv, err := readJournal(path)
	if errors.Is(err, fs.ErrNotExist) {
		inv, err = seed()
	}
	if err != nil {
		return nil, inventory{}, err
	}
	f, err := compact(path, inv)
	if err != nil {
		return nil, inventory{}, fmt.Errorf("lab: compact journal: %w", err)
	}
	return &journal{file: f}, inv, nil
}

func readJournal(path string) (inventory, error) {
	f, err := os.Open(path)
	if err != nil {
		return inventory{}, fmt.Errorf("lab: open journal: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read

	var inv inventory
	byKey := map[string]Machine{}
	var order []string
	lines := bufio.NewReaderSize(f, 1<<16)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			// What follows the last line end was cut off by a kill and was
			// therefore never answered.
			break
		}
		if err != nil {
			return inventory{}, fmt.Errorf("lab: read journal: %w", err)
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return inventory{}, fmt.Errorf("lab: journal line %d: %w", n, err)
		}
		switch e.Op {
		case "machine":
			if _, known := byKey[e.Key]; !known {
				order = append(order, e.Key)
			}
			byKey[e.Key] = *e.Machine
		case "gone":
			delete(byKey, e.Key)
		case "folder":
			inv.folders = append(remove(inv.folders, e.Path), e.Path)
		case "unfolder":
			inv.folders = remove(inv.folders, e.Path)
		case "pool":
			inv.pools = append(remove(inv.pools, e.Path), e.Path)
		case "unpool":
			inv.pools = remove(inv.pools, e.Path)
		}
	}
	for _, key := range order {
		if m, ok := byKey[key]; ok {
			inv.machines = append(inv.machines, m)
			delete(byKey, key) // a key that went and came back is in order twice
		}
	}
	return inv, nil
}

func remove(list []string, s string) []string {
	return slices.DeleteFunc(list, func(x string) bool { return x == s })
}

func compact(path string, inv inventory) (*os.File, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, p := range inv.folders {
		_ = enc.Encode(entry{Op: "folder", Path: p})
	}
	for _, p := range inv.pools {
		_ = enc.Encode(entry{Op: "pool", Path: p})
	}
	for i := range inv.machines {
		if err := enc.Encode(entry{Op: "machine", Key: inv.machines[i].Key, Machine: &inv.machines[i]}); err != nil {
			return nil, err
		}
	}
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(b.Bytes())
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil // the handle follows the file through the rename
}

// append adds one line. It is called while the change is still unanswered.
func (j *journal) append(e entry) {
	line, err := json.Marshal(e)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil && j.file != nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err != nil && j.err == nil {
		j.err = err
	}
}

// failed returns the first error; from then on the journal can't be trusted
// and the vCenter refuses changes.
func (j *journal) failed() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

func (j *journal) close() error {
	if j == nil {
		return nil // never opened
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
