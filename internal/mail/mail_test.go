package mail_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/mail"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// office is a portal that invites by mail.
type office struct {
	*testkit.World
	queue       *jobs.Queue
	invitations *identity.Invitations
}

func newOffice(t *testing.T, db *models.DB, s *testkit.MailServer) *office {
	t.Helper()
	o := &office{World: testkit.NewWorld(t, db)}
	o.hire(t, s)
	return o
}

// hire makes a queue that is not started yet, as a portal's start does.
func (o *office) hire(t *testing.T, s *testkit.MailServer) {
	t.Helper()
	var err error
	if o.queue, err = jobs.New(o.DB, jobs.Options{NodeID: "test", Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	post := mail.New(o.System, o.queue, &mail.Server{
		Host: "127.0.0.1", Port: s.Port, Security: mail.StartTLS, Username: "portal", Password: "mail secret",
		From: netmail.Address{Name: "Millwright", Address: "portal@provider.example"}, TLSConfig: s.TLS,
	}, slog.New(slog.DiscardHandler))
	o.invitations = identity.NewInvitations(identity.New(o.System, 1), post, "https://portal.example/", false)
}

func (o *office) invite(t *testing.T, email string) models.InvitationID {
	t.Helper()
	var sent identity.Sent
	scope := o.Scope(t, "admin@acme.example", "acme")
	err := scope.Change(context.Background(), func(w *models.Writer) error {
		var err error
		sent, err = o.invitations.Invite(context.Background(), w, scope.Org(), email, models.RoleUser)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if sent.Link != "" {
		t.Error("the link is shown although a mail carries it")
	}
	return sent.Invitation.ID
}

func (o *office) start(t *testing.T) {
	t.Helper()
	if err := o.queue.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.queue.Stop(context.Background()) })
}

// The mail is part of the invitation's transaction: a portal that was killed
// between the two sends it when it starts again.
func TestMailOutlivesTheNode(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		s := testkit.NewMailServer(t)
		o := newOffice(t, db, s)
		o.invite(t, "nina@people.example")
		// This node never started its workers: it is gone. The next one does.
		o.hire(t, s)
		o.start(t)
		raw := s.Letter(t)
		letter, err := netmail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatalf("%v in %q", err, raw)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(letter.Body))
		if err != nil {
			t.Fatal(err)
		}
		subject, _ := new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject"))
		if letter.Header.Get("To") != "<nina@people.example>" || subject != "You are invited to Acme on Millwright" {
			t.Errorf("header %v", letter.Header)
		}
		token := regexp.MustCompile(`https://portal\.example/invitation\?token=([\w-]{43})`).FindSubmatch(body)
		if token == nil {
			t.Fatalf("no link in %s", body)
		}
		if user := s.User(); user != "/portal/mail secret" {
			t.Errorf("signed in as %q", user)
		}
		if found, err := o.invitations.Find(context.Background(), string(token[1])); err != nil || found.Org.Slug != "acme" {
			t.Errorf("the link opens %+v, %v", found, err)
		}
		o.until(t, func(i models.InvitationRow) bool { return i.MailSentAt != nil })
		// What it said is forgotten once it is gone.
		err = o.System.Look(context.Background(), o.Acme.ID, func(r *models.Reader) error {
			list, err := r.Outbox()
			if err == nil && (len(list) != 1 || list[0].Text != "" || len(list[0].Body) != 0) {
				err = fmt.Errorf("the outbox keeps %+v", list)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func (o *office) until(t *testing.T, is func(models.InvitationRow) bool) {
	t.Helper()
	changes, stop := o.System.Watch()
	defer stop()
	tick := time.NewTicker(200 * time.Millisecond) // PostgreSQL's announcements need a listener
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		var rows []models.InvitationRow
		err := o.System.Look(context.Background(), o.Acme.ID, func(r *models.Reader) error {
			var err error
			rows, err = r.Invitations("")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 1 && is(rows[0]) {
			return
		}
		select {
		case <-changes:
		case <-tick.C:
		case <-late:
			t.Fatalf("it stays %+v", rows)
		}
	}
}

func TestServerThatSaysLaterIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := testkit.NewMailServer(t)
	s.Refuse(451)
	o := newOffice(t, testkit.SQLite(t), s)
	o.start(t)
	o.invite(t, "nina@people.example")
	o.until(t, func(i models.InvitationRow) bool {
		return i.MailProblem == "The mail server answered 451: not this one"
	})
	s.Letter(t)
	o.until(t, func(i models.InvitationRow) bool { return i.MailSentAt != nil && i.MailProblem == "" })
}

func TestServerThatSaysNeverEndsIt(t *testing.T) {
	t.Parallel()
	s := testkit.NewMailServer(t)
	s.Refuse(550)
	o := newOffice(t, testkit.SQLite(t), s)
	o.start(t)
	o.invite(t, "nobody@people.example")
	o.until(t, func(i models.InvitationRow) bool {
		return i.MailProblem == "The mail server answered 550: not this one"
	})
	if n := s.Refused(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A withdrawn invitation's letter doesn't go any more.
func TestWithdrawnInvitationIsNotMailed(t *testing.T) {
	t.Parallel()
	s := testkit.NewMailServer(t)
	o := newOffice(t, testkit.SQLite(t), s)
	first := o.invite(t, "first@people.example")
	scope := o.Scope(t, "admin@acme.example", "acme")
	if err := scope.Change(context.Background(), func(w *models.Writer) error { return w.WithdrawInvitation(first) }); err != nil {
		t.Fatal(err)
	}
	o.invite(t, "second@people.example")
	o.start(t)
	if raw := s.Letter(t); !strings.Contains(raw, "second@people.example") {
		t.Errorf("sent %s", raw)
	}
	select {
	case raw := <-s.Letters:
		t.Errorf("sent as well: %s", raw)
	default:
	}
}

// A server without TLS hears no password, and no letter.
func TestNoPasswordWithoutTLS(t *testing.T) {
	t.Parallel()
	s := testkit.NewMailServer(t)
	strange := testkit.Certificate(t) // another's certificate: somebody stands between
	server := &mail.Server{Host: "127.0.0.1", Port: s.Port, Security: mail.StartTLS, Username: "portal", Password: "mail secret",
		From: netmail.Address{Address: "portal@provider.example"}, TLSConfig: strange}
	err := server.Deliver(context.Background(), mail.Message{ID: "1", To: "a@b.example", Subject: "x", Text: "x", Date: time.Now()})
	if err == nil {
		t.Error("delivered to a stranger")
	}
	if user := s.User(); user != "" {
		t.Errorf("the stranger heard %q", user)
	}
}

func TestLetterBeginsNoHeaderOfItsOwn(t *testing.T) {
	t.Parallel()
	s := testkit.NewMailServer(t)
	server := &mail.Server{Host: "127.0.0.1", Port: s.Port, Security: mail.None, From: netmail.Address{Name: "Mill\r\nBcc: x@y.example", Address: "portal@provider.example"}}
	err := server.Deliver(context.Background(), mail.Message{ID: "1", To: "a@b.example", Subject: "Hi\r\nBcc: all@b.example", Text: "Line\n.\nRCPT TO:<x@y.example>", Date: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	letter, err := netmail.ReadMessage(strings.NewReader(s.Letter(t)))
	if err != nil || letter.Header.Get("Bcc") != "" {
		t.Errorf("header %v, %v", letter.Header, err)
	}
	var refused *mail.RefusedError
	err = server.Deliver(context.Background(), mail.Message{ID: "1", To: "a@b.example\r\nBcc: x@y.example", Text: "x", Date: time.Now()})
	if !errors.As(err, &refused) || !refused.Final {
		t.Errorf("address with a line break: %v", err)
	}
}
