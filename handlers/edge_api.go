package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/models"
)

// EdgeAPI is what gateways speak to. docs/edge-protocol.md tells it.
type EdgeAPI struct{ network *network.Service }

// pollWriteTimeout is how long a gateway may take to read the state, on top of
// what it waits.
const pollWriteTimeout = 60 * time.Second

// Desired is the state that the gateway has to bring about. It waits for a
// change as long as it is asked to.
func (h *EdgeAPI) Desired(c echo.Context, e *models.Edge) error {
	wait, err := waitOf(c.QueryParam("wait"))
	if err != nil {
		return echo.NewHTTPError(http.StatusBadRequest).SetInternal(err)
	}
	control := http.NewResponseController(c.Response())
	if err := control.SetWriteDeadline(time.Now().Add(wait + pollWriteTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	have := strings.Trim(strings.TrimPrefix(c.Request().Header.Get("If-None-Match"), "W/"), `"`)
	state, tag, err := h.network.Feed(e).Desired(c.Request().Context(), have, wait)
	if err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("ETag", `"`+tag+`"`)
	header.Set(echo.HeaderCacheControl, "no-store")
	if have != "" && tag == have {
		return c.NoContent(http.StatusNotModified)
	}
	return c.JSON(http.StatusOK, state)
}

// waitOf reads a duration such as 30s; "" doesn't wait.
func waitOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	return min(max(wait, 0), network.LongestWait), err
}

// Status takes what the gateway reports.
func (h *EdgeAPI) Status(c echo.Context, e *models.Edge) error {
	var st edge.Status
	err := json.NewDecoder(c.Request().Body).Decode(&st)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return echo.NewHTTPError(http.StatusRequestEntityTooLarge).SetInternal(err)
	case err != nil:
		return echo.NewHTTPError(http.StatusBadRequest).SetInternal(err)
	case st.Version > edge.Version:
		return models.Conflict("This portal is older than the gateway: update the portal first.")
	}
	if err := h.network.Feed(e).Report(c.Request().Context(), st); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
