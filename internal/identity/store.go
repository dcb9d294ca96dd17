package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/sessions"

	"github.com/millwright/millwright/models"
)

// Names of the cookie. The __Host- prefix makes browsers refuse one that a
// neighbour domain or a plain connection set.
const (
	secureCookie = "__Host-millwright"
	plainCookie  = "millwright"
	// challengeSuffix names the cookie between password and code.
	challengeSuffix = "-code"
)

// Store is a sessions.Store over the sessions table. Only string keys with
// values that JSON can carry are kept.
type Store struct {
	service *Service
	secure  func(*http.Request) bool
}

// NewStore makes the store. secure says whether a request came by TLS.
func NewStore(service *Service, secure func(*http.Request) bool) *Store {
	return &Store{service: service, secure: secure}
}

// whoKey holds the SignedIn among a session's values; it is not saved.
type whoKey struct{}

// Get returns the request's session, looked up once per request.
func (s *Store) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New looks the request's cookie up. Without a live session behind it, the
// result is a new, empty session, which Save refuses.
func (s *Store) New(r *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(s, name)
	session.IsNew = true
	who, err := s.service.Authenticate(r.Context(), s.Token(r))
	if errors.Is(err, models.ErrNotFound) {
		return session, nil
	}
	if err != nil {
		return session, fmt.Errorf("look up session: %w", err)
	}
	values := map[string]any{}
	if who.Session.Data != "" {
		if err := json.Unmarshal([]byte(who.Session.Data), &values); err != nil {
			return session, fmt.Errorf("decode session %s: %w", who.Session.ID, err)
		}
	}
	for k, v := range values {
		session.Values[k] = v
	}
	session.Values[whoKey{}] = who
	session.ID, session.IsNew = string(who.Session.ID), false
	return session, nil
}

// Save stores the values of a live session; it never makes one.
func (s *Store) Save(r *http.Request, _ http.ResponseWriter, session *sessions.Session) error {
	if session.IsNew {
		return errors.New("identity: a session is made by signing in")
	}
	values := map[string]any{}
	for k, v := range session.Values {
		if name, ok := k.(string); ok {
			values[name] = v
		}
	}
	data, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("encode session: %w", err)
	}
	return s.service.system.SaveSession(r.Context(), models.SessionID(session.ID), string(data))
}

// SignedIn returns who is behind the request, or models.ErrNotFound.
func (s *Store) SignedIn(r *http.Request) (models.SignedIn, error) {
	session, err := s.Get(r, plainCookie)
	if err != nil {
		return models.SignedIn{}, err
	}
	who, ok := session.Values[whoKey{}].(models.SignedIn)
	if !ok {
		return models.SignedIn{}, models.NotFound("session")
	}
	return who, nil
}

// See notes, at most once a minute, that somebody used the session: it begins
// to be idle anew. What a page does by itself is no use, or an open tab would
// keep its session for ever.
func (s *Store) See(r *http.Request, who models.SignedIn) error {
	if time.Since(who.Session.LastSeenAt) < seenEvery {
		return nil
	}
	return s.service.system.SeeSession(r.Context(), who.Session.ID)
}

// Token is the cookie's token, "" without one.
func (s *Store) Token(r *http.Request) string {
	cookie, err := r.Cookie(s.cookieName(r))
	if err != nil {
		return ""
	}
	return cookie.Value
}

func (s *Store) cookieName(r *http.Request) string {
	if s.secure(r) {
		return secureCookie
	}
	return plainCookie
}

// Begin hands a fresh session's token to the browser, over whatever stood there.
func (s *Store) Begin(w http.ResponseWriter, r *http.Request, token string) {
	s.setCookie(w, r, token, int(AbsoluteTime.Seconds()))
}

// End takes the cookie away.
func (s *Store) End(w http.ResponseWriter, r *http.Request) { s.setCookie(w, r, "", -1) }

// Challenge is the token of a sign-in that waits for its code, "" without one.
func (s *Store) Challenge(r *http.Request) string {
	cookie, err := r.Cookie(s.cookieName(r) + challengeSuffix)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// BeginChallenge hands the browser a challenge; "" takes it away.
func (s *Store) BeginChallenge(w http.ResponseWriter, r *http.Request, challenge string) {
	maxAge := int(ChallengeTime.Seconds())
	if challenge == "" {
		maxAge = -1
	}
	s.put(w, r, s.cookieName(r)+challengeSuffix, challenge, maxAge)
}

// invitationSuffix names the cookie that keeps an invitation's token from the
// address bar.
const invitationSuffix = "-invitation"

// invitationTime is how long it is kept: long enough to sign in first. Seconds.
const invitationTime = 3600

// Invitation is the token of the invitation that the browser is looking at, ""
// without one.
func (s *Store) Invitation(r *http.Request) string {
	cookie, err := r.Cookie(s.cookieName(r) + invitationSuffix)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// KeepInvitation hands the browser an invitation's token; "" takes it away.
// Nothing is kept that can't be one.
func (s *Store) KeepInvitation(w http.ResponseWriter, r *http.Request, token string) {
	maxAge := invitationTime
	if len(token) != tokenLength {
		token, maxAge = "", -1
	}
	s.put(w, r, s.cookieName(r)+invitationSuffix, token, maxAge)
}

// ssoSuffix names the cookie that binds a single sign-on to the browser that
// began it.
const ssoSuffix = "-sso"

// SSO is what the browser kept when it left for the identity provider.
func (s *Store) SSO(r *http.Request) string {
	cookie, err := r.Cookie(s.cookieName(r) + ssoSuffix)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// KeepSSO hands it to the browser; "" takes it away.
func (s *Store) KeepSSO(w http.ResponseWriter, r *http.Request, start string) {
	maxAge := int(SSOTime.Seconds())
	if start == "" {
		maxAge = -1
	}
	s.put(w, r, s.cookieName(r)+ssoSuffix, start, maxAge)
}

func (s *Store) setCookie(w http.ResponseWriter, r *http.Request, token string, maxAge int) {
	s.put(w, r, s.cookieName(r), token, maxAge)
}

func (s *Store) put(w http.ResponseWriter, r *http.Request, name, value string, maxAge int) {
	// #nosec G124 -- Secure follows the connection; the demo speaks plain HTTP on loopback
	http.SetCookie(w, sessions.NewCookie(name, value, &sessions.Options{
		Path: "/", MaxAge: maxAge, Secure: s.secure(r), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}))
}

// flashKey is where messages for the next page wait.
const flashKey = "flash"

// flashesMost is how many wait: who posts and never looks must not fill the
// database.
const flashesMost = 10

// Flash is a short message that the next page shows once.
type Flash struct {
	Tone string // good, bad, info
	Text string
}

// AddFlash leaves a message for the next page. Without a session it is dropped.
func (s *Store) AddFlash(w http.ResponseWriter, r *http.Request, f Flash) error {
	session, err := s.Get(r, plainCookie)
	if err != nil || session.IsNew {
		return err
	}
	session.AddFlash([]any{f.Tone, f.Text}, flashKey)
	if waiting, ok := session.Values[flashKey].([]any); ok && len(waiting) > flashesMost {
		session.Values[flashKey] = waiting[len(waiting)-flashesMost:]
	}
	return session.Save(r, w)
}

// TakeFlashes returns the waiting messages and forgets them.
func (s *Store) TakeFlashes(w http.ResponseWriter, r *http.Request) ([]Flash, error) {
	session, err := s.Get(r, plainCookie)
	if err != nil || session.IsNew {
		return nil, err
	}
	var flashes []Flash
	for _, f := range session.Flashes(flashKey) {
		if pair, ok := f.([]any); ok && len(pair) == 2 {
			tone, _ := pair[0].(string)
			text, _ := pair[1].(string)
			flashes = append(flashes, Flash{Tone: tone, Text: text})
		}
	}
	if len(flashes) == 0 {
		return nil, nil
	}
	return flashes, session.Save(r, w)
}
