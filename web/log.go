package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
)

// logged gives the request its id and, at its end, the one line that tells of
// it, error included. Ids are ours alone: a client's could be anything.
func (s *Server) logged(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, res := c.Request(), c.Response()
		id := models.NewID[string]()
		res.Header().Set(echo.HeaderXRequestID, id)
		start := time.Now()
		err := next(c)
		if err != nil {
			s.fail(err, c)
		}
		level := slog.LevelInfo
		switch {
		case err == nil && strings.HasPrefix(r.URL.Path, "/static/"), c.Path() == "/healthz", c.Path() == "/readyz":
			level = slog.LevelDebug
		case res.Status >= http.StatusInternalServerError:
			level = slog.LevelError
		}
		if !s.log.Enabled(r.Context(), level) {
			return nil
		}
		attrs := []slog.Attr{
			slog.String("id", id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.Int("status", res.Status), slog.Int64("bytes", res.Size),
			slog.Duration("took", time.Since(start).Round(time.Microsecond)), slog.String("source", c.RealIP()),
		}
		if who, ok := signedIn(c); ok {
			attrs = append(attrs, slog.String("user", string(who.User.ID)))
			if who.Token.ID != "" {
				attrs = append(attrs, slog.String("token", string(who.Token.ID)))
			}
		}
		if err != nil {
			attrs = append(attrs, slog.String("error", err.Error()))
		}
		var p *panicked
		if errors.As(err, &p) {
			attrs = append(attrs, slog.String("stack", p.stack))
		}
		s.log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attrs...)
		return nil
	}
}

// panicked is a handler's panic, as an error.
type panicked struct {
	value any
	stack string
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// recovered turns a panic into an error page and a log line.
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if cause, ok := value.(error); ok && errors.Is(cause, http.ErrAbortHandler) {
				panic(value) // a stream that gives up on its client
			}
			err = &panicked{value: value, stack: string(debug.Stack())}
		}()
		return next(c)
	}
}
