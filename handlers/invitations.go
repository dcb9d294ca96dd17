package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// Invitations is the page behind an invitation's link.
type Invitations struct {
	frames
	invitations *identity.Invitations
}

// Show takes the token out of the address at once, into a cookie: neither
// browser history, log nor Referer keep it. What opens links by itself, such
// as a mail scanner, spends nothing by that.
func (h *Invitations) Show(c echo.Context) error {
	if token := c.QueryParam("token"); token != "" {
		c.Response().Header().Set("Referrer-Policy", "no-referrer")
		h.store.KeepInvitation(c.Response(), c.Request(), token)
		return c.Redirect(http.StatusSeeOther, views.InvitationURL)
	}
	p, err := h.props(c)
	if errors.Is(err, models.ErrNotFound) {
		return Render(c, http.StatusNotFound, views.InvitationOver())
	}
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.Invitation(p))
}

func (h *Invitations) props(c echo.Context) (views.InvitationProps, error) {
	found, err := h.invitations.Find(c.Request().Context(), h.store.Invitation(c.Request()))
	if err != nil {
		return views.InvitationProps{}, err
	}
	p := views.InvitationProps{
		Org: found.Org.Name, Inviter: found.Invitation.InviterName, Email: found.Invitation.Email,
		Role: strings.ToLower(views.RoleName(found.Invitation.Role)), PasswordMinChars: identity.PasswordMinChars,
	}
	who, err := h.store.SignedIn(c.Request())
	if errors.Is(err, models.ErrNotFound) {
		return p, nil
	}
	p.SignedInAs = who.User.Email
	return p, err
}

// Accept joins the org: with the account of whoever is signed in, or with a
// new one.
func (h *Invitations) Accept(c echo.Context) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	org, err := h.accept(c, in)
	switch {
	case errors.Is(err, models.ErrNotFound):
		h.store.KeepInvitation(c.Response(), c.Request(), "")
		return Render(c, http.StatusNotFound, views.InvitationOver())
	case errors.Is(err, models.ErrInvalid), errors.Is(err, models.ErrConflict):
		p, propsErr := h.props(c)
		if errors.Is(propsErr, models.ErrNotFound) {
			return Render(c, http.StatusNotFound, views.InvitationOver())
		}
		if propsErr != nil {
			return propsErr
		}
		p.Name, p.Problems = in.text("name", maxName), models.FieldsOf(err)
		status := http.StatusUnprocessableEntity
		if errors.Is(err, models.ErrConflict) {
			p.Error, status = sentence(err), http.StatusConflict
		}
		return Render(c, status, views.Invitation(p))
	case err != nil:
		return err
	}
	h.store.KeepInvitation(c.Response(), c.Request(), "")
	return c.Redirect(http.StatusSeeOther, "/orgs/"+url.PathEscape(org.Slug)+"/")
}

func (h *Invitations) accept(c echo.Context, in *input) (models.Org, error) {
	token := h.store.Invitation(c.Request())
	who, err := h.store.SignedIn(c.Request())
	if err == nil {
		who.Actor.Source = c.RealIP()
		who.Actor.RequestID = c.Response().Header().Get(echo.HeaderXRequestID)
		return h.invitations.Join(c.Request().Context(), who, token)
	}
	if !errors.Is(err, models.ErrNotFound) {
		return models.Org{}, err
	}
	session, org, err := h.invitations.Accept(c.Request().Context(), attempt(c), token, identity.Newcomer{
		Name: in.text("name", maxName), Password: in.values.Get("password"), Again: in.values.Get("again"),
	})
	if err == nil {
		h.store.Begin(c.Response(), c.Request(), session)
	}
	return org, err
}
