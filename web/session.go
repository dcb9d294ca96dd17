package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
)

// scopeKey is where a door leaves the scope for the error page.
const scopeKey = "scope"

// signedIn returns who is behind the request, once a door has asked.
func signedIn(c echo.Context) (models.SignedIn, bool) {
	who, ok := c.Get(handlers.SignedInKey).(models.SignedIn)
	return who, ok
}

// enter finds who is behind the request, with where they come from.
func (s *Server) enter(c echo.Context) (models.SignedIn, error) {
	who, err := s.store.SignedIn(c.Request())
	if errors.Is(err, models.ErrNotFound) {
		return who, errAnonymous
	}
	if err != nil {
		return who, err
	}
	if r := c.Request(); r.Method != http.MethodGet || wantsPage(r) {
		if err := s.store.See(r, who); err != nil {
			return who, err
		}
	}
	who.Actor.Source = c.RealIP()
	who.Actor.RequestID = c.Response().Header().Get(echo.HeaderXRequestID)
	c.Set(handlers.SignedInKey, who)
	return who, nil
}

// enterCaller is enter where a program may come with an API token too. One
// that does is looked at in place of the cookie, right or wrong.
func (s *Server) enterCaller(c echo.Context) (models.SignedIn, error) {
	token, carried := identity.Bearer(c.Request())
	if !carried {
		return s.enter(c)
	}
	who, err := s.identity.EnterByToken(c.Request().Context(), token, identity.Attempt{Source: c.RealIP(), RequestID: requestID(c)}, orgAddressed(c))
	if errors.Is(err, models.ErrNotFound) {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
		return who, errWrongToken
	}
	if err != nil {
		return who, err
	}
	who.Actor.Source = c.RealIP()
	who.Actor.RequestID = c.Response().Header().Get(echo.HeaderXRequestID)
	c.Set(handlers.SignedInKey, who)
	return who, nil
}

// again finds out anew who is behind a request that lasts.
func (s *Server) again(ctx context.Context, r *http.Request) (models.SignedIn, error) {
	if token, carried := identity.Bearer(r); carried {
		return s.identity.AuthenticateToken(ctx, token)
	}
	return s.identity.Authenticate(ctx, s.store.Token(r))
}

// errWrongToken never leads to the sign-in page: no program can sign in there.
var errWrongToken = echo.NewHTTPError(http.StatusUnauthorized, "This token isn't known here.")

// errAnonymous sends a page to the sign-in page; anything else is a 401.
var errAnonymous = echo.NewHTTPError(http.StatusUnauthorized, "Sign in first.")

// signInURL is the sign-in page that leads back to the request's own.
func signInURL(r *http.Request) string {
	if r.URL.Path == "/" {
		return "/sign-in"
	}
	return "/sign-in?next=" + url.QueryEscape(r.URL.RequestURI())
}

// wantsPage says whether a browser is going to a page, as opposed to a script
// that fetches a piece of one, an event stream or JSON.
func wantsPage(r *http.Request) bool {
	if r.Method != http.MethodGet || r.Header.Get("HX-Request") != "" ||
		r.Header.Get("Upgrade") != "" || strings.HasSuffix(r.URL.Path, "/events") {
		return false
	}
	accept := r.Header.Get("Accept")
	return accept == "" || strings.Contains(accept, "text/html") || strings.Contains(accept, "*/*")
}

func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}
