package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// People is who is in an org, and who is invited.
type People struct {
	frames
	invitations *identity.Invitations
	outbox      bool // the demo's: mails are shown, not sent
}

// List shows a page of the members, and the open invitations; or one of the
// two parts, which change by themselves. Search, role and page are in the
// address.
func (h *People) List(c echo.Context, scope *models.Scope) error {
	in := query(c)
	f := models.PeopleFilter{Search: in.text("q", maxSearch), Role: choice(in, "role", models.OrgRoles), Page: in.paging()}
	if err := in.err(); err != nil {
		return err
	}
	p, err := h.props(c, scope, f)
	if err != nil {
		return err
	}
	switch views.Part(c.Request()) {
	case views.PartList:
		return Render(c, http.StatusOK, views.Members(p))
	case views.PartLive:
		return Render(c, http.StatusOK, views.OpenInvitations(p))
	}
	return Render(c, http.StatusOK, views.People(p))
}

func (h *People) props(c echo.Context, scope *models.Scope, f models.PeopleFilter) (views.PeopleProps, error) {
	p := views.PeopleProps{Filter: f, Self: scope.UserID(), CanManage: scope.Can(models.PeopleManage), Outbox: h.outbox}
	var err error
	p.Frame, err = h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Page, err = r.People(f); err != nil {
			return err
		}
		p.Invitations, err = r.Invitations(f.Search)
		return err
	})
	return p, err
}

// Show is one member's page.
func (h *People) Show(c echo.Context, scope *models.Scope) error {
	person, err := id[models.UserID](c, "person")
	if err != nil {
		return err
	}
	p, err := h.person(c, scope, person)
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.Person(p))
}

func (h *People) person(c echo.Context, scope *models.Scope, person models.UserID) (views.PersonProps, error) {
	p := views.PersonProps{CanManage: scope.Can(models.PeopleManage), Self: person == scope.UserID()}
	var err error
	p.Frame, err = h.page(c, scope, func(r *models.Reader) error {
		var err error
		p.Person, err = r.Person(person)
		return err
	})
	return p, err
}

// Invite invites an address. Where no mail carries the link, it is shown to
// whoever invited, this once.
func (h *People) Invite(c echo.Context, scope *models.Scope) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	email, role := in.text("email", 254), choice(in, "role", models.OrgRoles)
	var sent identity.Sent
	if err = in.err(); err == nil {
		err = scope.Change(c.Request().Context(), func(w *models.Writer) error {
			var err error
			sent, err = h.invitations.Invite(c.Request().Context(), w, scope.Org(), email, role)
			return err
		})
	}
	if errors.Is(err, models.ErrInvalid) && !scripted(c) {
		p, propsErr := h.props(c, scope, models.PeopleFilter{})
		if propsErr != nil {
			return propsErr
		}
		p.Email, p.Role, p.Problems = email, role, models.FieldsOf(err)
		return Render(c, http.StatusUnprocessableEntity, views.People(p))
	}
	if err != nil {
		return err
	}
	return h.sent(c, scope, sent, "invited")
}

// Resend sends an invitation again; the link of the last one opens nothing
// any more.
func (h *People) Resend(c echo.Context, scope *models.Scope) error {
	invitation, err := id[models.InvitationID](c, "invitation")
	if err != nil {
		return err
	}
	sent, err := h.invitations.Resend(c.Request().Context(), scope, invitation)
	if err != nil {
		return err
	}
	return h.sent(c, scope, sent, "invited again")
}

func (h *People) sent(c echo.Context, scope *models.Scope, sent identity.Sent, done string) error {
	if sent.Link == "" {
		return h.leave(c, place(scope).People(), ui.Good, sent.Invitation.Email+" is "+done+". The mail is on its way.")
	}
	frame, err := h.page(c, scope, func(*models.Reader) error { return nil })
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.InvitationMade(views.InvitedProps{
		Frame: frame, Email: sent.Invitation.Email, Role: sent.Invitation.Role, Link: sent.Link,
	}))
}

// Withdraw ends an invitation.
func (h *People) Withdraw(c echo.Context, scope *models.Scope) error {
	invitation, err := id[models.InvitationID](c, "invitation")
	if err != nil {
		return err
	}
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error { return w.WithdrawInvitation(invitation) })
	if err != nil {
		return err
	}
	return h.leave(c, place(scope).People(), ui.Good, "The invitation is withdrawn.")
}

// SetRole gives a member another role.
func (h *People) SetRole(c echo.Context, scope *models.Scope) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	role := choice(in, "role", models.OrgRoles)
	return h.change(c, scope, "The role is changed.", func(person models.UserID) error {
		if err := in.err(); err != nil {
			return err
		}
		return h.system.SetMemberRole(c.Request().Context(), scope, person, role)
	})
}

// Disable suspends a membership.
func (h *People) Disable(c echo.Context, scope *models.Scope) error {
	return h.change(c, scope, "Disabled. What was open ends within seconds.", func(person models.UserID) error {
		return h.system.DisableMember(c.Request().Context(), scope, person)
	})
}

// Enable lifts a suspension.
func (h *People) Enable(c echo.Context, scope *models.Scope) error {
	return h.change(c, scope, "Enabled again.", func(person models.UserID) error {
		return h.system.EnableMember(c.Request().Context(), scope, person)
	})
}

// Remove ends a membership.
func (h *People) Remove(c echo.Context, scope *models.Scope) error {
	person, err := id[models.UserID](c, "person")
	if err != nil {
		return err
	}
	if err := h.system.RemoveMember(c.Request().Context(), scope, person); err != nil {
		return h.again(c, scope, person, err)
	}
	if person == scope.UserID() {
		return c.Redirect(http.StatusSeeOther, "/")
	}
	return h.leave(c, place(scope).People(), ui.Good, "Removed from the org.")
}

func (h *People) change(c echo.Context, scope *models.Scope, done string, change func(models.UserID) error) error {
	person, err := id[models.UserID](c, "person")
	if err != nil {
		return err
	}
	if err := change(person); err != nil {
		return h.again(c, scope, person, err)
	}
	if person == scope.UserID() { // this page may not be theirs any more
		return c.Redirect(http.StatusSeeOther, place(scope).Home())
	}
	return h.leave(c, place(scope).Person(person), ui.Good, done)
}

// again shows the person as they are after something that could not be done.
func (h *People) again(c echo.Context, scope *models.Scope, person models.UserID, cause error) error {
	status := http.StatusConflict
	switch {
	case scripted(c):
		return cause
	case errors.Is(cause, models.ErrInvalid):
		status = http.StatusUnprocessableEntity
	case !errors.Is(cause, models.ErrConflict):
		return cause
	}
	p, err := h.person(c, scope, person)
	if err != nil {
		return err
	}
	text := sentence(cause)
	if problem := models.FieldsOf(cause)["role"]; problem != "" {
		text = problem
	}
	p.Frame.Flash = append(p.Frame.Flash, ui.Message{Tone: ui.Bad, Text: text})
	return Render(c, status, views.Person(p))
}

// Permissions is the table of who may do what.
func (h *People) Permissions(c echo.Context, scope *models.Scope) error {
	frame, err := h.page(c, scope, func(*models.Reader) error { return nil })
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.Permissions(views.PermissionsProps{Frame: frame}))
}

// AllPermissions is the same table for the provider's people, who have no org.
func (h *People) AllPermissions(c echo.Context, _ *models.Provider) error {
	frame, err := h.user(c)
	if err != nil {
		return err
	}
	frame.Entry = views.EntryOrgs
	return Render(c, http.StatusOK, views.Permissions(views.PermissionsProps{Frame: frame}))
}

// Outbox shows what the demo would have sent for this org. Elsewhere mail
// leaves the portal, and there is no such page.
func (h *People) Outbox(c echo.Context, scope *models.Scope) error {
	if !h.outbox {
		return models.NotFound("page")
	}
	p := views.OutboxProps{Demo: true}
	var err error
	p.Frame, err = h.page(c, scope, func(r *models.Reader) error {
		var err error
		p.Letters, err = r.Outbox()
		return err
	})
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.Outbox(p))
}

// AllMail is the operators' outbox: how every org's mail is getting on. Only
// the demo shows what it says, and that to operators: an invitation's link is
// a way in.
func (h *People) AllMail(c echo.Context, provider *models.Provider) error {
	open := h.outbox && provider.Can(models.ProviderWrite)
	letters, err := provider.Outbox(c.Request().Context(), open)
	if err != nil {
		return err
	}
	frame, err := h.user(c)
	if err != nil {
		return err
	}
	frame.Entry = views.EntryOutbox
	return Render(c, http.StatusOK, views.Outbox(views.OutboxProps{Frame: frame, Letters: letters, Demo: open}))
}
