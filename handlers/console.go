package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/console"
	"github.com/millwright/millwright/models"
)

// Console shows a machine's screen.
type Console struct {
	frames
	console *console.Service
}

// Ticket makes a ticket for one socket.
func (h *Console) Ticket(c echo.Context, scope *models.Scope) error {
	machine, err := id[models.MachineID](c, "machine")
	if err != nil {
		return err
	}
	ticket, err := h.console.Issue(c.Request().Context(), scope, machine, h.console.Origin(c.Request()))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, ticket)
}

// Socket carries the screen. The ticket that the request brings says whose.
func (h *Console) Socket(c echo.Context, who models.SignedIn) error {
	h.console.Serve(c.Response(), c.Request(), console.Caller{Who: who})
	return nil
}
