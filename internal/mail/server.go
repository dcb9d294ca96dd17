package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// Security is how the way to the server is protected.
type Security string

const (
	// TLS speaks TLS from the first byte, by custom on port 465.
	TLS Security = "tls"
	// StartTLS begins in the clear and insists on TLS, by custom on port 587.
	StartTLS Security = "starttls"
	// None is for a relay on the same machine.
	None Security = "none"
)

// deliverTimeout ends a delivery that hangs. Below the worker's own limit.
const deliverTimeout = 40 * time.Second

// Server is a mail server that takes the portal's letters.
type Server struct {
	Host     string
	Port     int
	Security Security
	Username string // "" signs in as nobody
	Password string
	From     mail.Address
	// TLSConfig is for tests with a certificate of their own; nil takes the
	// system's roots.
	TLSConfig *tls.Config
}

// Message is one letter, plain text.
type Message struct {
	ID      string
	To      string
	Subject string
	Text    string
	Date    time.Time
}

// RefusedError is a server's answer that it won't take the letter: not now, or
// never.
type RefusedError struct {
	Code  int
	Text  string
	Final bool
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("The mail server answered %d: %s", e.Code, e.Text)
}

// refusal tells a server's "no" from a broken line. Only what concerns the
// recipient or the letter can be final: a wrong password is the operator's to
// mend, and the letter waits for that.
func refusal(err error, aboutLetter bool) error {
	var answer *textproto.Error
	if !errors.As(err, &answer) {
		return err
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, answer.Msg)
	if len(text) > 200 {
		text = text[:200]
	}
	return &RefusedError{Code: answer.Code, Text: strings.ToValidUTF8(text, ""), Final: aboutLetter && answer.Code >= 500 && answer.Code < 600}
}

// Deliver hands the letter to the server. When it returns nil the server has
// taken it over.
func (s *Server) Deliver(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	text, err := s.compose(m)
	if err != nil {
		return err
	}
	conn, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("dial mail server: %w", err)
	}
	defer func() { _ = conn.Close() }()
	// The client knows no context: closing the line is what ends its waits.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	client, err := smtp.NewClient(conn, s.Host)
	if err != nil {
		return refusal(err, false)
	}
	if s.Security == StartTLS {
		if err := client.StartTLS(s.tls()); err != nil {
			return fmt.Errorf("start TLS with mail server: %w", refusal(err, false))
		}
	}
	if s.Username != "" {
		// PlainAuth refuses to speak without TLS, but for this very machine.
		if err := client.Auth(smtp.PlainAuth("", s.Username, s.Password, s.Host)); err != nil {
			return refusal(err, false)
		}
	}
	if err := client.Mail(s.From.Address); err != nil {
		return refusal(err, false)
	}
	if err := client.Rcpt(m.To); err != nil {
		return refusal(err, true)
	}
	body, err := client.Data()
	if err != nil {
		return refusal(err, true)
	}
	if _, err := body.Write(text); err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return refusal(err, true)
	}
	_ = client.Quit() // the letter is theirs already
	return nil
}

func (s *Server) tls() *tls.Config {
	c := &tls.Config{}
	if s.TLSConfig != nil {
		c = s.TLSConfig.Clone()
	}
	c.ServerName, c.MinVersion = s.Host, tls.VersionTLS12
	return c
}

func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	address := net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	dialer := &net.Dialer{Timeout: 15 * time.Second}
	plain, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn := net.Conn(&bounded{Conn: plain, left: answersMaxBytes})
	if s.Security != TLS {
		return conn, nil
	}
	secure := tls.Client(conn, s.tls())
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// answersMaxBytes is far more than a server says while it takes a letter; the
// client would read a line without end into memory.
const answersMaxBytes = 256 << 10

type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("mail: the server says too much")
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// compose writes the letter. Nothing of it can begin a header of its own: the
// address is parsed and the subject encoded.
func (s *Server) compose(m Message) ([]byte, error) {
	to, err := mail.ParseAddress(m.To)
	if err != nil || to.Address != m.To {
		return nil, &RefusedError{Code: 553, Text: "This is not an address.", Final: true}
	}
	var b bytes.Buffer
	_, domain, _ := strings.Cut(s.From.Address, "@")
	for _, h := range [][2]string{
		{"From", s.From.String()}, {"To", to.String()},
		{"Subject", mime.QEncoding.Encode("utf-8", oneLine(m.Subject))},
		{"Date", m.Date.Format(time.RFC1123Z)},
		{"Message-ID", "<" + m.ID + "@" + domain + ">"}, // the same at each try
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(strings.ReplaceAll(m.Text, "\n", "\r\n"))); err != nil {
		return nil, err
	}
	return b.Bytes(), w.Close()
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
