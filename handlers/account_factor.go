package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// BeginFactor makes a secret and leads to the page that shows it.
func (h *Account) BeginFactor(c echo.Context, who models.SignedIn) error {
	if err := h.identity.BeginFactor(c.Request().Context(), who); err != nil {
		return h.again(c, who, err, func(*views.AccountProps) {})
	}
	return c.Redirect(http.StatusSeeOther, views.FactorURL)
}

// Factor shows the secret that is being set up.
func (h *Account) Factor(c echo.Context, who models.SignedIn) error {
	return h.enrol(c, who, http.StatusOK, "")
}

func (h *Account) enrol(c echo.Context, who models.SignedIn, status int, problem string) error {
	enrolment, err := h.identity.Enrolment(c.Request().Context(), who)
	if err != nil {
		return err
	}
	frame, err := h.user(c)
	if err != nil {
		return err
	}
	return Render(c, status, views.FactorSetup(views.FactorSetupProps{
		Frame: frame, Secret: enrolment.Secret, QR: enrolment.QR, Problem: problem,
	}))
}

// ConfirmFactor turns it on and shows the recovery codes, this once.
func (h *Account) ConfirmFactor(c echo.Context, who models.SignedIn) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	codes, err := h.identity.ConfirmFactor(c.Request().Context(), who, in.text("code", maxCode))
	if problem := models.FieldsOf(err)["code"]; problem != "" && !scripted(c) {
		return h.enrol(c, who, http.StatusUnprocessableEntity, problem)
	}
	if err != nil {
		return err
	}
	frame, err := h.user(c)
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.RecoveryCodes(views.RecoveryCodesProps{Frame: frame, Codes: codes}))
}

// EndFactor turns it off, for whoever knows the password.
func (h *Account) EndFactor(c echo.Context, who models.SignedIn) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	if err := h.identity.EndFactor(c.Request().Context(), who, in.values.Get("password")); err != nil {
		return h.again(c, who, err, func(p *views.AccountProps) { p.Refused = views.FormFactor })
	}
	return h.leave(c, views.AccountURL, ui.Good, "The second factor is off.")
}
