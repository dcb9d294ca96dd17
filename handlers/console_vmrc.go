package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// AskVMRC warns an operator of what a VMRC link is.
func (h *Console) AskVMRC(c echo.Context, provider *models.Provider) error {
	p, err := h.vmrc(c, provider)
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.VMRC(p))
}

// VMRC makes the link. It is on the page that answers and nowhere else.
func (h *Console) VMRC(c echo.Context, provider *models.Provider) error {
	p, err := h.vmrc(c, provider)
	if err != nil {
		return err
	}
	sure, err := confirmed(c)
	if err != nil {
		return err
	}
	if !sure {
		return Render(c, http.StatusUnprocessableEntity, views.VMRC(p))
	}
	if p.Link, err = h.console.VMRC(c.Request().Context(), provider, p.Machine); err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.VMRC(p))
}

func (h *Console) vmrc(c echo.Context, provider *models.Provider) (views.VMRCProps, error) {
	var p views.VMRCProps
	machine, err := id[models.MachineID](c, "machine")
	if err != nil {
		return p, err
	}
	if p.Machine, err = provider.Machine(c.Request().Context(), machine); err != nil {
		return p, err
	}
	p.Frame, err = h.user(c)
	return p, err
}
