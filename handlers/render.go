package handlers

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
)

// buffers are kept for the next page; one that grew beyond bufferKept is not.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const bufferKept = 1 << 20

// Render makes the whole page before its first byte is sent, so that one that
// fails half-way becomes an error page and not half a page.
func Render(c echo.Context, status int, page templ.Component) error {
	b, _ := buffers.Get().(*bytes.Buffer)
	b.Reset()
	defer func() {
		if b.Cap() <= bufferKept {
			buffers.Put(b)
		}
	}()
	if err := page.Render(c.Request().Context(), b); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	return c.HTMLBlob(status, b.Bytes())
}

// scripted says whether a script asks, which wants a failure as it is and not
// as a page around it.
func scripted(c echo.Context) bool {
	return c.Request().Header.Get("HX-Request") == "true" || wantsJSON(c)
}

// wantsJSON says whether the answer is for a program.
func wantsJSON(c echo.Context) bool {
	return strings.HasPrefix(c.Request().Header.Get(echo.HeaderAccept), echo.MIMEApplicationJSON)
}
