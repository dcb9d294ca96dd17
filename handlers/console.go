package handlers

import (
	"errors"
	"net/http"
	"time"

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

// Show is the page that the screen appears in, or its live part.
func (h *Console) Show(c echo.Context, scope *models.Scope) error {
	machine, err := id[models.MachineID](c, "machine")
	if err != nil {
		return err
	}
	p := views.ConsoleProps{CanOperate: scope.Can(models.MachineOperate)}
	p.Frame, err = h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Machine, err = r.Machine(machine); err != nil {
			return err
		}
		tasks, err := r.Tasks(models.TaskFilter{Machine: machine, Page: models.Paging{Limit: 1}})
		if err == nil && len(tasks.Rows) > 0 {
			p.Last = &tasks.Rows[0]
		}
		return err
	})
	if err != nil {
		return err
	}
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.ConsoleLive(p))
	}
	return Render(c, http.StatusOK, views.Console(p))
}

// occupiedBy is who stands in the way, as the page is told.
type occupiedBy struct {
	Name  string             `json:"name"`
	Since time.Time          `json:"since"`
	Mode  models.ConsoleMode `json:"mode"`
}

// Ticket makes a ticket for one socket, or says who operates the machine.
func (h *Console) Ticket(c echo.Context, scope *models.Scope) error {
	machine, err := id[models.MachineID](c, "machine")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	ask := models.ConsoleAsk{
		Mode:     choice(in, "mode", []models.ConsoleMode{models.ConsoleOperate, models.ConsoleView}),
		Takeover: in.text("takeover", maxName) == "yes",
		Resumes:  models.ConsoleSessionID(in.text("resume", maxID)),
	}
	if err := in.err(); err != nil {
		return err
	}
	if ask.Mode == "" {
		ask.Mode = models.ConsoleOperate
	}
	ticket, err := h.console.Issue(c.Request().Context(), scope, machine, h.console.Origin(c.Request()), ask)
	var occupied *console.OccupiedError
	if errors.As(err, &occupied) {
		viewers := make([]occupiedBy, 0, len(occupied.Operators))
		for _, v := range occupied.Operators {
			viewers = append(viewers, occupiedBy{Name: v.UserName, Since: v.OpenedAt, Mode: v.Mode})
		}
		return c.JSON(http.StatusConflict, map[string]any{"code": "occupied", "message": occupied.Error(), "viewers": viewers})
	}
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
