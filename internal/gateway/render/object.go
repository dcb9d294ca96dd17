package render

import (
	"strconv"
	"strings"
)

// Lines that belong to one object stand between two comments. The id is
// quoted, so that nothing in one can end its line or look like a comment of
// ours.
const (
	objectBegins = "# object "
	objectEnds   = "# end"
)

func begin(b *strings.Builder, id string) {
	b.WriteString(objectBegins + strconv.QuoteToASCII(id) + "\n")
}

func end(b *strings.Builder) { b.WriteString(objectEnds + "\n") }

// Object finds the object that line n of a rendered text belongs to. A line
// between objects, or after the last, is nobody's.
func Object(text string, n int) (string, bool) {
	lines := strings.Split(text, "\n")
	if n < 1 || n > len(lines) {
		return "", false
	}
	for i := n - 1; i >= 0 && lines[i] != objectEnds; i-- {
		if quoted, ok := strings.CutPrefix(lines[i], objectBegins); ok {
			id, err := strconv.Unquote(quoted)
			return id, err == nil
		}
	}
	return "", false
}

// ObjectOf finds the object whose section of HAProxy's has a name.
func ObjectOf(text, proxy string) (string, bool) {
	for i, line := range strings.Split(text, "\n") {
		if line == "listen "+proxy {
			return Object(text, i+1)
		}
	}
	return "", false
}
