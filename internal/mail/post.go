package mail

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/models"
)

// deliver is the job of one mail: everything else is in its row.
type deliver struct {
	Mail models.MailID `json:"mail"`
}

func (deliver) Kind() string { return "mail.deliver" }

// triesMost is after how many failed tries a mail is given up: with the
// queue's pauses about half a day.
const triesMost = 1500

// retryEvery is the pause after a failed try, once the first few have failed.
const retryEvery = 30 * time.Second

// Post stores letters and has them sent.
type Post struct {
	system *models.System
	queue  *jobs.Queue
	server *Server
	log    *slog.Logger
}

// New makes the post of a mail server, and registers its worker with the
// queue: call it before the queue starts.
func New(system *models.System, queue *jobs.Queue, server *Server, log *slog.Logger) *Post {
	p := &Post{system: system, queue: queue, server: server, log: log}
	jobs.Handle(queue, jobs.LaneOperate, p.deliver)
	return p
}

// Send stores a letter and its job in the Writer's transaction.
func (p *Post) Send(ctx context.Context, w *models.Writer, i models.Invitation, subject, text string) error {
	m, err := w.InsertMail(i, subject, text, false)
	if err != nil {
		return err
	}
	return p.queue.Enqueue(ctx, w.Tx(), deliver{Mail: m.ID})
}

func (p *Post) deliver(ctx context.Context, job deliver) error {
	letter, err := p.system.MailToSend(ctx, job.Mail)
	if errors.Is(err, models.ErrNotFound) {
		return nil // it went already, or nobody waits for it any more
	}
	if err != nil {
		return err
	}
	err = p.server.Deliver(ctx, Message{
		ID: string(letter.ID), To: letter.Recipient, Subject: letter.Subject, Text: letter.Text, Date: letter.CreatedAt,
	})
	var refused *RefusedError
	switch {
	case err == nil:
		return p.system.MailSent(ctx, job.Mail)
	case ctx.Err() != nil:
		return err // interrupted: again at once
	case errors.As(err, &refused) && refused.Final, letter.Tries >= triesMost:
		p.log.WarnContext(ctx, "a mail is given up", "mail", job.Mail, "error", err)
		return p.system.MailDropped(ctx, job.Mail, problem(err))
	}
	p.log.WarnContext(ctx, "a mail could not be sent; it is tried again", "mail", job.Mail, "try", letter.Tries+1, "error", err)
	if err := p.system.MailFailed(ctx, job.Mail, problem(err)); err != nil {
		return err
	}
	return jobs.Snooze(pause(letter.Tries))
}

// pause grows from a second.
func pause(tries int) time.Duration {
	return jobs.Jitter(min(retryEvery, time.Second<<min(tries, 10)))
}

// problem is a failure in words for the page: the server's own words only
// where it refused.
func problem(err error) string {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.Error()
	}
	return "The mail server does not answer."
}

// Outbox stores letters and sends none: the demo shows them on a page.
type Outbox struct{}

// Send stores a letter in the Writer's transaction.
func (Outbox) Send(_ context.Context, w *models.Writer, i models.Invitation, subject, text string) error {
	_, err := w.InsertMail(i, subject, text, true)
	return err
}
