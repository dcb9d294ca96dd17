package ui

import (
	"context"
	"io"
	"strings"

	"github.com/a-h/templ"

	"github.com/millwright/millwright/static"
)

// Icon draws one of the icons of static/icons.txt, for the eye only: the text
// beside it, or the label of its button, says the same. classes are added,
// such as icon-s, icon-l, spin.
func Icon(name string, classes ...string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		shapes, ok := static.Icon(name)
		open := `<svg class="` + strings.TrimSpace("icon "+strings.Join(classes, " ")) +
			`" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false"`
		if !ok {
			open += ` data-icon-missing="` + templ.EscapeString(name) + `"`
		}
		_, err := io.WriteString(w, open+">"+shapes+"</svg>")
		return err
	})
}
