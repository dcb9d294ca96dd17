package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/millwright/millwright/models"
)

// InvitationPath is where an invitation's link leads.
const InvitationPath = "/invitation"

// nameMaxChars bounds what a person calls themselves.
const nameMaxChars = 100

// Post carries letters: it stores one, with whatever sends it, in the Writer's
// transaction. internal/mail is the real one.
type Post interface {
	Send(ctx context.Context, w *models.Writer, i models.Invitation, subject, text string) error
}

// Invitations brings people in. Without a Post, whoever invites hands the link
// over.
type Invitations struct {
	service   *Service
	post      Post
	base      string // the portal's own address, never a request's Host
	showLinks bool
}

// NewInvitations makes them. base is the portal's public URL. showLinks hands
// the link to whoever invites although a post carries it: the demo's outbox
// reaches nobody.
func NewInvitations(service *Service, post Post, base string, showLinks bool) *Invitations {
	return &Invitations{service: service, post: post, base: strings.TrimRight(base, "/"), showLinks: showLinks || post == nil}
}

// Sent is an invitation on its way. Link is "" where the mail alone carries
// it; else it is to be shown to whoever invited, once.
type Sent struct {
	Invitation models.Invitation
	Link       string
}

// Invite invites an address to an org within the caller's transaction, mail
// included: either all of it is kept or nothing. The Writer is a Scope's, of
// that org, or one that reaches every org.
func (v *Invitations) Invite(ctx context.Context, w *models.Writer, org models.Org, email string, role models.Role) (Sent, error) {
	token := newToken()
	i, err := w.InsertInvitation(org.ID, email, role, hashToken(token))
	if err != nil {
		return Sent{}, err
	}
	return v.send(ctx, w, org, i, token)
}

// Resend sends an open invitation of the scope's org again, with a new token.
func (v *Invitations) Resend(ctx context.Context, scope *models.Scope, id models.InvitationID) (sent Sent, err error) {
	err = scope.Change(ctx, func(w *models.Writer) error {
		token := newToken()
		i, err := w.RenewInvitation(id, hashToken(token))
		if err != nil {
			return err
		}
		sent, err = v.send(ctx, w, scope.Org(), i, token)
		return err
	})
	return sent, err
}

// BringAdmin invites an address as the admin of an org that has none.
func (v *Invitations) BringAdmin(ctx context.Context, provider *models.Provider, slug, email string) (sent Sent, org models.Org, err error) {
	org, err = provider.BringAdmin(ctx, slug, func(w *models.Writer, org models.Org) (models.Invitation, error) {
		var err error
		sent, err = v.Invite(ctx, w, org, email, models.RoleAdmin)
		return sent.Invitation, err
	})
	return sent, org, err
}

// ResendAdmin sends such an invitation again, with a new token.
func (v *Invitations) ResendAdmin(ctx context.Context, provider *models.Provider, id models.InvitationID) (sent Sent, org models.Org, err error) {
	org, err = provider.RenewAdmin(ctx, id, func(w *models.Writer, org models.Org) (models.Invitation, error) {
		token := newToken()
		i, err := w.RenewInvitation(id, hashToken(token))
		if err != nil {
			return i, err
		}
		sent, err = v.send(ctx, w, org, i, token)
		return i, err
	})
	return sent, org, err
}

func (v *Invitations) send(ctx context.Context, w *models.Writer, org models.Org, i models.Invitation, token string) (Sent, error) {
	link := v.base + InvitationPath + "?" + url.Values{"token": {token}}.Encode()
	sent := Sent{Invitation: i}
	if v.showLinks {
		sent.Link = link
	}
	if v.post == nil {
		return sent, nil
	}
	subject := "You are invited to " + org.Name + " on Millwright"
	text := fmt.Sprintf(`Hello,

%s invites you to %s on Millwright, the portal for virtual machines.

Open this link to accept. It works once, until %s:

%s

If you didn't expect this, leave it alone: nothing happens without you.
`, i.InviterName, org.Name, i.ExpiresAt.Format("2 January 2006, 15:04 UTC"), link)
	return sent, v.post.Send(ctx, w, i, subject, text)
}

// Find returns the invitation that a token opens. Unknown, used, expired and
// withdrawn ones are all models.ErrNotFound.
func (v *Invitations) Find(ctx context.Context, token string) (models.Invited, error) {
	if len(token) != tokenLength {
		return models.Invited{}, models.NotFound("invitation")
	}
	return v.service.system.InvitationByToken(ctx, hashToken(token))
}

// Join accepts for somebody who is signed in with the invited address.
func (v *Invitations) Join(ctx context.Context, who models.SignedIn, token string) (models.Org, error) {
	org, err := models.Org{}, models.NotFound("invitation")
	if len(token) == tokenLength {
		org, err = v.service.system.JoinByInvitation(ctx, who, hashToken(token))
	}
	if errors.Is(err, models.ErrNotFound) {
		err = v.wrong(ctx, token, who.Actor, err)
	}
	return org, err
}

// wrong counts and tells of a token that opens nothing, and returns what to
// answer.
func (v *Invitations) wrong(ctx context.Context, token string, actor models.Actor, cause error) error {
	if err := v.service.system.RefuseInvitation(ctx, hashToken(token), actor); err != nil {
		return err
	}
	return cmp.Or(v.service.countWrong(ctx, "invitation", actor.Source), cause)
}

// Newcomer is what somebody without an account says of themselves.
type Newcomer struct{ Name, Password, Again string }

func (n Newcomer) validate() error {
	fields := map[string]string{}
	switch name := strings.TrimSpace(n.Name); {
	case name == "":
		fields["name"] = "Say how you are called."
	case utf8.RuneCountInString(name) > nameMaxChars || !plainText(name):
		fields["name"] = "This can't be used as a name."
	}
	if problem := passwordProblem(n.Password); problem != "" {
		fields["password"] = problem
	} else if n.Password != n.Again {
		fields["again"] = "This is not the same as above."
	}
	if len(fields) > 0 {
		return models.Invalid(fields)
	}
	return nil
}

// Accept makes an account for the invited address, the membership and a
// session, whose token goes into the cookie. It costs one password hash,
// whether the address has an account already or not; tries are counted by
// source.
func (v *Invitations) Accept(ctx context.Context, a Attempt, token string, n Newcomer) (string, models.Org, error) {
	if err := n.validate(); err != nil {
		return "", models.Org{}, err
	}
	s := v.service
	found, err := v.Find(ctx, token)
	if errors.Is(err, models.ErrNotFound) {
		return "", models.Org{}, v.wrong(ctx, token, nobody(a), err)
	}
	if err != nil {
		return "", models.Org{}, err
	}
	hash, err := s.passwords.create(ctx, n.Password)
	if err != nil {
		return "", models.Org{}, err
	}
	user := models.User{
		ID: models.NewID[models.UserID](), Email: found.Invitation.Email, Name: strings.TrimSpace(n.Name), PasswordHash: hash,
	}
	session, row, actor := freshSession(a, user)
	org, err := s.system.AccountByInvitation(ctx, hashToken(token), user, row, actor)
	return session, org, err
}
