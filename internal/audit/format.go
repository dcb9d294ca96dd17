package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
)

// An export is a line of JSON each for: what it is; every event with its link,
// in the chain's order; behind the event that it stands on, a checkpoint; the
// events that have no link yet; and that this was all. Lines have one form
// only, byte for byte, so that no two readers understand one differently.

// header is the first line.
type header struct {
	Export   int          `json:"millwright_export"` // the form's number
	Org      models.OrgID `json:"org"`
	Slug     string       `json:"slug"`
	At       time.Time    `json:"at"`
	Complete bool         `json:"complete"` // else it was filtered, and proves nothing of what is missing
	Note     string       `json:"note,omitempty"`
	// After is the signed checkpoint behind which it begins, where segments
	// have what came before.
	After *models.AuditCheckpoint `json:"after,omitempty"`
}

// footer is the last line.
type footer struct {
	End      bool  `json:"end"`
	Sealed   int64 `json:"sealed"`
	Unsealed int64 `json:"unsealed"`
}

const exportForm = 1

const (
	lineSequence   = `{"sequence":`
	lineEvent      = `,"event_id":"`
	linePrevious   = `","previous_hash":"`
	lineHash       = `","hash":"`
	lineBody       = `","event":`
	lineUnsealed   = `{"unsealed":true,"event_id":"`
	lineCheckpoint = `{"checkpoint":`
	lineEnd        = `{"end":`
)

// appendEntry writes an event with its link; the body goes in as it is.
func appendEntry(b []byte, e *entry) []byte {
	b = append(b, lineSequence...)
	b = strconv.AppendInt(b, e.sequence, 10)
	b = append(append(b, lineEvent...), e.event...)
	b = append(append(b, linePrevious...), e.previous...)
	b = append(append(b, lineHash...), e.hash...)
	return appendBody(b, e)
}

func appendUnsealed(b []byte, e *entry) []byte {
	return appendBody(append(append(b, lineUnsealed...), e.event...), e)
}

func appendBody(b []byte, e *entry) []byte {
	b = append(b, lineBody...)
	if e.missing {
		b = append(b, "null"...)
	} else {
		b = append(b, e.body...)
	}
	return append(b, '}', '\n')
}

// parseEntry reads what appendEntry wrote, and nothing else.
func parseEntry(line []byte) (entry, bool) {
	var e entry
	text := string(line)
	sequence, rest, ok1 := cutField(text, lineSequence, lineEvent)
	event, rest, ok2 := strings.Cut(rest, linePrevious)
	previous, rest, ok3 := strings.Cut(rest, lineHash)
	hash, rest, ok4 := strings.Cut(rest, lineBody)
	n, err := strconv.ParseInt(sequence, 10, 64)
	if !ok1 || !ok2 || !ok3 || !ok4 || err != nil || n < 1 || strconv.FormatInt(n, 10) != sequence {
		return e, false
	}
	e = entry{sequence: n, event: models.EventID(event), previous: previous, hash: hash}
	return e, plain(event, previous, hash) && e.takeBody(rest)
}

func parseUnsealed(line []byte) (entry, bool) {
	event, rest, ok := cutField(string(line), lineUnsealed, lineBody)
	e := entry{event: models.EventID(event)}
	return e, ok && plain(event) && e.takeBody(rest)
}

func (e *entry) takeBody(rest string) bool {
	body, ok := strings.CutSuffix(rest, "}")
	if body == "null" {
		e.missing = true
		return ok
	}
	e.body = body
	return ok && body != ""
}

func cutField(text, prefix, end string) (field, rest string, ok bool) {
	text, found := strings.CutPrefix(text, prefix)
	field, rest, ok = strings.Cut(text, end)
	return field, rest, ok && found
}

// plain says whether nothing in the fields could end a JSON string.
func plain(fields ...string) bool {
	for _, f := range fields {
		if strings.ContainsFunc(f, func(r rune) bool { return r < 0x20 || r == '"' || r == '\\' || r > 0x7e }) {
			return false
		}
	}
	return true
}

// appendObject writes any other line.
func appendObject(b []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(append(b, text...), '\n'), err
}

type checkpointLine struct {
	Checkpoint models.AuditCheckpoint `json:"checkpoint"`
}

// parseObject reads a line that appendObject wrote, and nothing else.
func parseObject[T any](line []byte) (v T, ok bool) {
	if json.Unmarshal(line, &v) != nil {
		return v, false
	}
	again, err := appendObject(nil, v)
	return v, err == nil && bytes.Equal(bytes.TrimSuffix(again, []byte{'\n'}), line)
}
