package audit

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
)

// headOf reads what a body says of its place. Bodies are read for every event
// of a verification, and nearly all in the one form that the portal writes:
// that is looked through by hand, and anything else is parsed.
func headOf(body string) (h head, ok bool) {
	var at string
	if h, at, ok = quickHead(body); ok {
		if h.at, ok = quickTime(at); ok {
			return h, true
		}
	}
	var told struct {
		ID  models.EventID `json:"id"`
		Org models.OrgID   `json:"org"`
		At  time.Time      `json:"at"`
	}
	err := json.Unmarshal([]byte(body), &told)
	return head{id: told.ID, org: told.Org, at: told.At}, err == nil
}

// quickHead goes over the members of an object without a space in it, whose
// own names and the three values have no escape.
func quickHead(body string) (h head, at string, ok bool) {
	rest, found := strings.CutPrefix(body, "{")
	for found {
		var name, value string
		if name, rest, found = quoted(rest); !found {
			return h, at, false
		}
		if rest, found = strings.CutPrefix(rest, ":"); !found {
			return h, at, false
		}
		if value, rest, found = member(rest); !found {
			return h, at, false
		}
		switch name {
		case "id":
			h.id = models.EventID(value)
		case "org":
			h.org = models.OrgID(value)
		case "at":
			at = value
		default:
			if slices.ContainsFunc([]string{"id", "org", "at"}, func(known string) bool { return strings.EqualFold(name, known) }) {
				return h, at, false // which a parser takes for the same
			}
			value = ""
		}
		if !plain(value) {
			return h, at, false
		}
		if rest == "}" {
			return h, at, h.id != "" && h.org != "" && at != ""
		}
		rest, found = strings.CutPrefix(rest, ",")
	}
	return h, at, false
}

// quoted cuts off a string without an escape.
func quoted(text string) (value, rest string, ok bool) {
	if text == "" || text[0] != '"' {
		return "", text, false
	}
	end := strings.IndexByte(text[1:], '"')
	if end < 0 || strings.IndexByte(text[1:1+end], '\\') >= 0 {
		return "", text, false
	}
	return text[1 : 1+end], text[2+end:], true
}

// member cuts off any value, and says what it is if it is a plain string.
func member(text string) (value, rest string, ok bool) {
	if value, rest, ok = quoted(text); ok {
		return value, rest, true
	}
	depth, within := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case within && c == '\\':
			i++
		case c == '"':
			within = !within
		case within:
		case c == '{' || c == '[':
			depth++
		case depth > 0 && (c == '}' || c == ']'):
			depth--
		case depth == 0 && (c == ',' || c == '}'):
			return "", text[i:], i > 0
		}
	}
	return "", text, false
}

// quickTime reads a time as the portal writes it.
func quickTime(text string) (time.Time, bool) {
	const form = "0000-00-00T00:00:00.000000Z"
	if len(text) != len(form) {
		return time.Time{}, false
	}
	for i := range len(form) {
		if digit := text[i] >= '0' && text[i] <= '9'; form[i] == '0' != digit || form[i] != '0' && form[i] != text[i] {
			return time.Time{}, false
		}
	}
	number := func(from, to int) (n int) {
		for _, c := range []byte(text[from:to]) {
			n = n*10 + int(c-'0')
		}
		return n
	}
	at := time.Date(number(0, 4), time.Month(number(5, 7)), number(8, 10), number(11, 13), number(14, 16), number(17, 19), number(20, 26)*1000, time.UTC)
	return at, at.Format(timeLayout) == text // there is no 31 February
}
