package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
)

// Lengths in characters. What a field's own rule says comes on top.
const (
	maxID     = 64
	maxName   = 100 // its own rule is stricter, and says so
	maxSearch = 100
	maxISO    = 200 // folder and file of the library
	maxPage   = 512 // a page mark
	maxBulk   = 200 // machines in one bulk operation
)

// input is what came with a request. Its readers note what can't be used;
// Err tells it all at once.
type input struct {
	values   url.Values
	problems map[string]string
}

// query reads the address; web has refused broken text in it already.
func query(c echo.Context) *input {
	return &input{values: c.QueryParams(), problems: map[string]string{}}
}

// form reads the posted fields.
func form(c echo.Context) (*input, error) {
	values, err := c.FormParams()
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, echo.NewHTTPError(http.StatusRequestEntityTooLarge).SetInternal(err)
	}
	if err != nil {
		return nil, echo.NewHTTPError(http.StatusBadRequest).SetInternal(err)
	}
	in := &input{values: values, problems: map[string]string{}}
	for name, list := range values {
		for i, v := range list {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				in.problems[name] = "This has characters that can't be stored."
				list[i] = ""
			}
		}
	}
	return in, nil
}

// text is a field without the space around it, at most maxChars long.
func (in *input) text(name string, maxChars int) string {
	v := strings.TrimSpace(in.values.Get(name))
	if utf8.RuneCountInString(v) > maxChars {
		in.problems[name] = fmt.Sprintf("This is too long: at most %d characters.", maxChars)
		return string([]rune(v)[:maxChars])
	}
	return v
}

// number is a whole number in a range; an empty field is the least.
func (in *input) number(name string, least, most int) int {
	v := strings.TrimSpace(in.values.Get(name))
	if v == "" {
		return least
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		in.problems[name] = fmt.Sprintf("Enter a whole number from %d to %d.", least, most)
		return least
	}
	return n
}

// day is a date, as a date field sends it.
func (in *input) day(name string) time.Time {
	v := in.text(name, maxSearch)
	if v == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", time.RFC3339} {
		if t, err := time.Parse(layout, v); err == nil && t.Year() >= 2000 && t.Year() < 3000 {
			return t
		}
	}
	in.problems[name] = "Enter a date like 2026-01-31."
	return time.Time{}
}

// wholeDay says whether a date stands for all of its day: one without a time.
func wholeDay(typed string) bool {
	_, err := time.Parse(time.DateOnly, typed)
	return err == nil
}

// choice is one of a closed list, or "".
func choice[T ~string](in *input, name string, known []T) T {
	v := T(in.values.Get(name))
	if v == "" || slices.Contains(known, v) {
		return v
	}
	in.problems[name] = "There is no such choice. Pick one of the menu."
	return ""
}

// paging is where the page of a list begins.
func (in *input) paging() models.Paging {
	return models.Paging{
		After: in.text("after", maxPage), Before: in.text("before", maxPage), Limit: in.number("limit", 0, 200),
	}
}

// err tells what can't be used, or nil.
func (in *input) err() error {
	if len(in.problems) == 0 {
		return nil
	}
	return models.Invalid(in.problems)
}

// id is the id in the address. One too long to be any is a page that doesn't
// exist; any other is looked up, so that invented ones cost what foreign ones do.
func id[T ~string](c echo.Context, what string) (T, error) {
	v := c.Param("id")
	if v == "" || len(v) > maxID {
		return "", models.NotFound(what)
	}
	return T(v), nil
}

// localPath returns next where it leads to a page of ours, else "/".
// Backslashes and a second slash at the start mean another host to a browser,
// and control characters are taken out by it before it looks.
func localPath(next string) string {
	if len(next) > 2000 || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") {
		return "/"
	}
	for _, r := range next {
		if r == '\\' || r < 0x20 || r == 0x7f {
			return "/"
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) {
		return "/"
	}
	return next
}

// price is what was shown beside the tick box that accepts it, in millionths
// per hour; -1 where it was not ticked.
func (in *input) price() int64 {
	if in.values.Get("accept") == "" {
		return -1
	}
	n, err := strconv.ParseInt(in.values.Get("price"), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
