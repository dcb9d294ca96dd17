package models

import (
	"strings"
	"unicode/utf8"
)

// term is what a word has to be, or to begin with.
type term struct {
	word  string
	exact bool
}

// above is behind every word that begins with the term's.
func (t term) above() string { return t.word + "\U0010FFFF" }

func (t term) in(w words) bool {
	if _, ok := w[t.word]; ok || t.exact {
		return ok
	}
	for word := range w {
		if strings.HasPrefix(word, t.word) {
			return true
		}
	}
	return false
}

// terms are what every event that the filter lets through has among its words.
func (f EventFilter) terms() []term {
	var list []term
	if f.Action != "" {
		list = append(list, term{actionWord(f.Action), true})
	}
	if f.Outcome != "" {
		list = append(list, term{outcomeWord(f.Outcome), true})
	}
	seen := map[string]bool{}
	for _, text := range [...]string{f.Actor, f.Object, f.Text} {
		eachRun(text, func(run string) {
			if run = clip(run); !seen[run] {
				seen[run] = true
				list = append(list, term{word: run})
			}
		})
	}
	return list
}

// wordless says whether a text was asked for that has no word in it, and so
// is nowhere.
func (f EventFilter) wordless() bool {
	for _, text := range [...]string{f.Actor, f.Object, f.Text} {
		found := text == ""
		eachRun(text, func(string) { found = true })
		if !found {
			return true
		}
	}
	return false
}

// Matches says whether the filter lets the event through.
func (f EventFilter) Matches(e *AuditEvent) bool {
	switch {
	case f.Action != "" && e.Action != f.Action, f.Outcome != "" && e.Outcome != f.Outcome,
		!f.From.IsZero() && e.At.Before(f.From), !f.To.IsZero() && !e.At.Before(f.To),
		f.Actor != "" && !says(e.ActorName, f.Actor),
		f.Object != "" && e.ObjectID != f.Object && !says(e.ObjectName, f.Object):
		return false
	}
	return f.Text == "" || e.tells(f.Text)
}

// tells whether each word that is asked for begins one of the event's, or the
// whole is an id of it. Nearly every event that is looked at has none of the
// words, or has them in a name, and says so without reading its documents.
func (e *AuditEvent) tells(asked string) bool {
	if id := strings.ToLower(asked); len(id) >= idMin && (id == string(e.ID) || id == e.ObjectID || id == e.RequestID) {
		return true
	}
	texts := [...]string{e.ActorName, e.ObjectName, string(e.Action), string(e.Outcome), string(e.ActorKind), e.Source, e.ObjectKind, e.Before, e.After,
		e.ActorID, string(e.SessionID), e.ObjectID}
	found, asks, read, w := true, false, false, words(nil)
	eachRun(asked, func(run string) {
		asks = true
		if found = found && mayHave(texts[:], run); !found {
			return
		}
		if w == nil {
			w = e.fieldWords()
		}
		t := term{word: clip(run)}
		if found = t.in(w); !found && !read {
			read = true
			e.addDocuments(w)
			found = t.in(w)
		}
	})
	return found && asks
}

// mayHave is false where none of the texts has the run in it, whatever its case.
func mayHave(texts []string, run string) bool {
	for _, text := range texts {
		if hasFold(text, run) {
			return true
		}
	}
	return false
}

// hasFold is true where it can't tell: lower case is more than a bit beyond
// ASCII, and a backslash may stand for anything.
func hasFold(text, run string) bool {
	for i := range len(run) {
		if run[i] >= utf8.RuneSelf {
			return true
		}
	}
	for i := range len(text) {
		c := text[i]
		if c >= utf8.RuneSelf || c == '\\' {
			return true
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c == run[0] && len(text)-i >= len(run) && strings.EqualFold(text[i:i+len(run)], run) {
			return true
		}
	}
	return false
}

// says whether each word that is asked for begins one of the text's.
func says(text, asked string) bool {
	w := words{}
	w.text(text)
	found, asks := true, false
	eachRun(asked, func(run string) {
		asks = true
		found = found && term{word: clip(run)}.in(w)
	})
	return found && asks
}
