package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// latest is how many tasks and events a summary shows.
const latest = 8

// Dashboard is an org at a glance.
type Dashboard struct{ frames }

// Show reads quotas, machines by state, what is being done and what happened.
func (h *Dashboard) Show(c echo.Context, scope *models.Scope) error {
	p := views.DashboardProps{CanOrder: scope.Can(models.MachineOrder)}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Quotas, err = r.Quotas(); err != nil {
			return err
		}
		if p.Counts, err = r.MachineCounts(); err != nil {
			return err
		}
		tasks, err := r.Tasks(models.TaskFilter{Active: true, Page: models.Paging{Limit: latest}})
		if err != nil {
			return err
		}
		events, err := r.Events(models.EventFilter{Page: models.Paging{Limit: latest}})
		p.Tasks, p.Events = tasks.Rows, events.Rows
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.DashboardLive(p))
	}
	return Render(c, http.StatusOK, views.Dashboard(p))
}
