package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// maxCode is longer than any code with the spaces that people type.
const maxCode = 64

// Code asks for the second factor's code. Where no sign-in waits for one, it
// begins anew.
func (h *Sessions) Code(c echo.Context) error {
	next := localPath(c.QueryParam("next"))
	err := h.identity.Challenged(c.Request().Context(), h.store.Challenge(c.Request()))
	if errors.Is(err, models.ErrNotFound) {
		return c.Redirect(http.StatusSeeOther, views.SignInURL(next))
	}
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.SignInCode(views.SignInCodeProps{Next: next}))
}

// Answer checks the code.
func (h *Sessions) Answer(c echo.Context) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	next := localPath(in.values.Get("next"))
	token, _, err := h.identity.AnswerCode(c.Request().Context(), attempt(c), h.store.Challenge(c.Request()), in.text("code", maxCode))
	switch {
	case errors.Is(err, models.ErrNotFound):
		h.store.BeginChallenge(c.Response(), c.Request(), "")
		return c.Redirect(http.StatusSeeOther, views.SignInURL(next))
	case errors.Is(err, identity.ErrWrongCode):
		return Render(c, http.StatusUnprocessableEntity, views.SignInCode(views.SignInCodeProps{Next: next, Error: sentence(err)}))
	case err != nil:
		return err
	}
	h.store.BeginChallenge(c.Response(), c.Request(), "")
	return h.begin(c, token, next)
}
