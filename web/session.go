package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
)

// What a door leaves in the request for the log and the error page.
const (
	signedInKey = "signed in"
	scopeKey    = "scope"
)

// signedIn returns who is behind the request, once a door has asked.
func signedIn(c echo.Context) (models.SignedIn, bool) {
	who, ok := c.Get(signedInKey).(models.SignedIn)
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
	c.Set(signedInKey, who)
	return who, nil
}

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
