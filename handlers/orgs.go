package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// Orgs leads people to where they work.
type Orgs struct{ frames }

// Start leads to the only place there is, or lets choose.
func (h *Orgs) Start(c echo.Context, who models.SignedIn) error {
	orgs, err := h.system.Memberships(c.Request().Context(), who)
	if err != nil {
		return err
	}
	provider := who.User.ProviderRole != ""
	switch {
	case len(orgs) == 1 && !provider && orgs[0].Org.SuspendedAt == nil:
		return c.Redirect(http.StatusSeeOther, views.Place(orgs[0].Org.Slug).Home())
	case len(orgs) == 0 && provider:
		return c.Redirect(http.StatusSeeOther, views.ProviderURL)
	}
	frame, err := h.user(c)
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.OrgChooser(views.OrgChooserProps{Frame: frame}))
}

// Home leads from the org's bare address to its dashboard.
func (h *Orgs) Home(c echo.Context, scope *models.Scope) error {
	return c.Redirect(http.StatusSeeOther, place(scope).Home())
}
