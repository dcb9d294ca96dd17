package models

import (
	"context"
	"errors"
	"net/mail"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

const (
	// InvitationTime is how long an invitation waits to be redeemed.
	InvitationTime = 7 * 24 * time.Hour
	// invitationsPerHour bounds the mail that an org can have sent.
	invitationsPerHour = 200
)

// Invitation lets whoever holds its token become a member, once. The token is
// stored hashed.
//
//	open ─▶ redeemed     by its token, before it expires
//	     ─▶ withdrawn    by an admin, or because who made it is no admin any more
type Invitation struct {
	ID          InvitationID `gorm:"primaryKey"`
	OrgID       OrgID
	Email       string // lower case
	Role        Role
	TokenHash   string // SHA-256 of the token, hex
	InviterID   string
	InviterName string
	CreatedAt   time.Time
	ExpiresAt   time.Time
	RedeemedAt  *time.Time
	RedeemedBy  UserID
	WithdrawnAt *time.Time
}

func (i Invitation) object() Object {
	return Object{Kind: "invitation", ID: string(i.ID), Name: i.Email}
}

// Expired says whether its time is over.
func (i Invitation) Expired() bool { return !i.ExpiresAt.After(Now()) }

// InsertInvitation invites an address to an org, as the Writer's actor, and
// tells the org's history. Only the token's hash comes here. It serves a
// Scope's Writer, for its own org, and one that reaches every org.
func (w *Writer) InsertInvitation(org OrgID, email string, role Role, tokenHash string) (Invitation, error) {
	i := Invitation{
		ID: NewID[InvitationID](), OrgID: org, Email: NormalEmail(email), Role: role, TokenHash: tokenHash,
		InviterID: w.actor.ID, InviterName: w.actor.Name, CreatedAt: Now(), ExpiresAt: Now().Add(InvitationTime),
	}
	if err := i.validate(); err != nil {
		return i, err
	}
	var members int64
	err := w.tx.Model(&Member{}).Joins("JOIN users ON users.id = members.user_id").
		Where("members.org_id = ? AND users.email = ?", org, i.Email).Count(&members).Error
	if err != nil {
		return i, err
	}
	if members > 0 {
		return i, Invalid(map[string]string{"email": "This person is in the org already."})
	}
	var lately int64
	if err := w.tx.Model(&Invitation{}).Where("org_id = ? AND created_at > ?", org, Now().Add(-time.Hour)).Count(&lately).Error; err != nil {
		return i, err
	}
	if lately >= invitationsPerHour {
		return i, TooMany("The org has invited very many people within an hour. Wait a while, then go on.", 600)
	}
	// One whose time is over doesn't stand in the way of another.
	err = w.tx.Model(&Invitation{}).
		Where("org_id = ? AND email = ? AND redeemed_at IS NULL AND withdrawn_at IS NULL AND expires_at <= ?", org, i.Email, Now()).
		Update("withdrawn_at", Now()).Error
	if err != nil {
		return i, err
	}
	err = w.tx.Create(&i).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return i, Invalid(map[string]string{"email": "This person is invited already. Send that invitation again, or withdraw it."})
	}
	if err != nil {
		return i, err
	}
	w.touchOf(org, "invitation", string(i.ID))
	return i, w.recordFor(org, Event{Action: ActionInvite, Outcome: OutcomeSucceeded, Object: i.object(),
		After: map[string]any{"role": i.Role, "expires": i.ExpiresAt.Format(time.RFC3339)}})
}

func (i Invitation) validate() error {
	fields := map[string]string{}
	parsed, err := mail.ParseAddress(i.Email)
	_, domain, _ := strings.Cut(i.Email, "@")
	if err != nil || parsed.Address != i.Email || len(i.Email) > 254 || domain == "" || strings.ContainsAny(i.Email, "\r\n\x00 <>\"") {
		fields["email"] = "Enter an e-mail address, like ada@example.com."
	}
	if strength[i.Role] == 0 {
		fields["role"] = "Choose a role."
	}
	if len(fields) > 0 {
		return Invalid(fields)
	}
	return nil
}

// RenewInvitation gives an open invitation of the Writer's org a new token and
// its full time; the old token opens nothing any more.
func (w *Writer) RenewInvitation(id InvitationID, tokenHash string) (Invitation, error) {
	i, err := w.openInvitation(id)
	if err != nil {
		return i, err
	}
	i.TokenHash, i.ExpiresAt = tokenHash, Now().Add(InvitationTime)
	done := w.tx.Model(&Invitation{}).Where("id = ? AND redeemed_at IS NULL AND withdrawn_at IS NULL", id).
		Updates(map[string]any{"token_hash": i.TokenHash, "expires_at": i.ExpiresAt, "inviter_id": w.actor.ID, "inviter_name": w.actor.Name})
	if done.Error != nil {
		return i, done.Error
	}
	if done.RowsAffected == 0 {
		return i, NotFound("invitation")
	}
	i.InviterID, i.InviterName = w.actor.ID, w.actor.Name
	var lately int64
	if err := w.tx.Model(&Mail{}).Where("invitation_id = ? AND created_at > ?", id, Now().Add(-time.Hour)).Count(&lately).Error; err != nil {
		return i, err
	}
	if lately >= 5 {
		return i, TooMany("This invitation was sent several times within an hour. Wait a while, then try again.", 600)
	}
	if err := w.dropMails(id); err != nil {
		return i, err
	}
	w.touchOf(i.OrgID, "invitation", string(i.ID))
	return i, w.recordFor(i.OrgID, Event{Action: ActionInviteResend, Outcome: OutcomeSucceeded, Object: i.object(),
		After: map[string]any{"role": i.Role, "expires": i.ExpiresAt.Format(time.RFC3339)}})
}

// WithdrawInvitation ends an open invitation of the Writer's org.
func (w *Writer) WithdrawInvitation(id InvitationID) error {
	i, err := w.openInvitation(id)
	if err != nil {
		return err
	}
	return w.withdraw(i)
}

func (r *Reader) openInvitation(id InvitationID) (Invitation, error) {
	var i Invitation
	return i, absent(r.tx.Take(&i, "id = ? AND redeemed_at IS NULL AND withdrawn_at IS NULL", id).Error, "invitation")
}

func (w *Writer) withdraw(i Invitation) error {
	done := w.tx.Model(&Invitation{}).Where("id = ? AND redeemed_at IS NULL AND withdrawn_at IS NULL", i.ID).Update("withdrawn_at", Now())
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected == 0 { // redeemed a moment ago
		return NotFound("invitation")
	}
	if err := w.dropMails(i.ID); err != nil {
		return err
	}
	w.touchOf(i.OrgID, "invitation", string(i.ID))
	return w.recordFor(i.OrgID, Event{Action: ActionInviteEnd, Outcome: OutcomeSucceeded, Object: i.object(),
		Before: map[string]any{"role": i.Role}})
}

// endInvitationsOf withdraws what somebody invited who may invite no more:
// else they could come back by an address of their own.
func (w *Writer) endInvitationsOf(org OrgID, inviter UserID) error {
	var open []Invitation
	err := w.tx.Find(&open, "org_id = ? AND inviter_id = ? AND redeemed_at IS NULL AND withdrawn_at IS NULL", org, inviter).Error
	if err != nil {
		return err
	}
	for _, i := range open {
		if err := w.withdraw(i); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// InvitationRow is an open invitation with what became of its mail.
type InvitationRow struct {
	Invitation
	MailSentAt  *time.Time
	MailProblem string
	Mailed      bool // there is a mail at all
}

// InvitationsMost is how many open invitations a list has.
const InvitationsMost = 100

// Invitations lists the org's newest open invitations, those whose address has
// the text; one more than InvitationsMost says that there are others.
func (r *Reader) Invitations(search string) ([]InvitationRow, error) {
	q := r.tx
	if search != "" {
		q = q.Where(`email LIKE ? ESCAPE '\'`, likeText(search))
	}
	return r.invitationRows(q)
}

// invitationRows are the open ones of a choice, newest first.
func (r *Reader) invitationRows(of *gorm.DB) ([]InvitationRow, error) {
	var open []Invitation
	err := of.Where("redeemed_at IS NULL AND withdrawn_at IS NULL").Order("id DESC").Limit(InvitationsMost + 1).Find(&open).Error
	if err != nil || len(open) == 0 {
		return nil, err
	}
	ids := make([]InvitationID, len(open))
	rows := make([]InvitationRow, len(open))
	at := map[InvitationID]int{}
	for n, i := range open {
		ids[n], rows[n].Invitation, at[i.ID] = i.ID, i, n
	}
	var mails []Mail
	if err := r.tx.Omit("body").Where("invitation_id IN ?", ids).Order("id").Find(&mails).Error; err != nil {
		return nil, err
	}
	for _, m := range mails { // the newest of each stays
		row := &rows[at[m.InvitationID]]
		row.Mailed, row.MailSentAt, row.MailProblem = true, m.SentAt, m.Problem
	}
	return rows, nil
}

// Invited is an invitation as the person who holds its token sees it.
type Invited struct {
	Invitation Invitation
	Org        Org
}

// InvitationByToken finds an invitation that can be redeemed. Used, expired,
// withdrawn and invented ones are all ErrNotFound.
func (s *System) InvitationByToken(ctx context.Context, tokenHash string) (Invited, error) {
	var found Invited
	err := s.reading(ctx, func(r *Reader) error {
		err := absent(r.tx.Take(&found.Invitation, "token_hash = ? AND redeemed_at IS NULL AND withdrawn_at IS NULL AND expires_at > ?", tokenHash, Now()).Error, "invitation")
		if err != nil {
			return err
		}
		var row orgRow
		err = absent(r.tx.Take(&row, "id = ? AND suspended_at IS NULL", found.Invitation.OrgID).Error, "invitation")
		found.Org = row.org()
		return err
	})
	return found, err
}

// redeem spends the token: one UPDATE decides, on whichever node.
func (w *Writer) redeem(tokenHash string, user UserID) (Invitation, Org, error) {
	var (
		i   Invitation
		org orgRow
	)
	done := w.tx.Model(&i).Clauses(clause.Returning{}).
		Where("token_hash = ? AND redeemed_at IS NULL AND withdrawn_at IS NULL AND expires_at > ?", tokenHash, Now()).
		Updates(map[string]any{"redeemed_at": Now(), "redeemed_by": user})
	if done.Error != nil {
		return i, Org{}, done.Error
	}
	if done.RowsAffected == 0 {
		return i, Org{}, NotFound("invitation")
	}
	if err := w.dropMails(i.ID); err != nil {
		return i, Org{}, err
	}
	err := absent(w.tx.Take(&org, "id = ? AND suspended_at IS NULL", i.OrgID).Error, "invitation")
	return i, org.org(), err
}

// join makes the redeemer a member.
func (w *Writer) join(i Invitation, user User) error {
	err := w.tx.Create(&Member{OrgID: i.OrgID, UserID: user.ID, Role: i.Role, CreatedAt: Now()}).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return Conflict("You are in this org already.")
	}
	if err != nil {
		return err
	}
	w.touchOf(i.OrgID, "member", string(user.ID))
	w.touchOf(i.OrgID, "invitation", string(i.ID))
	return w.recordFor(i.OrgID, Event{Action: ActionMemberJoin, Outcome: OutcomeSucceeded, Object: user.object(),
		After: map[string]any{"role": i.Role, "invited_by": i.InviterName, "email": user.Email}})
}

// JoinByInvitation redeems an invitation for somebody who is signed in with
// the address that it names; for anybody else there is no such invitation.
func (s *System) JoinByInvitation(ctx context.Context, who SignedIn, tokenHash string) (org Org, err error) {
	err = s.db.changing(ctx, scopeValue{all: true}, who.Actor, true, func(w *Writer) error {
		var i Invitation
		if i, org, err = w.redeem(tokenHash, who.User.ID); err != nil {
			return err
		}
		if i.Email != who.User.Email {
			return NotFound("invitation")
		}
		return w.join(i, who.User)
	})
	return org, err
}

// ErrAccountExists says that the invited address has an account already.
var ErrAccountExists = &Error{
	Code:    CodeConflict,
	Message: "There is an account with this address already. Sign in with it, then accept the invitation.",
}

// AccountByInvitation redeems an invitation for somebody new: account,
// membership and session are made in one transaction. session.UserID is user.ID.
func (s *System) AccountByInvitation(ctx context.Context, tokenHash string, user User, session Session, actor Actor) (org Org, err error) {
	err = s.db.changing(ctx, scopeValue{all: true}, actor, true, func(w *Writer) error {
		var i Invitation
		if i, org, err = w.redeem(tokenHash, user.ID); err != nil {
			return err
		}
		user.Email, user.CreatedAt, user.ProviderRole = i.Email, Now(), ""
		err := w.tx.Create(&user).Error
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			return ErrAccountExists
		}
		if err != nil {
			return err
		}
		if err := w.join(i, user); err != nil {
			return err
		}
		return w.addSession(session, map[string]any{"by": "invitation"})
	})
	return org, err
}
