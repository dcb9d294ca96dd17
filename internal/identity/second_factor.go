package identity

import (
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"image/png"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/millwright/millwright/models"
)

const (
	issuer = "Millwright"
	// stepSeconds is how long a code lasts; every authenticator app has this.
	stepSeconds = 30
	// skewSteps is how many steps a phone's clock may be off.
	skewSteps = 1
	// ChallengeTime is how long a right password waits for its code.
	ChallengeTime = 5 * time.Minute

	recoveryCodes = 10
	// recoveryBytes is 80 bits: too many to guess, so that a plain hash keeps
	// them.
	recoveryBytes = 10
	qrPixels      = 232
)

// CodeNeededError says that the password was right and that a code is to
// follow. Challenge goes into a cookie and is kept nowhere else.
type CodeNeededError struct{ Challenge string }

func (*CodeNeededError) Error() string { return "a code is needed" }

// ErrWrongCode is the one answer to a wrong code, one that was used before and
// a recovery code that never was one.
var ErrWrongCode = &models.Error{
	Code:    models.CodeInvalid,
	Message: "This code isn't right, or it was used already. Wait for the next one and try again.",
}

// challenge keeps a sign-in waiting for its code; idToken is single sign-on's,
// "" of a password's.
func (s *Service) challenge(ctx context.Context, user models.User, idToken string) error {
	token, now := newToken(), models.Now()
	c := models.SignInChallenge{
		TokenHash: hashToken(token), UserID: user.ID, CreatedAt: now, ExpiresAt: now.Add(ChallengeTime),
	}
	if idToken != "" {
		c.SSO = s.system.SealSSO(c.TokenHash, idToken)
	}
	err := s.system.AddChallenge(ctx, c)
	if err != nil {
		return err
	}
	return &CodeNeededError{Challenge: token}
}

// Challenged says whether a code may be given: models.ErrNotFound where the
// sign-in has to begin anew.
func (s *Service) Challenged(ctx context.Context, challenge string) error {
	_, err := s.challenged(ctx, challenge)
	return err
}

func (s *Service) challenged(ctx context.Context, challenge string) (models.User, error) {
	if len(challenge) != tokenLength {
		return models.User{}, models.NotFound("sign-in")
	}
	return s.system.ChallengedUser(ctx, hashToken(challenge))
}

// AnswerCode ends a sign-in that waits for a code. The attempt says where from;
// its address and password are not looked at.
func (s *Service) AnswerCode(ctx context.Context, a Attempt, challenge, code string) (token string, who models.SignedIn, err error) {
	user, err := s.challenged(ctx, challenge)
	if err != nil {
		return "", who, err
	}
	a.Email = user.Email
	if err := s.guess(ctx, a); err != nil {
		return "", who, s.tellThrottled(ctx, a, err)
	}
	if err := s.take(ctx, codes(user.ID)); err != nil {
		return "", who, s.tellThrottled(ctx, a, err)
	}
	factor, err := s.system.Factor(ctx, user.ID)
	if err != nil {
		return "", who, err
	}
	proof, right := prove(factor, user.ID, code, time.Now())
	if !right {
		return "", who, s.refuseCode(ctx, a, user)
	}
	token, session, actor := freshSession(a, user)
	if session.SSO, err = s.carrySSO(ctx, hashToken(challenge), session.ID); err != nil {
		return "", who, err
	}
	err = s.system.AnswerChallenge(ctx, hashToken(challenge), proof, session, actor)
	if errors.Is(err, models.ErrCodeTaken) {
		return "", who, s.refuseCode(ctx, a, user)
	}
	if err != nil {
		return "", who, err
	}
	if err := s.system.ForgetFailures(ctx, codes(user.ID).key); err != nil {
		return "", who, err
	}
	return token, models.SignedIn{User: user, Session: session, Actor: actor}, s.forgetFailures(ctx, a)
}

// carrySSO hands what single sign-on left with the challenge to the session.
func (s *Service) carrySSO(ctx context.Context, challengeHash string, session models.SessionID) ([]byte, error) {
	sealed, err := s.system.ChallengeSSO(ctx, challengeHash)
	if err != nil || len(sealed) == 0 {
		return nil, err
	}
	idToken, err := s.system.OpenSSO(challengeHash, sealed)
	if err != nil {
		return nil, err
	}
	return s.system.SealSSO(string(session), idToken), nil
}

// refuseCode counts a wrong code and tells the history.
func (s *Service) refuseCode(ctx context.Context, a Attempt, user models.User) error {
	if err := s.guessed(ctx, a); err != nil {
		return err
	}
	if err := s.tellRefused(ctx, a, user, map[string]any{"second_factor": "wrong"}); err != nil {
		return err
	}
	return ErrWrongCode
}

// prove finds what a typed code proves. Whether it was used before is decided
// where it is spent.
func prove(f models.Factor, user models.UserID, typed string, now time.Time) (models.Proof, bool) {
	if !f.Confirmed {
		return models.Proof{}, false
	}
	typed = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, typed)
	if len(typed) == base32.StdEncoding.EncodedLen(recoveryBytes) {
		return models.Proof{RecoveryHash: hashRecovery(user, typed)}, true
	}
	step, right := stepOf(f.Secret, typed, now)
	return models.Proof{Step: step}, right
}

// stepOf says of which step near now the code is.
func stepOf(secret, code string, now time.Time) (int64, bool) {
	if len(code) != otp.DigitsSix.Length() {
		return 0, false
	}
	var found int64
	right := false
	current := now.Unix() / stepSeconds
	for step := current - skewSteps; step <= current+skewSteps; step++ {
		want, err := codeAt(secret, step)
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			found, right = step, true
		}
	}
	return found, right
}

// codeAt is the code of a step. Authenticator apps know HMAC-SHA-1 and nothing
// else; under enforced FIPS 140-3 that alone is let through.
func codeAt(secret string, step int64) (code string, err error) {
	fips140.WithoutEnforcement(func() {
		code, err = totp.GenerateCodeCustom(secret, time.Unix(step*stepSeconds, 0), totp.ValidateOpts{
			Period: stepSeconds, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
		})
	})
	return code, err
}

// hashRecovery binds a code to its owner. Case doesn't count.
func hashRecovery(user models.UserID, code string) string {
	sum := sha256.Sum256([]byte(string(user) + ":" + strings.ToLower(code)))
	return hex.EncodeToString(sum[:])
}

// Enrolment is what a phone needs to make codes.
type Enrolment struct {
	Secret string // in groups of four, for typing
	QR     string // a data: URL of a PNG
}

// BeginFactor makes a secret for an authenticator app. It asks nobody for a
// code until ConfirmFactor.
func (s *Service) BeginFactor(ctx context.Context, who models.SignedIn) error {
	if err := s.ownsPassword(ctx, who); err != nil {
		return err
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: who.User.Email})
	if err != nil {
		return fmt.Errorf("make a second factor: %w", err)
	}
	return s.system.BeginFactor(ctx, who.User.ID, key.Secret())
}

// Enrolment shows the secret while it is not confirmed, and never after.
func (s *Service) Enrolment(ctx context.Context, who models.SignedIn) (Enrolment, error) {
	f, err := s.system.Factor(ctx, who.User.ID)
	if err != nil {
		return Enrolment{}, err
	}
	if f.Confirmed {
		return Enrolment{}, models.NotFound("page")
	}
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(f.Secret)
	if err != nil {
		return Enrolment{}, fmt.Errorf("decode second factor: %w", err)
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: who.User.Email, Secret: raw})
	if err != nil {
		return Enrolment{}, fmt.Errorf("draw second factor: %w", err)
	}
	picture, err := key.Image(qrPixels, qrPixels)
	if err != nil {
		return Enrolment{}, fmt.Errorf("draw second factor: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return Enrolment{}, fmt.Errorf("draw second factor: %w", err)
	}
	return Enrolment{Secret: grouped(f.Secret), QR: "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())}, nil
}

// ConfirmFactor turns the second factor on once its owner shows a right code,
// and returns the recovery codes, which nobody can show again.
func (s *Service) ConfirmFactor(ctx context.Context, who models.SignedIn, code string) ([]string, error) {
	f, err := s.system.Factor(ctx, who.User.ID)
	if err != nil {
		return nil, err
	}
	step, right := stepOf(f.Secret, strings.ReplaceAll(code, " ", ""), time.Now())
	if f.Confirmed || !right {
		return nil, models.Invalid(map[string]string{"code": "This code isn't right. Check the clock of your phone, and enter the code it shows now."})
	}
	codes, hashes := make([]string, recoveryCodes), make([]string, recoveryCodes)
	for i := range codes {
		raw := make([]byte, recoveryBytes)
		_, _ = rand.Read(raw) // never fails
		text := strings.ToLower(base32.StdEncoding.EncodeToString(raw))
		codes[i], hashes[i] = strings.ReplaceAll(grouped(text), " ", "-"), hashRecovery(who.User.ID, text)
	}
	return codes, s.system.ConfirmFactor(ctx, who, f, step, hashes)
}

func grouped(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// EndFactor turns the second factor off, for whoever knows the password.
func (s *Service) EndFactor(ctx context.Context, who models.SignedIn, password string) error {
	if _, err := s.checkPassword(ctx, who, password, "password", models.ActionFactorOff); err != nil {
		return err
	}
	return s.system.RemoveFactor(ctx, who)
}
