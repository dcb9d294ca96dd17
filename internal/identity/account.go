package identity

import (
	"context"
	"unicode/utf8"

	"github.com/millwright/millwright/models"
)

// PasswordMinChars is the least that a password chosen here has; length is
// what counts, so nothing is asked of its characters.
const PasswordMinChars = 12

// ChangePassword sets a new password for whoever knows the old one, and ends
// the account's other sessions, and its API tokens where tokensToo. It says how
// many those were.
func (s *Service) ChangePassword(ctx context.Context, who models.SignedIn, old, fresh, again string, tokensToo bool) (ended models.PasswordEnded, err error) {
	fields := map[string]string{}
	switch problem := passwordProblem(fresh); {
	case problem != "":
		fields["new"] = problem
	case fresh == old:
		fields["new"] = "This is the password you have."
	case fresh != again:
		fields["again"] = "This is not the same as above."
	}
	if old == "" {
		fields["old"] = "Enter your present password."
	}
	if len(fields) > 0 {
		return ended, models.Invalid(fields)
	}
	oldHash, err := s.checkPassword(ctx, who, old, "old", models.ActionPasswordSet)
	if err != nil {
		return ended, err
	}
	hash, err := s.passwords.create(ctx, fresh)
	if err != nil {
		return ended, err
	}
	return s.system.ChangePassword(ctx, who, oldHash, hash, tokensToo)
}

// ownsPassword refuses an account that signs in by single sign-on alone: its
// second factor is the provider's to ask for, and without a password it could
// never turn one of ours off again.
func (s *Service) ownsPassword(ctx context.Context, who models.SignedIn) error {
	if s.sso == nil {
		return nil
	}
	hash, err := s.system.PasswordHash(ctx, who.User.ID)
	if err == nil && hash == "" {
		return models.Conflict("This account signs in with " + s.sso.Label + " alone. Set up a second factor there.")
	}
	return err
}

// DisconnectSSO ends the connection with the identity provider for whoever
// knows the password, which is the way in from then on. It says how many other
// sessions it ended.
func (s *Service) DisconnectSSO(ctx context.Context, who models.SignedIn, password string) (ended int, err error) {
	if s.sso == nil {
		return 0, errNoSSO
	}
	if _, err := s.system.Identity(ctx, who.User.ID, s.sso.Issuer); err != nil {
		return 0, err
	}
	if _, err := s.checkPassword(ctx, who, password, "password", models.ActionAccountUnlink); err != nil {
		return 0, err
	}
	return s.system.DisconnectIdentity(ctx, who, s.sso.Issuer)
}

// passwordProblem says what is wrong with a password that somebody chooses, or
// "".
func passwordProblem(password string) string {
	switch {
	case utf8.RuneCountInString(password) < PasswordMinChars:
		return "Use at least 12 characters. Several words in a row are good."
	case len(password) > passwordMaxBytes || !plainText(password):
		return "This can't be used as a password."
	default:
		return ""
	}
}

// checkPassword asks somebody who is signed in for their password, as strictly
// as at sign-in: a session left open must not be a way to guess it. A wrong
// one is told of as the refusal of what it was for.
func (s *Service) checkPassword(ctx context.Context, who models.SignedIn, password, field string, forWhat models.Action) (hash string, err error) {
	if password == "" || len(password) > passwordMaxBytes {
		return "", models.Invalid(map[string]string{field: "Enter your present password."})
	}
	a := Attempt{Email: who.User.Email, Source: who.Actor.Source, RequestID: who.Actor.RequestID}
	leave, err := s.passwords.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	if err := s.guess(ctx, a); err != nil {
		return "", s.tellThrottled(ctx, a, err)
	}
	if hash, err = s.system.PasswordHash(ctx, who.User.ID); err != nil {
		return "", err
	}
	same, err := s.passwords.match(password, hash)
	if err != nil {
		return "", err
	}
	if same {
		return hash, s.forgetFailures(ctx, a)
	}
	if err := s.guessed(ctx, a); err != nil {
		return "", err
	}
	err = s.system.RecordForUser(ctx, who.User.ID, who.Actor, models.Event{
		Action: forWhat, Outcome: models.OutcomeRefused,
		Object: models.Object{Kind: "user", ID: string(who.User.ID), Name: who.User.Name},
		After:  map[string]any{"reason": "wrong password"},
	})
	if err != nil {
		return "", err
	}
	return "", models.Invalid(map[string]string{field: "This is not your password."})
}
