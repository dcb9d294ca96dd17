package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// NewPrivate is the form of a private network.
func (h *Network) NewPrivate(c echo.Context, scope *models.Scope) error {
	return h.privateForm(c, scope, http.StatusOK, views.PrivateNewProps{})
}

func (h *Network) privateForm(c echo.Context, scope *models.Scope, status int, p views.PrivateNewProps) error {
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		p.Clouds, err = r.Clouds()
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	return Render(c, status, views.PrivateNew(p))
}

// CreatePrivate makes one.
func (h *Network) CreatePrivate(c echo.Context, scope *models.Scope) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	p := views.PrivateNewProps{Name: in.text("name", 60), Cloud: in.text("cloud", maxID), CIDR: in.text("cidr", 40), Gateway: in.text("gateway", 40)}
	if p.Name == "" {
		in.problems["name"] = "Enter a name, such as “backend”."
	}
	n := models.Network{Name: p.Name, CloudID: models.CloudID(p.Cloud), CIDR: p.CIDR, Gateway: p.Gateway}
	if err = in.err(); err == nil {
		err = scope.Change(c.Request().Context(), func(w *models.Writer) error { return w.CreateNetwork(&n) })
	}
	switch {
	case errors.Is(err, models.ErrInvalid):
		p.Errors = models.FieldsOf(err)
		return h.privateForm(c, scope, http.StatusUnprocessableEntity, p)
	case errors.Is(err, models.ErrQuota), errors.Is(err, models.ErrConflict):
		p.Problem = sentence(err)
		return h.privateForm(c, scope, http.StatusConflict, p)
	case err != nil:
		return err
	}
	return h.leave(c, place(scope).PrivateNetwork(n.ID), ui.Good, n.Name+" is ready for machines.")
}

// Private is one private network: who has which address.
func (h *Network) Private(c echo.Context, scope *models.Scope) error {
	network, err := id[models.NetworkID](c, "network")
	if err != nil {
		return err
	}
	return h.private(c, scope, network, http.StatusOK, "")
}

func (h *Network) private(c echo.Context, scope *models.Scope, network models.NetworkID, status int, problem string) error {
	p := views.PrivateProps{CanManage: scope.Can(models.NetworkManage), Problem: problem}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Network, p.Addresses, err = r.NetworkAddresses(network); err != nil {
			return err
		}
		p.Gateway, err = r.Gateway()
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, status, views.PrivateLive(p))
	}
	return Render(c, status, views.Private(p))
}

// DeletePrivate removes an empty one.
func (h *Network) DeletePrivate(c echo.Context, scope *models.Scope) error {
	network, err := id[models.NetworkID](c, "network")
	if err != nil {
		return err
	}
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error { return w.DeleteNetwork(network) })
	if errors.Is(err, models.ErrConflict) && !scripted(c) {
		return h.private(c, scope, network, http.StatusConflict, sentence(err))
	}
	if err != nil {
		return err
	}
	return h.leave(c, place(scope).Network(), ui.Good, "The network is deleted.")
}
