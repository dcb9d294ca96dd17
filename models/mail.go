package models

import (
	"context"
	"errors"
	"time"
)

// Mail is a message on its way. Its body is sealed, for it carries a token,
// and emptied as soon as it isn't needed any more.
//
//	waiting ─▶ sent       taken by the mail server, or shown on the demo's outbox
//	        ─▶ dropped    what it was about is over, or the server refuses it for good
type Mail struct {
	ID           MailID `gorm:"primaryKey"`
	OrgID        OrgID
	InvitationID InvitationID
	Recipient    string
	Subject      string
	Body         []byte
	Tries        int
	Problem      string // why the last try failed
	CreatedAt    time.Time
	SentAt       *time.Time
	DroppedAt    *time.Time
}

// Letter is a mail with its text open.
type Letter struct {
	Mail
	Text string
}

func mailOwner(id MailID) string { return "mail " + string(id) }

// InsertMail stores a mail about an invitation; the job that sends it belongs
// into the same transaction. kept says that it is only ever shown: the demo
// has no mail server.
func (w *Writer) InsertMail(i Invitation, subject, text string, kept bool) (Mail, error) {
	m := Mail{
		ID: NewID[MailID](), OrgID: i.OrgID, InvitationID: i.ID, Recipient: i.Email, Subject: subject, CreatedAt: Now(),
	}
	m.Body = w.db.sealSecret(mailOwner(m.ID), text)
	if kept {
		m.SentAt = &m.CreatedAt
	}
	w.touchOf(m.OrgID, "mail", string(m.ID))
	return m, w.tx.Create(&m).Error
}

// dropMails forgets the mails of an invitation whose token opens nothing any
// more.
func (w *Writer) dropMails(id InvitationID) error {
	err := w.tx.Model(&Mail{}).Where("invitation_id = ? AND sent_at IS NULL AND dropped_at IS NULL", id).Update("dropped_at", Now()).Error
	if err != nil {
		return err
	}
	return w.tx.Model(&Mail{}).Where("invitation_id = ?", id).Update("body", []byte{}).Error
}

// MailToSend opens a mail that still has to go. One that went, or is about
// something that is over, is ErrNotFound.
func (s *System) MailToSend(ctx context.Context, id MailID) (Letter, error) {
	var l Letter
	err := s.reading(ctx, func(r *Reader) error {
		return absent(r.tx.Model(&Mail{}).Where("mails.id = ? AND sent_at IS NULL AND dropped_at IS NULL", id).
			Joins("JOIN invitations i ON i.org_id = mails.org_id AND i.id = mails.invitation_id AND i.expires_at > ?", Now()).
			Take(&l.Mail).Error, "mail")
	})
	if err != nil {
		return l, err
	}
	l.Text, err = s.db.openSecret(mailOwner(id), l.Body)
	return l, err
}

// MailSent notes that the server has taken it, and forgets what it said.
func (s *System) MailSent(ctx context.Context, id MailID) error {
	return s.mailEnded(ctx, id, map[string]any{"sent_at": Now(), "problem": "", "body": []byte{}})
}

// MailDropped gives a mail up.
func (s *System) MailDropped(ctx context.Context, id MailID, problem string) error {
	return s.mailEnded(ctx, id, map[string]any{"dropped_at": Now(), "problem": problem, "body": []byte{}})
}

// MailFailed notes why a try failed; another follows.
func (s *System) MailFailed(ctx context.Context, id MailID, problem string) error {
	return s.mailEnded(ctx, id, map[string]any{"problem": problem})
}

func (s *System) mailEnded(ctx context.Context, id MailID, set map[string]any) error {
	return s.changing(ctx, func(w *Writer) error {
		var m Mail
		err := w.tx.Omit("body").Take(&m, "id = ? AND sent_at IS NULL AND dropped_at IS NULL", id).Error
		if err != nil {
			if err = absent(err, "mail"); errors.Is(err, ErrNotFound) {
				return nil
			}
			return err
		}
		set["tries"] = exprAdd("tries", 1)
		w.touchOf(m.OrgID, "mail", string(id))
		return w.tx.Model(&Mail{}).Where("id = ?", id).Updates(set).Error
	})
}

// outboxRows is how many mails the outbox shows.
const outboxRows = 200

// Outbox lists the org's newest mails, opened where they still say something.
func (r *Reader) Outbox() ([]Letter, error) { return r.letters(true) }

// Outbox lists every org's newest mails; what they said isn't the provider's
// to read, except in the demo, which has no other way to deliver them.
func (p *Provider) Outbox(ctx context.Context, open bool) (list []Letter, err error) {
	err = p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		list, err = r.letters(open)
		return err
	})
	return list, err
}

func (r *Reader) letters(open bool) ([]Letter, error) {
	var rows []Mail
	if err := r.tx.Order("id DESC").Limit(outboxRows).Find(&rows).Error; err != nil {
		return nil, err
	}
	list := make([]Letter, len(rows))
	for n, m := range rows {
		list[n].Mail = m
		if !open || len(m.Body) == 0 {
			continue
		}
		var err error
		if list[n].Text, err = r.db.openSecret(mailOwner(m.ID), m.Body); err != nil {
			return nil, err
		}
	}
	return list, nil
}
