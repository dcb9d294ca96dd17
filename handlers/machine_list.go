package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// Machines shows, orders, operates and deletes machines.
type Machines struct {
	frames
	factory Factory
}

// List shows a page of the org's machines. Search, state, order and page are
// all in the address.
func (h *Machines) List(c echo.Context, scope *models.Scope) error {
	in := query(c)
	p := views.MachineListProps{
		Filter: models.MachineFilter{
			Search: in.text("q", maxSearch), Name: in.text("name", maxName), State: choice(in, "state", models.MachineStates),
			Sort: choice(in, "sort", models.MachineSorts), Page: in.paging(),
		},
		CanOrder: scope.Can(models.MachineOrder), CanOperate: scope.Can(models.MachineOperate),
		CanConsole: scope.Can(models.ConsoleOpen),
	}
	if err := in.err(); err != nil {
		return err
	}
	if p.Filter.Sort == "" {
		p.Filter.Sort = models.SortNewest
	}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		p.Page, err = r.Machines(p.Filter)
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	if views.Part(c.Request()) == views.PartList {
		return Render(c, http.StatusOK, views.MachineListRows(p))
	}
	return Render(c, http.StatusOK, views.MachineList(p))
}
