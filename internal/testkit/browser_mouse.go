package testkit

import (
	"context"
	"encoding/json"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// Grab presses the mouse's left button on the first element that the selector
// finds, as a hand does that is about to drag it.
func (b *Browser) Grab(selector string) {
	b.t.Helper()
	x, y := b.spot(selector, 0.5)
	b.mouse(input.DispatchMouseEventTypeMouseMoved, x, y, 0)
	b.mouse(input.DispatchMouseEventTypeMousePressed, x, y, 1)
	b.mouse(input.DispatchMouseEventTypeMouseMoved, x+3, y+8, 1) // far enough to be a drag
}

// DragTo moves the pressed mouse over an element, as far down in it as the
// share says: 0 is its top, 1 its bottom.
func (b *Browser) DragTo(selector string, down float64) {
	b.t.Helper()
	for range 2 { // what moves away under the mouse is there again for the second
		x, y := b.spot(selector, down)
		b.mouse(input.DispatchMouseEventTypeMouseMoved, x, y, 1)
	}
}

// LetGo releases the button over an element.
func (b *Browser) LetGo(selector string, down float64) {
	b.t.Helper()
	x, y := b.spot(selector, down)
	b.mouse(input.DispatchMouseEventTypeMouseReleased, x, y, 0)
}

// CancelDrag ends a drag as the browser itself does on Escape: the keys of its
// protocol go to the page, which gets none while something is dragged.
func (b *Browser) CancelDrag() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, input.CancelDragging, cdp.Empty{}); err != nil {
		b.t.Fatalf("cancel a drag: %v", err)
	}
}

// spot is a place within an element that is in view.
func (b *Browser) spot(selector string, down float64) (x, y float64) {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	b.Until("see "+selector, `document.readyState === 'complete' && document.querySelector(`+string(quoted)+`)?.checkVisibility()`)
	at := Eval[[]float64](b, `(() => { const r = document.querySelector(`+string(quoted)+`).getBoundingClientRect(); return [r.x, r.y, r.width, r.height] })()`)
	return at[0] + min(at[2]/2, 60), at[1] + at[3]*down
}

func (b *Browser) mouse(kind input.DispatchMouseEventType, x, y float64, held int64) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	p := input.DispatchMouseEventParams{Type: kind, X: x, Y: y, Buttons: held, Button: input.MouseButtonLeft}
	if kind != input.DispatchMouseEventTypeMouseMoved {
		p.ClickCount = 1
	}
	if _, err := chromedp.Call(ctx, input.DispatchMouseEvent, p); err != nil {
		b.t.Fatalf("mouse %s: %v", kind, err)
	}
}
