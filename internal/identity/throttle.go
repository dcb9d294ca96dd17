package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"time"

	"github.com/millwright/millwright/models"
)

// How many failed sign-ins are taken in a window, per account and per source.
// A source may be a whole office behind one address.
const (
	failuresPerAccount = 10
	failuresPerSource  = 50
	failureWindow      = 15 * time.Minute
)

// accountKey counts unknown accounts as known ones, so that being throttled
// tells nothing; hashed, because what was typed may be a password.
func accountKey(email string) string {
	sum := sha256.Sum256([]byte(models.NormalEmail(email)))
	return "account:" + hex.EncodeToString(sum[:])
}

func sourceKey(source string) string { return "source:" + source }

func (s *Service) throttled(ctx context.Context, a Attempt) error {
	wait, err := s.system.Throttled(ctx, accountKey(a.Email), failuresPerAccount)
	if err != nil {
		return err
	}
	bySource, err := s.system.Throttled(ctx, sourceKey(a.Source), failuresPerSource)
	if err != nil {
		return err
	}
	wait = max(wait, bySource)
	if wait <= 0 {
		return nil
	}
	return models.TooMany("There were too many failed sign-ins. Wait a while, then try again.",
		int(math.Ceil(wait.Seconds())))
}

// guess counts a try before it is looked at, so that however many come at once,
// no more than the limit are compared. A right one clears the account again.
func (s *Service) guess(ctx context.Context, a Attempt) error {
	if err := s.throttled(ctx, a); err != nil {
		return err
	}
	tries, err := s.system.CountFailure(ctx, accountKey(a.Email), failureWindow)
	if err != nil {
		return err
	}
	if tries > failuresPerAccount {
		return s.throttled(ctx, a)
	}
	return nil
}

func (s *Service) countFailure(ctx context.Context, a Attempt) (int, error) {
	if _, err := s.system.CountFailure(ctx, sourceKey(a.Source), failureWindow); err != nil {
		return 0, err
	}
	return s.system.CountFailure(ctx, accountKey(a.Email), failureWindow)
}

// forgetFailures clears the account alone: an own account must not be a way to
// clear one's address for more guesses at others.
func (s *Service) forgetFailures(ctx context.Context, a Attempt) error {
	return s.system.ForgetFailures(ctx, accountKey(a.Email))
}
