package ui

import (
	"context"
	"io"
	"strings"

	"github.com/a-h/templ"

	"github.com/millwright/millwright/static"
)

// icon is an icon's name and its classes, joined.
type icon struct{ name, classes string }

var icons = Once[icon]{Draw: drawIcon}

// Icon draws one of the icons of static/icons.txt, for the eye only: the text
// beside it, or the label of its button, says the same. classes are added,
// such as icon-s, icon-l, spin.
func Icon(name string, classes ...string) templ.Component {
	return icons.Of(icon{name, strings.TrimSpace("icon " + strings.Join(classes, " "))})
}

func drawIcon(i icon) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		shapes, ok := static.Icon(i.name)
		open := `<svg class="` + i.classes +
			`" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false"`
		if !ok {
			open += ` data-icon-missing="` + templ.EscapeString(i.name) + `"`
		}
		_, err := io.WriteString(w, open+">"+shapes+"</svg>")
		return err
	})
}
