package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/millwright/millwright/models"
)

// lineMax bounds a line of a checkpoint file. Bytes.
const lineMax = 64 << 10

// Outside keeps checkpoints in a file that whoever owns the database can't
// write: one JSON object a line, only ever added to.
type Outside struct {
	path string
	mu   sync.Mutex
	last map[models.OrgID]models.AuditCheckpoint
}

// OpenOutside reads the file, or makes it.
func OpenOutside(path string) (*Outside, error) {
	o := &Outside{path: path, last: map[models.OrgID]models.AuditCheckpoint{}}
	err := o.each(func(c models.AuditCheckpoint) {
		if c.Sequence >= o.last[c.OrgID].Sequence {
			o.last[c.OrgID] = c
		}
	})
	if errors.Is(err, os.ErrNotExist) {
		err = os.WriteFile(path, nil, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoints outside the database: %w", err)
	}
	return o, nil
}

// Last is the org's newest; its Sequence is 0 where there is none.
func (o *Outside) Last(org models.OrgID) models.AuditCheckpoint {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last[org]
}

// Of reads the org's checkpoints from the file as it is now.
func (o *Outside) Of(org models.OrgID) ([]models.AuditCheckpoint, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []models.AuditCheckpoint
	err := o.each(func(c models.AuditCheckpoint) {
		if c.OrgID == org {
			list = append(list, c)
		}
	})
	return list, err
}

func (o *Outside) each(fn func(models.AuditCheckpoint)) error {
	f, err := os.Open(o.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return eachCheckpoint(f, fn)
}

// eachCheckpoint reads a checkpoint file. A line that isn't one is passed over:
// a write that a crash cut off leaves such a line.
func eachCheckpoint(r io.Reader, fn func(models.AuditCheckpoint)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), lineMax)
	for lines.Scan() {
		var c models.AuditCheckpoint
		if json.Unmarshal(lines.Bytes(), &c) == nil && c.OrgID != "" && c.Sequence > 0 {
			fn(c)
		}
	}
	return lines.Err()
}

// Append adds a checkpoint and waits until the disk has it.
func (o *Outside) Append(c models.AuditCheckpoint) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	f, err := os.OpenFile(o.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	line := string(text) + "\n" // one write, so that two nodes' lines don't mix
	if endsWithin(f) {
		line = "\n" + line
	}
	_, err = f.WriteString(line)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("put a checkpoint outside the database: %w", err)
	}
	o.last[c.OrgID] = c
	return nil
}

// endsWithin says whether the file's last line was cut off.
func endsWithin(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	tail := make([]byte, 1)
	_, err = f.ReadAt(tail, info.Size()-1)
	return err == nil && tail[0] != '\n'
}
