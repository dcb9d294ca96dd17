package ui

import (
	"context"
	"io"
	"strings"
	"sync"

	"github.com/a-h/templ"
)

// Once keeps the markup of what looks the same wherever it stands: marks of
// which a list shows hundreds and which come in a few dozen kinds. K is all
// that the look depends on. Drawing them anew was a third of a list's time.
type Once[K comparable] struct {
	// Draw makes the component of a kind.
	Draw func(kind K) templ.Component

	drawn sync.Map // K → string
}

// Of is the component of a kind. What fails to be drawn is not kept.
func (o *Once[K]) Of(kind K) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		if drawn, have := o.drawn.Load(kind); have {
			if text, is := drawn.(string); is {
				_, err := io.WriteString(w, text)
				return err
			}
		}
		var b strings.Builder
		if err := o.Draw(kind).Render(ctx, &b); err != nil {
			return err
		}
		o.drawn.Store(kind, b.String())
		_, err := io.WriteString(w, b.String())
		return err
	})
}
