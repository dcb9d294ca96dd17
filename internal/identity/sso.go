package identity

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/millwright/millwright/models"
)

// Addresses of single sign-on here.
const (
	SSOPath     = "/sign-in/sso"
	ssoCallback = "/sign-in/sso/callback"
)

const (
	// SSOTime is how long the way to the provider and back may take.
	SSOTime = 10 * time.Minute
	// ssoTimeout ends a question to the provider.
	ssoTimeout = 8 * time.Second
	// ssoRetry is how soon a provider that was away is asked again: people who
	// press the button meanwhile are told at once.
	ssoRetry = 3 * time.Second
	// ssoAnswerMaxBytes is far more than any answer of a provider.
	ssoAnswerMaxBytes = 1 << 20
	// idTokenMaxBytes is what an address can carry at sign-out; a longer token
	// is left out there.
	idTokenMaxBytes = 4 << 10
	// ssoFailuresPerSource bounds what one address can have us ask.
	ssoFailuresPerSource = 50
)

// SSOOptions names the one identity provider, and what its groups give.
type SSOOptions struct {
	Issuer         string
	ClientID       string
	ClientSecret   string
	Label          string // of the button: "Sign in with …"
	Scopes         []string
	GroupsClaim    string
	EmailsVerified bool // the provider verifies addresses and doesn't say so
	PublicURL      string
	Mappings       []models.GroupRole
	// Transport is for tests with a certificate of their own; nil takes the
	// system's.
	Transport http.RoundTripper
}

// sso speaks to the identity provider. What it found out about it is kept.
type sso struct {
	SSOOptions
	client *http.Client

	asking chan struct{} // one discovery at a time
	mu     sync.Mutex
	known  *ssoProvider
	failed time.Time
}

// ssoProvider is a provider that has answered.
type ssoProvider struct {
	*oidc.Provider
	endSession string
}

// The answers to a single sign-on that didn't work.
var (
	// ErrSSOAgain is the one answer to a callback that doesn't fit what this
	// browser began: late, forged, sent twice, or refused over there.
	ErrSSOAgain = &models.Error{Code: models.CodeInvalid,
		Message: "Single sign-on was not finished. Try again."}
	errNoSSO = models.NotFound("page")
)

func ssoAway(label string, cause error) error {
	return &models.Error{Code: models.CodeDown, Err: cause,
		Message: label + " does not answer just now. Try again in a moment, or sign in with your password."}
}

// UseSSO lets people in by an identity provider. Call it before serving; the
// provider isn't asked anything yet.
func (s *Service) UseSSO(o SSOOptions) {
	transport := o.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	issuer, _ := url.Parse(o.Issuer)
	o.PublicURL = strings.TrimRight(o.PublicURL, "/")
	s.sso = &sso{SSOOptions: o, asking: make(chan struct{}, 1), client: &http.Client{
		Timeout: ssoTimeout, Transport: bounding{transport},
		// A provider doesn't send us elsewhere; who could make it do so must
		// not reach what only this machine can.
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 3 || r.URL.Host != via[0].URL.Host || issuer != nil && r.URL.Scheme != issuer.Scheme {
				return errors.New("identity: the provider redirects to another host")
			}
			return nil
		},
	}}
}

// bounding cuts answers that are longer than any should be.
type bounding struct{ http.RoundTripper }

func (b bounding) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, ssoAnswerMaxBytes), answer.Body}
	}
	return answer, err
}

// SSOLabel names the provider, "" without single sign-on.
func (s *Service) SSOLabel() string {
	if s.sso == nil {
		return ""
	}
	return s.sso.Label
}

// SSOIssuer is the provider's own name for itself, "" without single sign-on.
func (s *Service) SSOIssuer() string {
	if s.sso == nil {
		return ""
	}
	return s.sso.Issuer
}

// provider returns what discovery found. Where it can't be found out, whoever
// comes within ssoRetry is told so at once.
func (o *sso) provider(ctx context.Context) (*ssoProvider, error) {
	select {
	case o.asking <- struct{}{}:
		defer func() { <-o.asking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	o.mu.Lock()
	known, failed := o.known, o.failed
	o.mu.Unlock()
	if known != nil {
		return known, nil
	}
	if time.Since(failed) < ssoRetry {
		return nil, ssoAway(o.Label, errors.New("identity: the provider failed a moment ago"))
	}
	found, err := o.discover(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.failed = time.Now()
		return nil, ssoAway(o.Label, err)
	}
	o.known = found
	return found, nil
}

func (o *sso) discover(ctx context.Context) (*ssoProvider, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, o.client), o.Issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
		Keys          string `json:"jwks_uri"`
		UserInfo      string `json:"userinfo_endpoint"`
		EndSession    string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, err
	}
	issuer, err := url.Parse(o.Issuer)
	if err != nil {
		return nil, err
	}
	for _, endpoint := range []string{more.Authorization, more.Token, more.Keys, more.UserInfo, more.EndSession} {
		u, err := url.Parse(endpoint)
		if err != nil || endpoint != "" && (u.Scheme != issuer.Scheme || u.Host == "") {
			return nil, fmt.Errorf("identity: the provider names the endpoint %q, which is not of its own scheme", endpoint)
		}
	}
	return &ssoProvider{Provider: provider, endSession: more.EndSession}, nil
}

func (o *sso) oauth(p *ssoProvider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, Endpoint: p.Endpoint(), RedirectURL: o.PublicURL + ssoCallback,
		Scopes: append([]string{oidc.ScopeOpenID}, o.Scopes...),
	}
}

// ssoStart is what a browser keeps between leaving for the provider and coming
// back. It is the browser's own: nothing in it is secret from who sits there,
// and a callback that was begun elsewhere doesn't fit it.
type ssoStart struct {
	State    string           `json:"s"`
	Nonce    string           `json:"n"`
	Verifier string           `json:"v"`
	Next     string           `json:"p,omitempty"`
	Link     models.SessionID `json:"l,omitempty"` // whose account is to be connected
	Until    int64            `json:"u"`
}

func (st ssoStart) encode() string {
	text, _ := json.Marshal(st) //nolint:errchkjson // strings and a number: it never fails
	return base64.RawURLEncoding.EncodeToString(text)
}

func decodeStart(cookie string) (ssoStart, bool) {
	var st ssoStart
	text, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil || json.Unmarshal(text, &st) != nil {
		return st, false
	}
	ok := len(st.State) == tokenLength && len(st.Nonce) == tokenLength && len(st.Verifier) == tokenLength
	return st, ok && time.Now().Unix() < st.Until
}

// BeginSSO returns where to send the browser, and what goes into its cookie.
// link connects the account of that session instead of signing in.
func (s *Service) BeginSSO(ctx context.Context, next string, link models.SessionID) (address, cookie string, err error) {
	if s.sso == nil {
		return "", "", errNoSSO
	}
	provider, err := s.sso.provider(ctx)
	if err != nil {
		return "", "", err
	}
	st := ssoStart{State: newToken(), Nonce: newToken(), Verifier: newToken(), Next: next, Link: link, Until: time.Now().Add(SSOTime).Unix()}
	return s.sso.oauth(provider).AuthCodeURL(st.State, oidc.Nonce(st.Nonce), oauth2.S256ChallengeOption(st.Verifier)), st.encode(), nil
}

// SSOReturn is what a finished single sign-on leads to.
type SSOReturn struct {
	Token  string // of the session; "" where an account was connected
	Next   string
	Linked bool
}

// FinishSSO takes the provider's answer. present is who is signed in already,
// zero for nobody: only a connection looks at it.
func (s *Service) FinishSSO(ctx context.Context, a Attempt, cookie string, query url.Values, present models.SignedIn) (SSOReturn, error) {
	if s.sso == nil {
		return SSOReturn{}, errNoSSO
	}
	st, ok := decodeStart(cookie)
	state, code := query.Get("state"), query.Get("code")
	if !ok || subtle.ConstantTimeCompare([]byte(st.State), []byte(state)) != 1 || code == "" || len(code) > 4096 || query.Get("error") != "" {
		return SSOReturn{}, ErrSSOAgain
	}
	if iss := query.Get("iss"); iss != "" && iss != s.sso.Issuer { // RFC 9207
		return SSOReturn{}, ErrSSOAgain
	}
	key := "sso:" + models.SourceNetwork(a.Source)
	if wait, err := s.system.Throttled(ctx, key, ssoFailuresPerSource); err != nil || wait > 0 {
		return SSOReturn{}, cmp.Or(err, s.tellRefused(ctx, a, models.User{}, map[string]any{"by": "single sign-on", "throttled": true}), tooMany(wait))
	}
	person, idToken, err := s.sso.person(ctx, st, code)
	if errors.Is(err, ErrSSOAgain) {
		if _, err := s.system.CountFailure(ctx, key, failureWindow); err != nil {
			return SSOReturn{}, err
		}
		if err := s.tellRefused(ctx, a, models.User{}, map[string]any{"by": "single sign-on"}); err != nil {
			return SSOReturn{}, err
		}
	}
	if err != nil {
		return SSOReturn{}, err
	}
	if st.Link != "" {
		if present.Session.ID != st.Link {
			return SSOReturn{}, ErrSSOAgain
		}
		return SSOReturn{Linked: true}, s.system.ConnectIdentity(ctx, present, person)
	}
	user, err := s.system.EnterBySSO(ctx, person, s.sso.Mappings, models.Actor{Source: a.Source, RequestID: a.RequestID})
	if err != nil {
		return SSOReturn{}, err
	}
	factor, err := s.system.Factor(ctx, user.ID)
	switch {
	case errors.Is(err, models.ErrNotFound), err == nil && !factor.Confirmed:
	case err != nil:
		return SSOReturn{}, err
	default: // the account's own second factor holds here too
		return SSOReturn{Next: st.Next}, s.challenge(ctx, user, idToken)
	}
	token, session, actor := freshSession(a, user)
	session.SSO = s.system.SealSSO(string(session.ID), idToken)
	return SSOReturn{Token: token, Next: st.Next}, s.system.AddSession(ctx, session, actor)
}

// EndSSO is where to send the browser to sign out at the provider too; "" where
// the session didn't come from there, or the provider has no such place.
func (s *Service) EndSSO(ctx context.Context, who models.SignedIn) string {
	if s.sso == nil || len(who.Session.SSO) == 0 {
		return ""
	}
	// Signing out doesn't wait for a provider that is away.
	ctx, cancel := context.WithTimeout(ctx, ssoRetry)
	defer cancel()
	provider, err := s.sso.provider(ctx)
	if err != nil || provider.endSession == "" {
		return ""
	}
	u, err := url.Parse(provider.endSession)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set("client_id", s.sso.ClientID)
	q.Set("post_logout_redirect_uri", s.sso.PublicURL+"/sign-in")
	if hint, err := s.system.OpenSSO(string(who.Session.ID), who.Session.SSO); err == nil && hint != "" {
		q.Set("id_token_hint", hint)
	}
	u.RawQuery = q.Encode()
	return u.String()
}
