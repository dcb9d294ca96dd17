package handlers

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Account is a user's own: password, sessions, second factor, API tokens. It
// is reached by session alone.
type Account struct {
	frames
	identity *identity.Service
}

// Show is the page with all of it.
func (h *Account) Show(c echo.Context, who models.SignedIn) error {
	p, err := h.props(c, who)
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.Account(p))
}

func (h *Account) props(c echo.Context, who models.SignedIn) (views.AccountProps, error) {
	p := views.AccountProps{This: who.Session.ID, PasswordMinChars: identity.PasswordMinChars, TokenDaysMax: identity.TokenDaysMax}
	p.Token.Days = identity.TokenDays
	ctx := c.Request().Context()
	var err error
	if p.Frame, err = h.user(c); err != nil {
		return p, err
	}
	if p.Sessions, err = h.system.LiveSessions(ctx, who.User.ID, identity.IdleTime); err != nil {
		return p, err
	}
	if p.Tokens, err = h.system.APITokens(ctx, who.User.ID); err != nil {
		return p, err
	}
	if err = h.ssoProps(c, who, &p); err != nil {
		return p, err
	}
	factor, err := h.system.Factor(ctx, who.User.ID)
	if errors.Is(err, models.ErrNotFound) {
		return p, nil
	}
	p.FactorOn, p.RecoveryLeft = factor.Confirmed, factor.RecoveryLeft
	return p, err
}

// ssoProps says how the account may sign in.
func (h *Account) ssoProps(c echo.Context, who models.SignedIn, p *views.AccountProps) error {
	hash, err := h.system.PasswordHash(c.Request().Context(), who.User.ID)
	if err != nil {
		return err
	}
	p.HasPassword, p.SSOLabel = hash != "", h.identity.SSOLabel()
	if p.SSOLabel == "" {
		p.HasPassword = true // nobody gets in without one
		return nil
	}
	link, err := h.system.Identity(c.Request().Context(), who.User.ID, h.identity.SSOIssuer())
	if errors.Is(err, models.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	p.SSOConnected, p.SSOEmail = true, link.Email
	p.SSOGiven, err = h.system.SSOGiven(c.Request().Context(), who.User, link)
	return err
}

// again shows the page with what was wrong with one of its forms; what can't
// be told there is passed on.
func (h *Account) again(c echo.Context, who models.SignedIn, cause error, fill func(p *views.AccountProps)) error {
	fields, conflict := models.FieldsOf(cause), models.CodeOf(cause) == models.CodeConflict
	if scripted(c) || len(fields) == 0 && !conflict {
		return cause
	}
	p, err := h.props(c, who)
	if err != nil {
		return err
	}
	if conflict {
		p.Frame.Flash = append(p.Frame.Flash, ui.Message{Tone: ui.Bad, Text: sentence(cause)})
		return Render(c, http.StatusConflict, views.Account(p))
	}
	p.Problems = fields
	fill(&p)
	return Render(c, http.StatusUnprocessableEntity, views.Account(p))
}

// Password changes the password, and ends every other session.
func (h *Account) Password(c echo.Context, who models.SignedIn) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	tokensToo := in.values.Get("tokens") == "revoke"
	ended, err := h.identity.ChangePassword(c.Request().Context(), who,
		in.values.Get("old"), in.values.Get("new"), in.values.Get("again"), tokensToo)
	if err != nil {
		return h.again(c, who, err, func(p *views.AccountProps) { p.Refused, p.TokensToo = views.FormPassword, tokensToo })
	}
	return h.leave(c, views.AccountURL, ui.Good, "Your password is changed."+endedText(ended.Sessions)+revokedText(ended.Tokens))
}

func endedText(sessions int) string {
	switch sessions {
	case 0:
		return ""
	case 1:
		return " One other session was ended."
	default:
		return " " + strconv.Itoa(sessions) + " other sessions were ended."
	}
}

func revokedText(tokens int) string {
	switch tokens {
	case 0:
		return ""
	case 1:
		return " One API token was revoked."
	default:
		return " " + strconv.Itoa(tokens) + " API tokens were revoked."
	}
}

// Revoke ends one of the user's sessions; ending this one is signing out.
func (h *Account) Revoke(c echo.Context, who models.SignedIn) error {
	session, err := id[models.SessionID](c, "session")
	if err != nil {
		return err
	}
	if err := h.system.RevokeOwnSession(c.Request().Context(), who, session); err != nil {
		return err
	}
	if session == who.Session.ID {
		h.store.End(c.Response(), c.Request())
		return c.Redirect(http.StatusSeeOther, views.SignInURL("/"))
	}
	return h.leave(c, views.AccountURL, ui.Good, "The session has ended.")
}

// RevokeOthers ends all of the user's sessions but this one.
func (h *Account) RevokeOthers(c echo.Context, who models.SignedIn) error {
	ended, err := h.system.RevokeOtherSessions(c.Request().Context(), who)
	if err != nil {
		return err
	}
	if ended == 0 {
		return h.leave(c, views.AccountURL, ui.Good, "There was no other session.")
	}
	return h.leave(c, views.AccountURL, ui.Good, "Done."+endedText(ended))
}
