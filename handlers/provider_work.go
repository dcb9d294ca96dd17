package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// Tasks lists every org's tasks.
func (h *Provider) Tasks(c echo.Context, provider *models.Provider) error {
	in := query(c)
	p := views.ProviderTasksProps{Org: in.text("org", maxID), Filter: models.TaskFilter{
		Search: in.text("q", maxSearch), State: choice(in, "state", taskStates()), Kind: choice(in, "kind", models.TaskKinds), Page: in.paging(),
	}}
	if err := in.err(); err != nil {
		return err
	}
	if p.Filter.State == taskStateActive {
		p.Filter.State, p.Filter.Active = "", true
	}
	var err error
	ctx := c.Request().Context()
	if p.Page, err = provider.Tasks(ctx, p.Org, p.Filter); err != nil {
		return err
	}
	if views.Part(c.Request()) == views.PartList {
		return Render(c, http.StatusOK, views.ProviderTaskRows(p))
	}
	if p.Orgs, err = provider.Orgs(ctx); err != nil {
		return err
	}
	if p.Frame, err = h.at(c, views.EntryTasks); err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.ProviderTasks(p))
}

// Health shows clouds, nodes and queues.
func (h *Provider) Health(c echo.Context, provider *models.Provider) error {
	var p views.HealthProps
	var err error
	if p.Health, err = provider.Health(c.Request().Context()); err != nil {
		return err
	}
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.HealthLive(p))
	}
	if p.Frame, err = h.at(c, views.EntryHealth); err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.Health(p))
}
