package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
)

// genesis is what stands for the hash before the first event.
var genesis = strings.Repeat("0", 2*sha256.Size)

// chainTag begins what is hashed, so that a hash made for anything else, or
// by a later way of making them, is never taken for one of these.
const chainTag = "millwright history 1"

// Hash is a link's hash: SHA-256 over the tag, the previous hash, the org, the
// sequence, the event's id and its body, each as its length in bytes, a colon
// and the bytes, in lower-case hexadecimal.
func Hash(previous string, org models.OrgID, sequence int64, event models.EventID, body string) string {
	buf := make([]byte, 0, len(body)+256)
	for _, part := range [...]string{chainTag, previous, string(org), strconv.FormatInt(sequence, 10), string(event), body} {
		buf = strconv.AppendInt(buf, int64(len(part)), 10)
		buf = append(buf, ':')
		buf = append(buf, part...)
	}
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:])
}

// entry is one place of a chain, as a database or an export has it.
type entry struct {
	sequence int64
	event    models.EventID
	previous string
	hash     string
	body     string
	missing  bool // the event itself isn't there
	altered  bool // its columns don't say what its body does
	told     *head
}

// head is what a body says of its place: the columns' word where they have
// been compared with the body, else nil.
type head struct {
	id  models.EventID
	org models.OrgID
	at  time.Time
}

func (e *entry) matches(org models.OrgID, previous string, body string) bool {
	return Hash(previous, org, e.sequence, e.event, body) == e.hash
}

func entryOf(row models.LinkedEvent) entry {
	e := entry{sequence: row.Link.Sequence, event: row.Link.EventID, previous: row.Link.PreviousHash, hash: row.Link.Hash}
	if row.Event == nil {
		e.missing = true
		return e
	}
	e.body = row.Event.Body
	e.altered = !row.Event.BodyMatches() || row.Event.ID != e.event
	if !e.altered {
		e.told = &head{id: row.Event.ID, org: row.Event.OrgID, at: row.Event.At.UTC()}
	}
	return e
}

// entryOfBody has no columns to compare: an export carries the text alone.
func entryOfBody(row models.LinkedBody) entry {
	e := entry{sequence: row.Link.Sequence, event: row.Link.EventID, previous: row.Link.PreviousHash, hash: row.Link.Hash, missing: row.Body == nil}
	if row.Body != nil {
		e.body = *row.Body
	}
	return e
}
