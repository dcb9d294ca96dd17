package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// InviteAdmin invites the administrator of an org that has none.
func (h *Provider) InviteAdmin(c echo.Context, provider *models.Provider) error {
	slug, err := orgSlug(c)
	if err != nil {
		return err
	}
	if h.invitations == nil {
		return models.NotFound("page")
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in, "email")
	sent, org, err := h.invitations.BringAdmin(c.Request().Context(), provider, slug, f.Values["email"])
	if err != nil {
		return h.org(c, provider, orgForms{invited: &f}, err)
	}
	return h.adminInvited(c, http.StatusOK, org, sent, sent.Invitation.Email+" is invited")
}

// ResendAdmin sends such an invitation again; the link of the last one opens
// nothing any more.
func (h *Provider) ResendAdmin(c echo.Context, provider *models.Provider) error {
	invitation, err := id[models.InvitationID](c, "invitation")
	if err != nil {
		return err
	}
	if h.invitations == nil {
		return models.NotFound("page")
	}
	sent, org, err := h.invitations.ResendAdmin(c.Request().Context(), provider, invitation)
	if err != nil {
		return err
	}
	return h.adminInvited(c, http.StatusOK, org, sent, sent.Invitation.Email+" is invited again")
}

// adminInvited goes on to the org, or shows the link that no mail carries.
func (h *Provider) adminInvited(c echo.Context, status int, org models.Org, sent identity.Sent, done string) error {
	if sent.Link == "" {
		return h.leave(c, views.ProviderOrgURL(org.Slug), ui.Good, done+".")
	}
	frame, err := h.at(c, views.EntryOrgs)
	if err != nil {
		return err
	}
	return Render(c, status, views.AdminInvited(views.AdminInvitedProps{Frame: frame, Title: done, Org: org, Email: sent.Invitation.Email, Link: sent.Link}))
}

// WithdrawAdmin ends such an invitation.
func (h *Provider) WithdrawAdmin(c echo.Context, provider *models.Provider) error {
	invitation, err := id[models.InvitationID](c, "invitation")
	if err != nil {
		return err
	}
	org, err := provider.WithdrawAdmin(c.Request().Context(), invitation)
	if err != nil {
		return err
	}
	return h.leave(c, views.ProviderOrgURL(org.Slug), ui.Good, "The invitation is withdrawn.")
}
