package models

import (
	"bytes"
	"encoding/json"
	"time"
)

// bodyTime is how an event's body writes its time.
const bodyTime = "2006-01-02T15:04:05.000000Z"

// BodyMatches says whether the columns, which pages show, still say what the
// body does, which the chain is made over. A body may say more: a later version
// adds to what it says, and never changes what earlier ones said.
func (e *AuditEvent) BodyMatches() bool {
	return e.writesBody() || e.bodyTells()
}

// writesBody says whether the columns make exactly this body, which is so for
// every event that nobody touched. It saves reading the body: a verification
// does so a hundred thousand times a second.
func (e *AuditEvent) writesBody() bool {
	for _, document := range [...]string{e.Before, e.After} {
		// Else what one column lacks could stand at the end of another.
		if document != "" && !json.Valid([]byte(document)) {
			return false
		}
	}
	if e.At.Nanosecond()%1000 != 0 {
		return false
	}
	var room [2048]byte
	b := append(room[:0], `{"action":`...)
	b = appendText(b, string(e.Action))
	b = appendField(b, `,"actor":{"id":`, e.ActorID)
	b = appendField(b, `,"kind":`, string(e.ActorKind))
	b = appendField(b, `,"name":`, e.ActorName)
	b = append(append(b, `},"after":`...), orNull(e.After)...)
	b = append(b, `,"at":"`...)
	b = append(e.At.UTC().AppendFormat(b, bodyTime), '"')
	b = append(append(b, `,"before":`...), orNull(e.Before)...)
	b = appendField(b, `,"id":`, string(e.ID))
	b = appendField(b, `,"object":{"id":`, e.ObjectID)
	b = appendField(b, `,"kind":`, e.ObjectKind)
	b = appendField(b, `,"name":`, e.ObjectName)
	b = appendField(b, `},"org":`, string(e.OrgID))
	b = appendField(b, `,"outcome":`, string(e.Outcome))
	b = appendField(b, `,"request":`, e.RequestID)
	b = appendField(b, `,"session":`, string(e.SessionID))
	b = appendField(b, `,"source":`, e.Source)
	return string(append(b, '}')) == e.Body
}

func appendField(b []byte, name, text string) []byte { return appendText(append(b, name...), text) }

// appendText writes a JSON string as canonical does.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			var quoted bytes.Buffer
			enc := json.NewEncoder(&quoted)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(text); err != nil {
				return b
			}
			return append(b, bytes.TrimSuffix(quoted.Bytes(), []byte{'\n'})...)
		}
	}
	return append(append(append(b, '"'), text...), '"')
}

// bodyTells reads the body and compares.
func (e *AuditEvent) bodyTells() bool {
	var told struct {
		ID    EventID   `json:"id"`
		Org   OrgID     `json:"org"`
		At    time.Time `json:"at"`
		Actor struct {
			Kind ActorKind `json:"kind"`
			ID   string    `json:"id"`
			Name string    `json:"name"`
		} `json:"actor"`
		Session SessionID `json:"session"`
		Source  string    `json:"source"`
		Action  Action    `json:"action"`
		Object  struct {
			Kind string `json:"kind"`
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"object"`
		Outcome Outcome         `json:"outcome"`
		Before  json.RawMessage `json:"before"`
		After   json.RawMessage `json:"after"`
		Request string          `json:"request"`
	}
	if json.Unmarshal([]byte(e.Body), &told) != nil || !told.At.Equal(e.At) {
		return false
	}
	for _, pair := range [...][2]string{
		{string(e.ID), string(told.ID)}, {string(e.OrgID), string(told.Org)},
		{string(e.ActorKind), string(told.Actor.Kind)}, {e.ActorID, told.Actor.ID}, {e.ActorName, told.Actor.Name},
		{string(e.SessionID), string(told.Session)}, {e.Source, told.Source}, {string(e.Action), string(told.Action)},
		{e.ObjectKind, told.Object.Kind}, {e.ObjectID, told.Object.ID}, {e.ObjectName, told.Object.Name},
		{string(e.Outcome), string(told.Outcome)}, {orNull(e.Before), string(told.Before)}, {orNull(e.After), string(told.After)},
		{e.RequestID, told.Request},
	} {
		// Bytes that are no UTF-8 became replacement characters in the body.
		if pair[0] != pair[1] && string([]rune(pair[0])) != pair[1] {
			return false
		}
	}
	return true
}
