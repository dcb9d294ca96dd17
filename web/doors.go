package web

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
)

// door is who may pass.
type door string

const (
	doorAnyone   door = "anyone"
	doorSignedIn door = "signed in" // by session: a token is nobody here
	doorCaller   door = "caller"    // by session or token
	doorOrg      door = "org"       // by session or token
	doorProvider door = "provider"
	doorEdge     door = "edge" // a gateway, by its token
)

// Guarded is a handler behind its door: what the route table takes, and the
// only thing it takes.
type Guarded struct {
	door       door
	permission models.Permission
	serve      echo.HandlerFunc
}

// route is a row of the table, for those who read it.
type route struct {
	method, path string
	Guarded
}

// group is a part of the table under one prefix.
type group struct {
	server *Server
	prefix string
}

func (g group) GET(path string, h Guarded)  { g.add(http.MethodGet, path, h) }
func (g group) HEAD(path string, h Guarded) { g.add(http.MethodHead, path, h) }
func (g group) POST(path string, h Guarded) { g.add(http.MethodPost, path, h) }

func (g group) under(prefix string) group { return group{server: g.server, prefix: g.prefix + prefix} }

func (g group) add(method, path string, h Guarded) {
	g.server.echo.Add(method, g.prefix+path, h.serve)
	g.server.routes = append(g.server.routes, route{method: method, path: g.prefix + path, Guarded: h})
}

// Anyone lets everybody in, signed in or not.
func (s *Server) Anyone(h echo.HandlerFunc) Guarded {
	return Guarded{door: doorAnyone, serve: h}
}

// SignedIn lets whoever has a live session in.
func (s *Server) SignedIn(h func(echo.Context, models.SignedIn) error) Guarded {
	return Guarded{door: doorSignedIn, serve: func(c echo.Context) error {
		who, err := s.enter(c)
		if err != nil {
			return err
		}
		return h(c, who)
	}}
}

// Caller lets whoever has a live session or a live API token in.
func (s *Server) Caller(h func(echo.Context, models.SignedIn) error) Guarded {
	return Guarded{door: doorCaller, serve: func(c echo.Context) error {
		var who models.SignedIn
		err := s.atDoor(c, func() (err error) {
			who, err = s.enterCaller(c)
			return err
		})
		if err != nil {
			return err
		}
		return h(c, who)
	}}
}

// Org lets members of the org in the URL in, with the permission, and tokens
// of theirs for that org.
func (s *Server) Org(p models.Permission, h func(echo.Context, *models.Scope) error) Guarded {
	return Guarded{door: doorOrg, permission: p, serve: func(c echo.Context) error {
		var scope *models.Scope
		err := s.atDoor(c, func() error {
			who, err := s.enterCaller(c)
			if err != nil {
				return err
			}
			if scope, err = s.system.Scope(c.Request().Context(), who, c.Param("org")); err != nil {
				return err
			}
			c.Set(scopeKey, scope)
			if !scope.Can(p) {
				return s.refuse(c, scope.Org().ID, who.Actor, p)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return h(c, scope)
	}}
}

// Provider lets the provider's own people in, with the permission. For
// everybody else there is no such page.
func (s *Server) Provider(p models.Permission, h func(echo.Context, *models.Provider) error) Guarded {
	return Guarded{door: doorProvider, permission: p, serve: func(c echo.Context) error {
		var provider *models.Provider
		err := s.atDoor(c, func() error {
			who, err := s.enter(c)
			if err != nil {
				return err
			}
			if provider, err = s.system.Provider(who); err != nil {
				return err
			}
			if !provider.Can(p) {
				return s.refuse(c, models.ProviderOrg, who.Actor, p)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return h(c, provider)
	}}
}

// Edge lets gateways in, by the token that an operator gave them. A session or
// an API token is nobody here.
func (s *Server) Edge(h func(echo.Context, *models.Edge) error) Guarded {
	return Guarded{door: doorEdge, serve: func(c echo.Context) error {
		token, _ := identity.Bearer(c.Request())
		edge, err := s.system.Edge(c.Request().Context(), token)
		if errors.Is(err, models.ErrNotFound) {
			return cmp.Or(s.system.RefuseEdge(c.Request().Context(), token, stranger(c)), error(errWrongToken))
		}
		if err != nil {
			return err
		}
		return h(c, edge)
	}}
}

// stranger is who asks before anybody knows who it is.
func stranger(c echo.Context) models.Actor {
	return models.Actor{Kind: models.ActorNobody, Name: "Somebody", Source: c.RealIP(), RequestID: requestID(c)}
}

func requestID(c echo.Context) string { return c.Response().Header().Get(echo.HeaderXRequestID) }

// orgAddressed is the short name in the address, "" where there can't be one.
func orgAddressed(c echo.Context) string {
	if slug := c.Param("org"); clean(slug) && len(slug) <= 100 {
		return slug
	}
	return ""
}

// refuse answers a member without the permission, and tells the history.
func (s *Server) refuse(c echo.Context, org models.OrgID, actor models.Actor, p models.Permission) error {
	event := models.Event{
		Action: models.ActionAccessRefused, Outcome: models.OutcomeRefused,
		Object: models.Object{Kind: "page", ID: cut(c.Param("id")), Name: c.Request().Method + " " + cut(c.Request().URL.Path)},
		After:  map[string]any{"permission": p},
	}
	if err := s.system.RecordIn(c.Request().Context(), org, actor, event); err != nil {
		return err
	}
	return models.Forbidden("Your role in this org doesn't include this. Ask one of its admins if you need it.")
}

// cut bounds what a stranger can write into the history.
func cut(s string) string {
	if r := []rune(s); len(r) > 200 {
		return string(r[:200])
	}
	return s
}
