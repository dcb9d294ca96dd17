package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// Topology is the picture of the org's network, or its live part. open in the
// address is the group that is shown in full.
func (h *Network) Topology(c echo.Context, scope *models.Scope) error {
	p := views.TopologyProps{Open: query(c).text("open", maxID+20), Now: time.Now(), CanManage: scope.Can(models.NetworkManage)}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		p.Topology, err = r.Topology(views.TopologyOpen(p.Open), h.devicesOf(scope))
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.TopologyLive(p))
	}
	return Render(c, http.StatusOK, views.Topology(p))
}
