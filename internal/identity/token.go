package identity

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
)

// API tokens: how long one lasts unless its maker says otherwise, and at most.
// Days.
const (
	TokenDays    = 90
	TokenDaysMax = 366
)

// tokenPrefix tells scanners of source code what leaked.
const tokenPrefix = "mw_"

// wrongTokensPerSource is how many are answered one by one in a window. A
// right token passes all the same: its 256 bits are beyond guessing, and one
// broken script must not lock out everybody behind the same address.
const wrongTokensPerSource = 50

// Bearer returns the token that a request carries in place of a cookie, and
// whether it carries one at all: a broken one is no reason to look at the
// cookie.
func Bearer(r *http.Request) (token string, carried bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// MakeToken stores a token for the scope's user and org, and returns its text,
// which is kept nowhere.
func (s *Service) MakeToken(ctx context.Context, scope *models.Scope, name string, role models.Role, days int) (string, models.APIToken, error) {
	fields := map[string]string{}
	if name == "" {
		fields["name"] = "Say what the token is for."
	}
	if role == "" {
		fields["role"] = "Choose what the token may do."
	}
	if days < 1 || days > TokenDaysMax {
		fields["days"] = "Choose from 1 to 366 days."
	}
	if len(fields) > 0 {
		return "", models.APIToken{}, models.Invalid(fields)
	}
	text := tokenPrefix + newToken()
	t := models.APIToken{Name: name, Role: role, TokenHash: hashToken(text), ExpiresAt: models.Now().AddDate(0, 0, days)}
	err := scope.Change(ctx, func(w *models.Writer) error { return w.InsertAPIToken(&t) })
	return text, t, err
}

// AuthenticateToken returns whom the token acts for. Unknown, expired and
// revoked ones are all models.ErrNotFound.
func (s *Service) AuthenticateToken(ctx context.Context, token string) (models.SignedIn, error) {
	if len(token) != len(tokenPrefix)+tokenLength || !strings.HasPrefix(token, tokenPrefix) {
		return models.SignedIn{}, models.NotFound("token")
	}
	return s.system.SignedInByToken(ctx, hashToken(token))
}

// EnterByToken is AuthenticateToken at the door of an org, "" of none: wrong
// ones are counted and told of, and the use of a right one is noted, at most
// once a minute. The attempt says where from.
func (s *Service) EnterByToken(ctx context.Context, token string, a Attempt, org string) (models.SignedIn, error) {
	who, err := s.AuthenticateToken(ctx, token)
	if errors.Is(err, models.ErrNotFound) {
		if err := s.system.RefuseToken(ctx, hashToken(token), org, nobody(a)); err != nil {
			return who, err
		}
		if throttled := s.countWrong(ctx, "token", a.Source); throttled != nil {
			return who, throttled
		}
		return who, err
	}
	if err != nil {
		return who, err
	}
	if used := who.Token.LastUsedAt; used == nil || time.Since(*used) >= seenEvery {
		err = s.system.SeeToken(ctx, who.Token.ID, seenEvery)
	}
	return who, err
}

// countWrong counts a token of a kind that opens nothing.
func (s *Service) countWrong(ctx context.Context, kind, source string) error {
	key := kind + ":" + models.SourceNetwork(source)
	wait, err := s.system.Throttled(ctx, key, wrongTokensPerSource)
	if err != nil {
		return err
	}
	if wait > 0 {
		return models.TooMany("There were too many wrong tries from this address. Wait a while, then try again.", int(math.Ceil(wait.Seconds())))
	}
	_, err = s.system.CountFailure(ctx, key, failureWindow)
	return err
}
