package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// Catalog shows what machines can be made of.
type Catalog struct{ frames }

// Show lists the templates, or those that a search finds.
func (h *Catalog) Show(c echo.Context, scope *models.Scope) error {
	in := query(c)
	p := views.CatalogProps{Search: in.text("q", maxSearch), CanOrder: scope.Can(models.MachineOrder)}
	if err := in.err(); err != nil {
		return err
	}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		p.Templates, err = r.Templates(p.Search)
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	return Render(c, http.StatusOK, views.Catalog(p))
}
