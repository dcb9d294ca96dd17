package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// Provider is the operators' side.
type Provider struct{ frames }

// Home leads from the bare address to the overview.
func (h *Provider) Home(c echo.Context, _ *models.Provider) error {
	return c.Redirect(http.StatusSeeOther, views.ProviderURL)
}

// Show is the health of the clouds and the figures of the orgs.
func (h *Provider) Show(c echo.Context, provider *models.Provider) error {
	overview, err := provider.Overview(c.Request().Context())
	if err != nil {
		return err
	}
	frame, err := h.user(c)
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.ProviderOverview(views.ProviderOverviewProps{Frame: frame, Overview: overview}))
}
