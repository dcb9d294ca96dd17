package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"time"

	"github.com/millwright/millwright/models"
)

// How many failed sign-ins are taken in a window. The first limit ends
// guessing and leaves the account's owner, who comes from elsewhere, alone;
// the last ends guessing from many places, and is out of reach for one.
const (
	failuresPerAccountAndSource = 10
	failuresPerSource           = 50 // which may be a whole office behind one address
	failuresPerAccount          = 100
	failureWindow               = 15 * time.Minute
)

// limit is a key under which failures are counted, and how many it takes.
type limit struct {
	key  string
	most int
}

// limits counts unknown accounts as known ones, so that being throttled tells
// nothing; hashed, because what was typed may be a password.
func (a Attempt) limits() (pair, source, account limit) {
	sum := sha256.Sum256([]byte(models.NormalEmail(a.Email)))
	email, network := hex.EncodeToString(sum[:]), models.SourceNetwork(a.Source)
	return limit{"pair:" + email + ":" + network, failuresPerAccountAndSource},
		limit{"source:" + network, failuresPerSource},
		limit{"account:" + email, failuresPerAccount}
}

func (s *Service) throttled(ctx context.Context, a Attempt) error {
	pair, source, account := a.limits()
	var wait time.Duration
	for _, l := range []limit{pair, source, account} {
		left, err := s.system.Throttled(ctx, l.key, l.most)
		if err != nil {
			return err
		}
		wait = max(wait, left)
	}
	if wait <= 0 {
		return nil
	}
	return tooMany(wait)
}

// guess counts a try before it is looked at, so that however many come at once,
// no more than the limit are compared. A right one clears it again; a wrong one
// is to be followed by guessed.
func (s *Service) guess(ctx context.Context, a Attempt) error {
	if err := s.throttled(ctx, a); err != nil {
		return err
	}
	pair, _, _ := a.limits()
	return s.take(ctx, pair)
}

// take counts a try under one limit, and refuses what is beyond.
func (s *Service) take(ctx context.Context, l limit) error {
	tries, err := s.system.CountFailure(ctx, l.key, failureWindow)
	if err != nil || tries <= l.most {
		return err
	}
	wait, err := s.system.Throttled(ctx, l.key, l.most)
	if err != nil {
		return err
	}
	return tooMany(wait)
}

// guessed counts what guess has let through and was wrong.
func (s *Service) guessed(ctx context.Context, a Attempt) error {
	_, source, account := a.limits()
	for _, l := range []limit{source, account} {
		if _, err := s.system.CountFailure(ctx, l.key, failureWindow); err != nil {
			return err
		}
	}
	return nil
}

// codes is the limit of an account's wrong codes, wherever they come from: who
// gets as far as that knows the password, and six digits are few.
func codes(user models.UserID) limit { return limit{"code:" + string(user), 10} }

func tooMany(wait time.Duration) error {
	return models.TooMany("There were too many failed sign-ins. Wait a while, then try again.",
		max(1, int(math.Ceil(wait.Seconds()))))
}

// countFailure returns how often the account was tried from this source.
func (s *Service) countFailure(ctx context.Context, a Attempt) (int, error) {
	pair, source, account := a.limits()
	for _, l := range []limit{source, account} {
		if _, err := s.system.CountFailure(ctx, l.key, failureWindow); err != nil {
			return 0, err
		}
	}
	return s.system.CountFailure(ctx, pair.key, failureWindow)
}

// forgetFailures clears what the owner mistyped, and nothing else: an own
// account must not be a way to clear one's address for more guesses at others,
// nor the owner's sign-in what others have tried.
func (s *Service) forgetFailures(ctx context.Context, a Attempt) error {
	pair, _, _ := a.limits()
	return s.system.ForgetFailures(ctx, pair.key)
}
