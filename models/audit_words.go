package models

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"
)

// The history is found by words. A word begins where letters or digits begin
// and goes on through what names and addresses are joined with, so that
// web-0042 is found by "web-0042", "web-00" and "0042"; and every search is
// for beginnings of words.

const (
	// wordMax bounds a word in characters; what is longer is found by so many.
	wordMax = 48
	// wordsMax bounds an event's words: what people and guests send has no end.
	wordsMax = 256
)

// joins says whether the sign may stand inside a word.
func joins(r rune) bool { return strings.ContainsRune("-_.:@/+", r) }

func letter(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// eachRun hands over the runs of letters, digits and what joins them, in lower
// case, without what joins them at their ends.
func eachRun(text string, fn func(run string)) {
	for run := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !letter(r) && !joins(r) }) {
		if run = strings.TrimFunc(run, func(r rune) bool { return !letter(r) }); run != "" {
			fn(run)
		}
	}
}

// isID says whether the run is one of our ids: it has no parts to search for.
func isID(run string) bool { return len(run) == 36 && uuid.Validate(run) == nil }

func clip(word string) string {
	n := 0
	for i := range word {
		if n == wordMax {
			return word[:i]
		}
		n++
	}
	return word
}

// words gathers a set of words.
type words map[string]struct{}

func (w words) add(word string) {
	if len(w) < wordsMax {
		w[clip(word)] = struct{}{}
	}
}

// text adds each run, and what is left of it behind each of its joints.
func (w words) text(text string) {
	eachRun(text, func(run string) {
		w.add(run)
		if isID(run) {
			return
		}
		between := false
		for i, r := range run {
			if joins(r) {
				between = true
			} else if between {
				between = false
				w.add(run[i:])
			}
		}
	})
}

// value adds what a before or after says, keys included.
func (w words) value(v any) {
	switch v := v.(type) {
	case string:
		w.text(v)
	case json.Number:
		w.text(v.String())
	case bool:
		if v {
			w.add("true")
		} else {
			w.add("false")
		}
	case []any:
		for _, item := range v {
			w.value(item)
		}
	case map[string]any:
		// In order: where there are too many, it is always the same that count.
		for _, key := range slices.Sorted(maps.Keys(v)) {
			w.text(key)
			w.value(v[key])
		}
	}
}

func (w words) document(text string) {
	if text == "" {
		return
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) == nil {
		w.value(v)
	}
}

// Words of a filter's menus have a sign in them that no other word has.
func actionWord(a Action) string   { return "action=" + string(a) }
func outcomeWord(o Outcome) string { return "outcome=" + string(o) }

// words are the event's. Its own id, its object's and its request's are not
// among them: these have indexes of their own, and nearly every one is unique.
func (e *AuditEvent) words() words {
	w := e.fieldWords()
	e.addDocuments(w)
	return w
}

// fieldWords come first, and count whatever the documents have.
func (e *AuditEvent) fieldWords() words {
	w := words{}
	w.add(actionWord(e.Action))
	w.add(outcomeWord(e.Outcome))
	for _, text := range [...]string{string(e.Action), string(e.Outcome), string(e.ActorKind), e.ActorName, e.ActorID, string(e.SessionID), e.Source,
		e.ObjectKind, e.ObjectName} {
		w.text(text)
	}
	if !isID(e.ObjectID) {
		w.text(e.ObjectID)
	}
	return w
}

func (e *AuditEvent) addDocuments(w words) {
	w.document(e.Before)
	w.document(e.After)
}
