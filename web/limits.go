package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
)

const (
	// bodyMaxBytes is far more than any form here sends.
	bodyMaxBytes = 1 << 20
	// statusMaxBytes is a gateway's status with ten thousand nodes.
	statusMaxBytes = 8 << 20
	// signInsPerSource is how many sign-ins of one address are worked on at
	// once: each holds 64 MiB while it hashes.
	signInsPerSource = 4
	// streamsPerSession is how many live streams one session may hold: more
	// tabs than anybody shows at once.
	streamsPerSession = 16
)

// timely ends what a request asks of a database that doesn't answer. Streams,
// sockets and what goes over a whole history have limits of their own.
func (s *Server) timely(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if lasting(c) {
			return next(c)
		}
		return s.inTime(c, func() error { return next(c) })
	}
}

// lasting says whether the request is a stream or a socket, or goes over a
// whole history.
func lasting(c echo.Context) bool {
	return c.Path() == "/console" || c.Path() == desiredPath || strings.HasSuffix(c.Path(), "/events") ||
		strings.HasSuffix(c.Path(), "/history/export") || strings.HasSuffix(c.Path(), "/history/verify")
}

// inTime does a part of a request within the patience.
func (s *Server) inTime(c echo.Context, do func() error) error {
	r := c.Request()
	ctx, cancel := context.WithTimeout(r.Context(), s.patience)
	defer cancel()
	c.SetRequest(r.WithContext(ctx))
	defer c.SetRequest(r) // the page that tells of it has time again
	return do()
}

// atDoor looks up who knocks. What comes behind the door may last for hours;
// the look-up may not.
func (s *Server) atDoor(c echo.Context, look func() error) error {
	if lasting(c) {
		return s.inTime(c, look)
	}
	return look() // timely already
}

// bounded refuses bodies beyond the limit, announced or not.
func (s *Server) bounded(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		most := int64(bodyMaxBytes)
		if c.Path() == statusPath {
			most = statusMaxBytes
		}
		if r.ContentLength > most {
			return echo.NewHTTPError(http.StatusRequestEntityTooLarge)
		}
		r.Body = http.MaxBytesReader(c.Response(), r.Body, most)
		return next(c)
	}
}

// sameOrigin refuses writes that another site's page sends. A request that an
// API token carries, where those are taken, is no page's: no browser adds one
// by itself, and the cookie beside it isn't looked at.
func (s *Server) sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, bearer := identity.Bearer(c.Request()); bearer && strings.HasPrefix(c.Path(), orgPrefix) {
			return next(c)
		}
		if err := s.origins.Check(c.Request()); err != nil {
			form := c.Request().Method + " " + cmp.Or(c.Path(), "an address that isn't there")
			if err := s.system.RefuseSite(c.Request().Context(), form, orgAddressed(c), stranger(c)); err != nil {
				return err
			}
			return &models.Error{Code: models.CodeForbidden, Err: err,
				Message: "This came from another site's page, so nothing was done. Open the portal itself and try again."}
		}
		return next(c)
	}
}

// cleanText refuses addresses that no database stores: broken UTF-8 and NUL.
// In the path that is a page that doesn't exist.
func (s *Server) cleanText(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !clean(r.URL.Path) {
			return models.NotFound("page")
		}
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return echo.NewHTTPError(http.StatusBadRequest).SetInternal(err)
		}
		for name, values := range query {
			if !clean(name) || !clean(strings.Join(values, "")) {
				return echo.NewHTTPError(http.StatusBadRequest)
			}
		}
		return next(c)
	}
}

func clean(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// perSource counts what is under way per key and refuses beyond a limit.
type perSource struct {
	limit int
	mu    sync.Mutex
	now   map[string]int
}

func newPerSource(limit int) *perSource { return &perSource{limit: limit, now: map[string]int{}} }

// enter takes a place; call leave when done. !ok: all places are taken.
func (p *perSource) enter(key string) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now[key] >= p.limit {
		return nil, false
	}
	p.now[key]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.now[key]--; p.now[key] == 0 {
			delete(p.now, key)
		}
	}, true
}

// oneByOne holds a source to a few sign-ins at a time.
func (s *Server) oneByOne(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		leave, ok := s.signIns.enter(models.SourceNetwork(c.RealIP()))
		if !ok {
			return models.TooMany("Several sign-ins from this address are being checked. Try again in a moment.", 1)
		}
		defer leave()
		return next(c)
	}
}
