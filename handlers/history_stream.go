package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/audit"
)

const (
	// verifyTimeout bounds a verification: of some ten million events.
	verifyTimeout = 10 * time.Minute
	// exportTimeout bounds an export, over whatever line it is taken.
	exportTimeout = time.Hour
	// answerTimeout is for the page that follows.
	answerTimeout = time.Minute
)

// exportPace is what a browser has to keep up: a slow line does, and nobody
// holds a place among the exports by reading next to nothing.
var exportPace = pace{part: time.Minute, rate: 64 << 10}

// unhurried does what takes longer than a page may, within a bound of its own.
func unhurried(c echo.Context, most time.Duration, do func() error) error {
	control := http.NewResponseController(c.Response())
	until := time.Now().Add(most + answerTimeout)
	// The server takes a client for gone once its time to read is over, even
	// where nothing is left to be read.
	for _, set := range []func(time.Time) error{control.SetReadDeadline, control.SetWriteDeadline} {
		if err := set(until); err != nil && !isUnsupported(err) {
			return fmt.Errorf("make time: %w", err)
		}
	}
	r := c.Request()
	ctx, cancel := context.WithTimeout(r.Context(), most)
	defer cancel()
	c.SetRequest(r.WithContext(ctx))
	defer c.SetRequest(r) // the page that tells of it has time again
	return do()
}

// stream sends an export as it is made.
func (h *History) stream(c echo.Context, prepare func(context.Context) (*audit.Export, error)) error {
	return unhurried(c, exportTimeout, func() error {
		ctx := c.Request().Context()
		export, err := prepare(ctx)
		if err != nil {
			return err
		}
		defer export.Close()
		header := c.Response().Header()
		header.Set(echo.HeaderContentType, export.ContentType())
		header.Set(echo.HeaderContentDisposition, "attachment; filename="+strconv.Quote(export.FileName()))
		out := &patientWriter{w: c.Response(), control: http.NewResponseController(c.Response()), pace: h.pace}
		err = export.Stream(ctx, out)
		switch {
		case err == nil:
		case c.Response().Committed:
			// What was sent must not look whole: end the connection, not the file.
			panic(http.ErrAbortHandler)
		default: // the page that tells of it is no file
			header.Del(echo.HeaderContentType)
			header.Del(echo.HeaderContentDisposition)
		}
		return err
	})
}

// pace is how an export has to be taken: no part may be left unread for longer,
// and beyond one such time of waiting, so many bytes a second.
type pace struct {
	part time.Duration
	rate int64
}

// patientWriter gives every part its own time, where a page has one for all.
type patientWriter struct {
	w       io.Writer
	control *http.ResponseController
	pace    pace
	sent    int64
	waited  time.Duration // for the reader alone
}

func (p *patientWriter) Write(b []byte) (int, error) {
	due := time.Duration(float64(p.sent+int64(len(b))) / float64(p.pace.rate) * float64(time.Second))
	began := time.Now()
	left := min(p.pace.part, p.pace.part+due-p.waited)
	if err := p.control.SetWriteDeadline(began.Add(left)); err != nil && !isUnsupported(err) {
		return 0, err
	}
	n, err := p.w.Write(b)
	p.sent += int64(n)
	p.waited += time.Since(began)
	return n, err
}

// isUnsupported: under a test, nothing has deadlines.
func isUnsupported(err error) bool { return errors.Is(err, http.ErrNotSupported) }
