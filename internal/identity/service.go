package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millwright/millwright/models"
)

// Lifetimes of a session: whichever ends first.
const (
	IdleTime     = 2 * time.Hour
	AbsoluteTime = 12 * time.Hour
)

// seenEvery is how often last-seen is written: a write per page would make
// every reader a writer.
const seenEvery = time.Minute

// emailMaxBytes is the longest address that mail can carry (RFC 5321).
const emailMaxBytes = 254

// Service signs people in and out.
type Service struct {
	system    *models.System
	passwords *passwords
	sso       *sso // nil without single sign-on
}

// New makes the service. simultaneousHashes bounds the memory that sign-ins
// take at once, 64 MiB each; 0 means 2.
func New(system *models.System, simultaneousHashes int) *Service {
	if simultaneousHashes <= 0 {
		simultaneousHashes = 2
	}
	return &Service{system: system, passwords: newPasswords(simultaneousHashes)}
}

// Hashed is how many passwords were hashed so far: typed or chosen.
func (s *Service) Hashed() int64 { return s.passwords.hashed.Load() }

// Attempt is one try at signing in.
type Attempt struct {
	Email     string
	Password  string // "" with a code
	Source    string // client address
	UserAgent string
	RequestID string
}

// ErrWrongCredentials is the one answer to a wrong password, an unknown
// account and a disabled one.
var ErrWrongCredentials = &models.Error{
	Code:    models.CodeInvalid,
	Message: "This address and password don't go together. Check both and try again.",
}

// SignIn checks the password and stores a fresh session. Its token goes into
// the cookie and is kept nowhere else. Where the account has a second factor
// there is no session yet, and the error is a *CodeNeededError.
func (s *Service) SignIn(ctx context.Context, a Attempt) (token string, who models.SignedIn, err error) {
	if err := a.validate(); err != nil {
		return "", who, err
	}
	if err := s.throttled(ctx, a); err != nil {
		return "", who, s.tellThrottled(ctx, a, err)
	}
	leave, err := s.passwords.enter(ctx)
	if err != nil {
		return "", who, err
	}
	defer leave()
	// Again, now that those before us have been counted: parallel guesses get
	// past the limit by the number of slots at most.
	if err := s.throttled(ctx, a); err != nil {
		return "", who, s.tellThrottled(ctx, a, err)
	}
	user, err := s.account(ctx, a.Email)
	if err != nil {
		return "", who, err
	}
	same, err := s.passwords.match(a.Password, user.PasswordHash)
	if err != nil {
		return "", who, err
	}
	if !same {
		return "", who, s.refuse(ctx, a, user)
	}
	factor, err := s.system.Factor(ctx, user.ID)
	switch {
	case errors.Is(err, models.ErrNotFound), err == nil && !factor.Confirmed:
	case err != nil:
		return "", who, err
	default:
		return "", who, s.challenge(ctx, user, "")
	}
	return s.begin(ctx, a, user)
}

func (a Attempt) validate() error {
	fields := map[string]string{}
	switch {
	case strings.TrimSpace(a.Email) == "":
		fields["email"] = "Enter your e-mail address."
	case len(a.Email) > emailMaxBytes || !plainText(a.Email):
		fields["email"] = "This is not an e-mail address."
	}
	switch {
	case a.Password == "":
		fields["password"] = "Enter your password."
	case len(a.Password) > passwordMaxBytes:
		fields["password"] = "No password here is that long."
	}
	if len(fields) > 0 {
		return models.Invalid(fields)
	}
	return nil
}

func plainText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// account returns the user; an unknown or disabled one is the zero User, for
// which everything that follows is done all the same.
func (s *Service) account(ctx context.Context, email string) (models.User, error) {
	user, err := s.system.UserByEmail(ctx, email)
	if errors.Is(err, models.ErrNotFound) || (err == nil && user.DisabledAt != nil) {
		return models.User{}, nil
	}
	return user, err
}

// refuse counts the failure, tells the history and gives the one answer.
func (s *Service) refuse(ctx context.Context, a Attempt, user models.User) error {
	failures, err := s.countFailure(ctx, a)
	if err != nil {
		return err
	}
	if err := s.tellRefused(ctx, a, user, map[string]any{"failures": failures}); err != nil {
		return err
	}
	return ErrWrongCredentials
}

// tellRefused tells of a sign-in that was refused: the account's histories, or
// the provider's where there is no such account.
func (s *Service) tellRefused(ctx context.Context, a Attempt, user models.User, after map[string]any) error {
	event := models.Event{
		Action: models.ActionSignInRefused, Outcome: models.OutcomeRefused,
		Object: models.Object{Kind: "user", ID: string(user.ID), Name: user.Name}, After: after,
	}
	if user.ID == "" {
		event.Object.Name = unknownAccount(a.Email)
		return s.system.RefuseStranger(ctx, nobody(a), event)
	}
	return s.system.RefuseForUser(ctx, user.ID, nobody(a), event)
}

// tellThrottled tells of a sign-in that was refused unlooked at, and returns
// what refused it.
func (s *Service) tellThrottled(ctx context.Context, a Attempt, cause error) error {
	if !errors.Is(cause, models.ErrTooMany) {
		return cause
	}
	user, err := s.account(ctx, a.Email)
	if err == nil {
		err = s.tellRefused(ctx, a, user, map[string]any{"throttled": true})
	}
	if err != nil {
		return err
	}
	return cause
}

// nobody is who tried.
func nobody(a Attempt) models.Actor {
	return models.Actor{Kind: models.ActorNobody, Name: "Somebody", Source: a.Source, RequestID: a.RequestID}
}

// unknownAccount is how the history names one. A password typed into the wrong
// field must not end up there, so only what looks like an address is told.
func unknownAccount(email string) string {
	email = models.NormalEmail(email)
	parsed, err := mail.ParseAddress(email)
	_, domain, _ := strings.Cut(email, "@")
	if err != nil || parsed.Address != email || !strings.Contains(domain, ".") {
		return "an unknown account"
	}
	return email
}

func (s *Service) begin(ctx context.Context, a Attempt, user models.User) (string, models.SignedIn, error) {
	token, session, actor := freshSession(a, user)
	who := models.SignedIn{User: user, Session: session, Actor: actor}
	if err := s.system.AddSession(ctx, session, actor); err != nil {
		return "", who, err
	}
	return token, who, s.forgetFailures(ctx, a)
}

// freshSession makes a session that is not stored yet, and its token.
func freshSession(a Attempt, user models.User) (string, models.Session, models.Actor) {
	token := newToken()
	now := models.Now()
	session := models.Session{
		ID: models.NewID[models.SessionID](), TokenHash: hashToken(token), UserID: user.ID,
		Source: a.Source, UserAgent: bounded(a.UserAgent, 300),
		CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(AbsoluteTime),
	}
	return token, session, models.Actor{
		Kind: models.ActorUser, ID: string(user.ID), Name: user.Name,
		SessionID: session.ID, Source: a.Source, RequestID: a.RequestID,
	}
}

// bounded cuts s to at most n bytes of valid text.
func bounded(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// SignOut ends the session, wherever its cookie is.
func (s *Service) SignOut(ctx context.Context, who models.SignedIn) error {
	return s.system.RevokeSession(ctx, who)
}

// Authenticate returns who holds the token. Unknown, expired, idle and revoked
// ones are all models.ErrNotFound.
func (s *Service) Authenticate(ctx context.Context, token string) (models.SignedIn, error) {
	if len(token) != tokenLength {
		return models.SignedIn{}, models.NotFound("session")
	}
	return s.system.SessionByToken(ctx, hashToken(token), IdleTime)
}

// tokenLength is 32 bytes in base64url.
const tokenLength = 43

// newToken is 256 random bits.
func newToken() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	return base64.RawURLEncoding.EncodeToString(raw)
}

func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
