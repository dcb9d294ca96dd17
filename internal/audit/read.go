package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/millwright/millwright/models"
)

const (
	// exportLineMax bounds a line of an export. Bytes; an event is about 600.
	exportLineMax = 1 << 20
	// aheadMax bounds what is held to tell moved events from changed ones.
	aheadMax = 4 << 20
)

// VerifyExport checks an export with the public key alone. outside may hold
// checkpoints that were kept elsewhere (their file's text), or be nil.
// The error is for what can't be read at all; everything else is the report's.
func VerifyExport(file io.ReadSeeker, key PublicKey, outside io.Reader) (Report, error) {
	head, checkpoints, err := survey(file)
	if err != nil {
		return Report{NeedsCheckpoint: true}, err
	}
	more, err := outsideOf(outside, head.Org)
	if err != nil {
		return Report{NeedsCheckpoint: true}, err
	}
	return verifyFile(file, head, key, append(checkpoints, more...))
}

// survey reads the first line and gathers the checkpoints, wherever they are.
func survey(file io.ReadSeeker) (head header, checkpoints []models.AuditCheckpoint, err error) {
	lines := scan(file)
	if !lines.Scan() {
		return head, nil, errors.Join(errors.New("this is not an export: it is empty"), lines.Err())
	}
	head, ok := parseObject[header](lines.Bytes())
	if !ok || head.Export != exportForm || head.Org == "" {
		return head, nil, errors.New("this is not an export of a history that this version can read")
	}
	for lines.Scan() {
		if !bytes.HasPrefix(lines.Bytes(), []byte(lineCheckpoint)) {
			continue
		}
		if c, ok := parseObject[checkpointLine](lines.Bytes()); ok {
			checkpoints = append(checkpoints, c.Checkpoint)
		}
	}
	if err := lines.Err(); err != nil {
		return head, nil, fmt.Errorf("read the export: %w", err)
	}
	_, err = file.Seek(0, io.SeekStart)
	return head, checkpoints, err
}

func scan(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), exportLineMax)
	lines.Split(wholeLines)
	return lines
}

// wholeLines cuts at line feeds and nowhere else: a carriage return belongs to
// the line, which is then not one of ours.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// exportReader walks over an export's lines.
type exportReader struct {
	*walker
	partial bool
	ahead   []entry
	held    int // bytes of ahead
	tail    int
	foot    *footer
}

func (v *exportReader) read(file io.Reader) (*Fault, error) {
	lines := scan(file)
	lines.Scan() // the header
	for number := 2; lines.Scan(); number++ {
		if fault := v.line(lines.Bytes(), number); fault != nil {
			return fault, nil
		}
	}
	return v.flush(), lines.Err()
}

func (v *exportReader) line(line []byte, number int) *Fault {
	strange := func(what string) *Fault {
		if fault := v.flush(); fault != nil {
			return fault
		}
		return &Fault{Kind: Unread, Sequence: v.sequence + 1, Detail: fmt.Sprintf("Line %d %s", number, what)}
	}
	if v.foot != nil {
		return strange("stands behind the end of the export")
	}
	switch {
	case bytes.HasPrefix(line, []byte(lineSequence)):
		e, ok := parseEntry(line)
		if !ok {
			return strange("is not an event as an export has it")
		}
		if v.tail > 0 && !v.partial {
			return strange("is sealed, and stands behind events that are not")
		}
		return v.hold(e)
	case bytes.HasPrefix(line, []byte(lineUnsealed)):
		e, ok := parseUnsealed(line)
		if !ok || e.missing {
			return strange("is not an event as an export has it")
		}
		if fault := v.flush(); fault != nil {
			return fault
		}
		v.tail++
		return v.unlinked(&e)
	case bytes.HasPrefix(line, []byte(lineCheckpoint)):
		if _, ok := parseObject[checkpointLine](line); !ok {
			return strange("is not a checkpoint as an export has it")
		}
		return nil // survey has it
	case bytes.HasPrefix(line, []byte(lineEnd)):
		foot, ok := parseObject[footer](line)
		if fault := v.flush(); fault != nil {
			return fault
		}
		if !ok || !v.partial && foot.Sealed != v.sequence || foot.Unsealed != int64(v.tail) {
			return strange("counts other events than the export has")
		}
		v.foot = &foot
		return nil
	}
	return strange("is none that an export has")
}

// hold keeps an entry until there are enough behind it to tell what happened
// to it, should anything have.
func (v *exportReader) hold(e entry) *Fault {
	if v.partial {
		if e.missing || !e.matches(v.org, e.previous, e.body) {
			return &Fault{Kind: Changed, Sequence: e.sequence, Event: e.event, Detail: "It is not what was sealed"}
		}
		v.sequence = e.sequence
		return nil
	}
	v.ahead = append(v.ahead, e)
	v.held += len(e.body)
	if len(v.ahead) < readAtOnce && v.held < aheadMax {
		return nil
	}
	return v.flush()
}

func (v *exportReader) flush() *Fault {
	held := v.ahead
	v.ahead, v.held = v.ahead[:0], 0
	return v.walk(held)
}

func (v *exportReader) unlinked(e *entry) *Fault {
	told, ok := headOf(e.body)
	if !ok || told.id != e.event || told.org != v.org {
		return &Fault{Kind: Changed, Event: e.event, Detail: "What is said of it is not what its text says"}
	}
	if v.partial {
		return nil
	}
	return v.unsealed(e.event, told.at)
}
