package handlers

import (
	"errors"
	"image/color"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/boombuler/barcode/qr"
	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// VPN is the org's VPN: the reader's own devices, or everybody's.
func (h *Network) VPN(c echo.Context, scope *models.Scope) error {
	return h.vpn(c, scope, http.StatusOK, views.VPNProps{})
}

func (h *Network) vpn(c echo.Context, scope *models.Scope, status int, p views.VPNProps) error {
	p.CanManage, p.CanUse, p.Refused = scope.Can(models.NetworkManage), scope.Can(models.VPNUse), network.VPNRefused()
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		v, err := r.VPN()
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return err
		}
		if err == nil {
			p.VPN = &v
		}
		if p.Gateway, err = r.Gateway(); err != nil {
			return err
		}
		if p.IPs, err = r.PublicIPs(); err != nil {
			return err
		}
		if p.Networks, err = r.NetworkRows(); err != nil {
			return err
		}
		p.Own = scope.UserID()
		p.Peers, err = r.Peers(h.devicesOf(scope))
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, status, views.VPNLive(p))
	}
	return Render(c, status, views.VPN(p))
}

// devicesOf is whose devices the reader may see: "" is everybody's.
func (h *Network) devicesOf(scope *models.Scope) models.UserID {
	if scope.Can(models.VPNReadAll) {
		return ""
	}
	return scope.UserID()
}

// TurnOnVPN makes the org's end.
func (h *Network) TurnOnVPN(c echo.Context, scope *models.Scope) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	err = h.network.TurnOnVPN(c.Request().Context(), scope, in.text("public_ip", maxID))
	switch {
	case errors.Is(err, models.ErrInvalid), errors.Is(err, models.ErrConflict):
		status, problem := http.StatusConflict, sentence(err)
		if fields := models.FieldsOf(err); len(fields) > 0 {
			status, problem = http.StatusUnprocessableEntity, strings.Join(slices.Sorted(maps.Values(fields)), " ")
		}
		return h.vpn(c, scope, status, views.VPNProps{Problem: problem})
	case err != nil:
		return err
	}
	return h.leave(c, place(scope).VPN(), ui.Good, "The VPN is on. Let a device in.")
}

// TurnOffVPN takes the org's end away, and every device's way in with it.
func (h *Network) TurnOffVPN(c echo.Context, scope *models.Scope) error {
	err := scope.Change(c.Request().Context(), func(w *models.Writer) error { return w.DeleteVPN() })
	if errors.Is(err, models.ErrConflict) && !scripted(c) {
		return h.vpn(c, scope, http.StatusConflict, views.VPNProps{Problem: sentence(err)})
	}
	if err != nil {
		return err
	}
	return h.leave(c, place(scope).VPN(), ui.Good, "The VPN is off. Its public IP can be used for something else.")
}

// AddDevice lets a device in and shows its configuration: with the key in it
// where the portal made it, which is the only time that it is seen.
func (h *Network) AddDevice(c echo.Context, scope *models.Scope) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	// The page's frame first: nothing may fail once the device is let in, or its
	// key would be lost.
	frame, err := h.page(c, scope, func(*models.Reader) error { return nil })
	if err != nil {
		return err
	}
	device, key := in.text("device", 60), in.text("public_key", 60)
	var d network.Device
	if err = in.err(); err == nil {
		d, err = h.network.AddDevice(c.Request().Context(), scope, device, key)
	}
	switch {
	case errors.Is(err, models.ErrInvalid):
		return h.vpn(c, scope, http.StatusUnprocessableEntity, views.VPNProps{Device: device, Errors: models.FieldsOf(err)})
	case errors.Is(err, models.ErrQuota), errors.Is(err, models.ErrConflict):
		return h.vpn(c, scope, http.StatusConflict, views.VPNProps{Device: device, Problem: sentence(err)})
	case err != nil:
		return err
	}
	p := views.DeviceProps{Frame: frame, Peer: d.Peer, Config: d.Config, KeyHere: d.Private != "", Placeholder: network.PrivateKeyHere}
	if p.KeyHere {
		p.QR = qrPath(p.Config)
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return Render(c, http.StatusOK, views.Device(p))
}

// RevokeDevice shuts a device out: one's own, or for an admin any.
func (h *Network) RevokeDevice(c echo.Context, scope *models.Scope) error {
	peer, err := id[models.PeerID](c, "device")
	if err != nil {
		return err
	}
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error {
		p, err := w.Peer(peer)
		if err != nil {
			return err
		}
		if p.UserID != scope.UserID() && !scope.Can(models.NetworkManage) {
			return models.Conflict("This is somebody else's device. Its owner or an admin can shut it out.")
		}
		return w.RevokePeer(peer)
	})
	if errors.Is(err, models.ErrConflict) && !scripted(c) {
		return h.vpn(c, scope, http.StatusConflict, views.VPNProps{Problem: sentence(err)})
	}
	if err != nil {
		return err
	}
	return h.leave(c, place(scope).VPN(), ui.Good, "The device is shut out.")
}

// qrPath is a QR code of the text, as an SVG path of one unit per module; empty
// of a text that is too long for any.
func qrPath(text string) views.QR {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return views.QR{}
	}
	size := code.Bounds().Dx()
	q := views.QR{Size: size}
	for y := range size {
		for x := 0; x < size; x++ {
			start := x
			for x < size && color.GrayModel.Convert(code.At(x, y)) == (color.Gray{}) {
				x++
			}
			if x > start {
				q.Add(start, y, x-start)
			}
		}
	}
	return q
}
