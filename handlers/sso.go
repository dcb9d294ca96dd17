package handlers

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// StartSSO sends the browser to the identity provider. It changes nothing
// here, so that a link may lead to it.
func (h *Sessions) StartSSO(c echo.Context) error {
	next := localPath(c.QueryParam("next"))
	address, cookie, err := h.identity.BeginSSO(c.Request().Context(), next, "")
	if err != nil {
		return h.ssoFailed(c, next, err)
	}
	h.store.KeepSSO(c.Response(), c.Request(), cookie)
	return c.Redirect(http.StatusSeeOther, address)
}

// FinishSSO takes the provider's answer: it signs in, or connects the account
// of whoever began it on their account page.
func (h *Sessions) FinishSSO(c echo.Context) error {
	r := c.Request()
	cookie := h.store.SSO(r)
	h.store.KeepSSO(c.Response(), r, "") // each start counts once
	// The code is in the address: nothing of it goes on to another page.
	c.Response().Header().Set("Referrer-Policy", "no-referrer")
	present, err := h.store.SignedIn(r)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return err
	}
	if present.User.ID != "" {
		present.Actor.Source = c.RealIP()
		present.Actor.RequestID = c.Response().Header().Get(echo.HeaderXRequestID)
	}
	done, err := h.identity.FinishSSO(r.Context(), attempt(c), cookie, c.QueryParams(), present)
	next := localPath(done.Next)
	var code *identity.CodeNeededError
	switch {
	case errors.As(err, &code):
		h.store.BeginChallenge(c.Response(), r, code.Challenge)
		return c.Redirect(http.StatusSeeOther, views.SignInCodeURL(next))
	case err != nil:
		return h.ssoFailed(c, next, err)
	case done.Linked:
		return h.leave(c, views.AccountURL, ui.Good, "Single sign-on is connected with your account.")
	}
	return h.begin(c, done.Token, next)
}

// ssoFailed shows the sign-in page with what went wrong: the password still
// works. What isn't for people to know is passed on.
func (h *Sessions) ssoFailed(c echo.Context, next string, cause error) error {
	status := map[models.Code]int{
		models.CodeInvalid: http.StatusBadRequest, models.CodeForbidden: http.StatusForbidden,
		models.CodeDown: http.StatusServiceUnavailable, models.CodeConflict: http.StatusConflict,
	}[models.CodeOf(cause)]
	if status == 0 {
		return cause
	}
	slog.WarnContext(c.Request().Context(), "single sign-on failed", "error", cause)
	p := h.form(next)
	p.Error = sentence(cause)
	return Render(c, status, views.SignIn(p))
}

// ConnectSSO begins to connect the account with the identity provider. It is
// posted from the account page alone: another site must not connect somebody
// else's identity with it.
func (h *Account) ConnectSSO(c echo.Context, who models.SignedIn) error {
	address, cookie, err := h.identity.BeginSSO(c.Request().Context(), "", who.Session.ID)
	if err != nil {
		return err
	}
	h.store.KeepSSO(c.Response(), c.Request(), cookie)
	return onward(c, h.identity.SSOLabel(), address)
}

// DisconnectSSO ends the connection, for whoever knows the password.
func (h *Account) DisconnectSSO(c echo.Context, who models.SignedIn) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	ended, err := h.identity.DisconnectSSO(c.Request().Context(), who, in.values.Get("password"))
	if err != nil {
		return h.again(c, who, err, func(p *views.AccountProps) { p.Refused = views.FormSSO })
	}
	return h.leave(c, views.AccountURL, ui.Good, "Single sign-on is disconnected. You sign in with your password from now on."+endedText(ended))
}

// onward leads from a posted form to another site. A redirect would be refused
// by our own content policy, which lets forms go nowhere else.
func onward(c echo.Context, label, address string) error {
	c.Response().Header().Set("Refresh", "0; url="+address)
	c.Response().Header().Set("Referrer-Policy", "no-referrer")
	return Render(c, http.StatusOK, views.Onward(views.OnwardProps{Label: label, URL: address}))
}
