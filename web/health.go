package web

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// readyTimeout is how long the database may take to answer.
const readyTimeout = 2 * time.Second

// healthy says that the process answers.
func (s *Server) healthy(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// ready says whether requests should be sent here: the database answers, and
// the server isn't stopping.
func (s *Server) ready(c echo.Context) error {
	select {
	case <-s.stopping:
		return c.String(http.StatusServiceUnavailable, "stopping\n")
	default:
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
	defer cancel()
	if err := s.system.Ready(ctx); err != nil {
		s.log.WarnContext(ctx, "not ready", "error", err)
		return c.String(http.StatusServiceUnavailable, "the database does not answer\n")
	}
	return c.String(http.StatusOK, "ok\n")
}
