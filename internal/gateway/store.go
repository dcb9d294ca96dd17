package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millwright/millwright/internal/edge"
)

// Store is the state folder: what served last, and the ledger.
type Store struct{ dir string }

// OpenStore makes the folder. It holds VPN keys: nobody else may look in.
func OpenStore(dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, "good"), 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	return &Store{dir: dir}, nil
}

// Good lists the last good state of each org that can be read; the error tells
// of the others.
func (s *Store) Good() ([]edge.Org, error) {
	paths, err := filepath.Glob(filepath.Join(s.dir, "good", "*.json"))
	if err != nil {
		return nil, err
	}
	var list []edge.Org
	var unread error
	for _, path := range paths {
		var org edge.Org
		text, err := os.ReadFile(path) // #nosec G304 -- in our own folder
		if err == nil {
			err = json.Unmarshal(text, &org)
		}
		if err != nil {
			unread = errors.Join(unread, fmt.Errorf("%s: %w", filepath.Base(path), err))
			continue
		}
		list = append(list, org)
	}
	return list, unread
}

// Keep remembers an org's state as good.
func (s *Store) Keep(org edge.Org) error {
	text, err := json.MarshalIndent(org, "", " ") // #nosec G117 -- the VPN's key is needed to start without the portal; 0600 in 0700
	if err != nil {
		return err
	}
	return WriteFile(filepath.Join(s.dir, "good", org.Key+".json"), text)
}

// Forget drops an org.
func (s *Store) Forget(key string) error {
	err := os.Remove(filepath.Join(s.dir, "good", key+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// WriteFile writes text so that a power cut leaves the old file or the new
// one: beside it, to the disk, renamed.
func WriteFile(path string, text []byte) error {
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // #nosec G304 -- in our own folder
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path)) // the rename itself
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing was written through it
	if err := dir.Sync(); err != nil && !strings.Contains(err.Error(), "invalid") {
		return err
	}
	return nil
}
