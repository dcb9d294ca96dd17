package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// Sessions signs people in and out.
type Sessions struct {
	frames
	identity *identity.Service
	options  Options
}

// New shows the sign-in form. Whoever is signed in goes on at once.
func (h *Sessions) New(c echo.Context) error {
	next := localPath(c.QueryParam("next"))
	switch _, err := h.store.SignedIn(c.Request()); {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, next)
	case !errors.Is(err, models.ErrNotFound):
		return err
	}
	return Render(c, http.StatusOK, views.SignIn(h.form(next)))
}

// Create checks the password. A session that the browser had ends: its token
// may be known to whoever set it.
func (h *Sessions) Create(c echo.Context) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	next := localPath(in.values.Get("next"))
	attempt := attempt(c)
	attempt.Email, attempt.Password = in.values.Get("email"), in.values.Get("password")
	token, _, err := h.identity.SignIn(c.Request().Context(), attempt)
	var code *identity.CodeNeededError
	if errors.As(err, &code) {
		h.store.BeginChallenge(c.Response(), c.Request(), code.Challenge)
		return c.Redirect(http.StatusSeeOther, views.SignInCodeURL(next))
	}
	if errors.Is(err, models.ErrInvalid) {
		p := h.form(next)
		p.Email, p.Error = in.text("email", 254), problem(err)
		return Render(c, http.StatusUnprocessableEntity, views.SignIn(p))
	}
	if err != nil {
		return err
	}
	return h.begin(c, token, next)
}

func (h *Sessions) begin(c echo.Context, token, next string) error {
	if err := h.endPresent(c); err != nil {
		return err
	}
	h.store.Begin(c.Response(), c.Request(), token)
	return c.Redirect(http.StatusSeeOther, next)
}

// attempt says where a try at signing in comes from.
func attempt(c echo.Context) identity.Attempt {
	return identity.Attempt{
		Source: c.RealIP(), UserAgent: c.Request().UserAgent(), RequestID: c.Response().Header().Get(echo.HeaderXRequestID),
	}
}

// Delete signs out. Without a session it is done already.
func (h *Sessions) Delete(c echo.Context) error {
	who, _ := h.store.SignedIn(c.Request()) // endPresent tells what failed
	if err := h.endPresent(c); err != nil {
		return err
	}
	h.store.End(c.Response(), c.Request())
	if address := h.identity.EndSSO(c.Request().Context(), who); address != "" {
		return onward(c, h.identity.SSOLabel(), address)
	}
	return c.Redirect(http.StatusSeeOther, "/sign-in")
}

func (h *Sessions) endPresent(c echo.Context) error {
	who, err := h.store.SignedIn(c.Request())
	if errors.Is(err, models.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	who.Actor.Source = c.RealIP()
	who.Actor.RequestID = c.Response().Header().Get(echo.HeaderXRequestID)
	return h.identity.SignOut(c.Request().Context(), who)
}

func (h *Sessions) form(next string) views.SignInProps {
	if next == "/" {
		next = ""
	}
	return views.SignInProps{Next: next, SSOLabel: h.identity.SSOLabel(), DemoAccounts: h.options.DemoAccounts, DemoPassword: h.options.DemoPassword}
}

// problem is an invalid input in one sentence, for a form without a place
// beside each field.
func problem(err error) string {
	for _, name := range []string{"email", "password"} {
		if text := models.FieldsOf(err)[name]; text != "" {
			return text
		}
	}
	var e *models.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}
