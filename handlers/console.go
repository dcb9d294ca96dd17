package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/console"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// Console shows a machine's screen.
type Console struct {
	frames
	console *console.Service
}

// Show is the page that the screen appears in.
func (h *Console) Show(c echo.Context, scope *models.Scope) error {
	machine, err := id[models.MachineID](c, "machine")
	if err != nil {
		return err
	}
	p := views.ConsoleProps{CanOperate: scope.Can(models.MachineOperate)}
	p.Frame, err = h.page(c, scope, func(r *models.Reader) error {
		var err error
		p.Machine, err = r.Machine(machine)
		return err
	})
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.Console(p))
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
	h.console.Serve(c.Response(), c.Request(), console.Caller{Who: who, Bearer: byToken(c)})
	return nil
}
