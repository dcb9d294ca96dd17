package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Network is an org's network edge.
type Network struct {
	frames
	network *network.Service
	factory Factory
}

// Show is the network's first page, or its live part.
func (h *Network) Show(c echo.Context, scope *models.Scope) error {
	return h.overview(c, scope, http.StatusOK, views.NetworkProps{})
}

func (h *Network) overview(c echo.Context, scope *models.Scope, status int, p views.NetworkProps) error {
	p.CanManage = scope.Can(models.NetworkManage)
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Gateway, err = r.Gateway(); err != nil {
			return err
		}
		if p.Services, err = r.Services(); err != nil {
			return err
		}
		if p.Networks, err = r.NetworkRows(); err != nil {
			return err
		}
		if p.IPs, err = r.PublicIPs(); err != nil {
			return err
		}
		if p.Uses, err = r.Uses(); err != nil {
			return err
		}
		if len(p.Gateway.Blames()) > 0 {
			st, err := r.NetworkState()
			if err != nil {
				return err
			}
			p.Refused = st.Refusals()
		}
		p.Offer, err = r.PublicIPOffer()
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.NetworkLive(p))
	}
	return Render(c, status, views.Network(p))
}

// TakeIP gives the org another public IP, at the price that was accepted.
func (h *Network) TakeIP(c echo.Context, scope *models.Scope) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	if in.values.Get("accept") == "" {
		return h.overview(c, scope, http.StatusUnprocessableEntity, views.NetworkProps{AcceptError: "Accept the price to go on."})
	}
	var p models.OrgIP
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error {
		var err error
		p, err = w.TakePublicIP(in.price())
		return err
	})
	if err != nil {
		return h.networkAgain(c, scope, err)
	}
	return h.leave(c, place(scope).Network(), ui.Good, p.Address+" is the org's now.")
}

// ReleaseIP gives one back.
func (h *Network) ReleaseIP(c echo.Context, scope *models.Scope) error {
	return h.onIP(c, scope, func(w *models.Writer, id models.IPID) error { return w.ReleasePublicIP(id) }, "The public IP is on its way back.")
}

// Outbound makes one the address that machines are seen to come from.
func (h *Network) Outbound(c echo.Context, scope *models.Scope) error {
	return h.onIP(c, scope, func(w *models.Writer, id models.IPID) error { return w.SetOutbound(id) }, "What machines send leaves by this address from now on.")
}

// StopOutbound turns outbound NAT off.
func (h *Network) StopOutbound(c echo.Context, scope *models.Scope) error {
	if err := scope.Change(c.Request().Context(), func(w *models.Writer) error { return w.StopOutbound() }); err != nil {
		return h.networkAgain(c, scope, err)
	}
	return h.leave(c, place(scope).Network(), ui.Good, "Outbound NAT is off. Choose an address to turn it on again.")
}

func (h *Network) onIP(c echo.Context, scope *models.Scope, do func(*models.Writer, models.IPID) error, done string) error {
	ip, err := id[models.IPID](c, "public IP")
	if err != nil {
		return err
	}
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error {
		if _, err := w.PublicIP(ip); err != nil {
			return err
		}
		return do(w, ip)
	})
	if err != nil {
		return h.networkAgain(c, scope, err)
	}
	return h.leave(c, place(scope).Network(), ui.Good, done)
}

// networkAgain shows the first page with why something could not be done.
func (h *Network) networkAgain(c echo.Context, scope *models.Scope, cause error) error {
	var e *models.Error
	if scripted(c) || !errors.As(cause, &e) || e.Code == models.CodeNotFound {
		return cause
	}
	return h.overview(c, scope, http.StatusConflict, views.NetworkProps{Problem: e.Message})
}
