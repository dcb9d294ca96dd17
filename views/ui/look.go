package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Tone is what a colour says. Each is readable in both modes; none stands
// alone, a word and an icon say it too.
type Tone string

const (
	Good   Tone = "good"   // as it should be
	Busy   Tone = "busy"   // something is being done
	Warn   Tone = "warn"   // look at it
	Bad    Tone = "bad"    // broken, or destructive
	Idle   Tone = "idle"   // at rest
	Accent Tone = "accent" // the portal's own colour
)

// class also names the custom properties that parts take their colours from.
func (t Tone) class() string { return "tone-" + string(t) }

// icon is the mark of a message in this tone.
func (t Tone) icon() string {
	switch t {
	case Good:
		return "circle-check"
	case Warn:
		return "alert-triangle"
	case Bad:
		return "alert-circle"
	default:
		return "info-circle"
	}
}

// Look is how a state is shown.
type Look struct {
	Tone  Tone
	Icon  string
	Label string
	Spin  bool // something is moving
}

func (l Look) iconClasses() []string {
	if l.Spin {
		return []string{"spin"}
	}
	return nil
}

// Option is one entry of a menu of choices.
type Option struct{ Value, Label string }

// Initials are for an avatar: at most two letters.
func Initials(name string) string {
	var out []rune
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		r, _ := utf8.DecodeRuneInString(word)
		if out = append(out, unicode.ToUpper(r)); len(out) == 2 {
			break
		}
	}
	return string(out)
}

// Elapsed is a span of time in words, in the form that static/js/times.js uses
// for one that still grows.
func Elapsed(d time.Duration) string {
	s := max(0, int(d/time.Second))
	switch {
	case s < 60:
		return strconv.Itoa(s) + " s"
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	}
	return fmt.Sprintf("%d h %02d min", s/3600, s%3600/60)
}

// percentOf is for widths: 0 to 100, and something to see for anything above 0.
func percentOf(part, whole int64) int {
	if whole <= 0 || part <= 0 {
		return 0
	}
	return int(min(100, max(1, part*100/whole)))
}

func iso(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
