package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// MakeToken makes an API token and shows it, this once. Whose it is and when
// it was made come from the session, whatever the form says.
func (h *Account) MakeToken(c echo.Context, who models.SignedIn) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	typed := views.TokenForm{
		Name: in.text("name", maxName), Org: in.text("org", maxName), Role: choice(in, "role", models.RolesUpTo(models.RoleAdmin)),
		Days: identity.TokenDays,
	}
	if in.values.Get("days") != "" {
		typed.Days = in.number("days", 1, identity.TokenDaysMax)
	}
	text, token, err := h.makeToken(c, who, in, typed)
	if err != nil {
		return h.again(c, who, err, func(p *views.AccountProps) { p.Refused, p.Token = views.FormToken, typed })
	}
	frame, err := h.user(c)
	if err != nil {
		return err
	}
	p := views.TokenMadeProps{Frame: frame, Token: token, Text: text}
	for _, m := range frame.Memberships {
		if m.Org.ID == token.OrgID {
			p.Org = m.Org
		}
	}
	return Render(c, http.StatusOK, views.TokenMade(p))
}

func (h *Account) makeToken(c echo.Context, who models.SignedIn, in *input, typed views.TokenForm) (string, models.APIToken, error) {
	if err := in.err(); err != nil {
		return "", models.APIToken{}, err
	}
	scope, err := h.system.Scope(c.Request().Context(), who, typed.Org)
	if models.CodeOf(err) == models.CodeNotFound {
		err = models.Invalid(map[string]string{"org": "Choose one of your orgs."})
	}
	if err != nil {
		return "", models.APIToken{}, err
	}
	return h.identity.MakeToken(c.Request().Context(), scope, typed.Name, typed.Role, typed.Days)
}

// RevokeToken ends one of the user's tokens.
func (h *Account) RevokeToken(c echo.Context, who models.SignedIn) error {
	token, err := id[models.TokenID](c, "token")
	if err != nil {
		return err
	}
	if err := h.system.RevokeAPIToken(c.Request().Context(), who, token); err != nil {
		return err
	}
	return h.leave(c, views.AccountURL, ui.Good, "The token is revoked.")
}
