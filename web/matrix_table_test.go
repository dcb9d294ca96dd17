package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millwright/millwright/models"
)

// The golden file says what is answered; this says what has to be, from the
// table of permissions alone, so that no regenerated file lets anybody in.

// standing is what the table of permissions knows an actor by.
type standing struct {
	way          way
	acme, globex models.Role // "" for none
	provider     models.Role
}

// way is how somebody comes in.
type way int

const (
	byNothing way = iota // or by what isn't valid any more
	bySession
	byToken
	byDeadToken
	byEdgeToken
)

var standings = map[string]standing{
	"anonymous":                {},
	"admin":                    {way: bySession, acme: models.RoleAdmin},
	"user":                     {way: bySession, acme: models.RoleUser},
	"auditor":                  {way: bySession, acme: models.RoleAuditor},
	"other-admin":              {way: bySession, globex: models.RoleAdmin},
	"other-user":               {way: bySession, globex: models.RoleUser},
	"other-auditor":            {way: bySession, globex: models.RoleAuditor},
	"both":                     {way: bySession, acme: models.RoleUser, globex: models.RoleUser},
	"no-org":                   {way: bySession},
	"suspended-org":            {way: bySession},
	"disabled":                 {},
	"operator":                 {way: bySession, provider: models.RoleOperator},
	"provider-auditor":         {way: bySession, provider: models.RoleProviderAuditor},
	"operator-looking":         {way: bySession, acme: models.RoleAuditor, provider: models.RoleOperator},
	"operator-looked":          {way: bySession, provider: models.RoleOperator},
	"provider-auditor-looking": {way: bySession, acme: models.RoleAuditor, provider: models.RoleProviderAuditor},
	"revoked-session":          {},
	"expired-session":          {},
	"idle-session":             {},
	"token-admin":              {way: byToken, acme: models.RoleAdmin},
	"token-user":               {way: byToken, acme: models.RoleUser},
	"token-auditor":            {way: byToken, acme: models.RoleAuditor},
	"token-demoted":            {way: byToken, acme: models.RoleAuditor},
	"token-other":              {way: byToken, globex: models.RoleAdmin},
	"token-both":               {way: byToken, globex: models.RoleUser},
	"token-revoked":            {way: byDeadToken},
	"token-expired":            {way: byDeadToken},
	"token-disabled":           {way: byDeadToken},
	"gateway":                  {way: byEdgeToken},
}

// lawful compares every answer with the table of permissions.
func (m *matrix) lawful(t *testing.T, kind string) {
	t.Helper()
	for _, r := range m.p.server.routes {
		for _, a := range actors {
			s, known := standings[a.name]
			if !known {
				t.Fatalf("standings lacks %s: say what they are, by the table of permissions", a.name)
			}
			for i, cell := range m.cells[r.method+" "+r.path][a.name] {
				if cell == "-" {
					continue
				}
				status, err := strconv.Atoi(cell)
				if err != nil {
					t.Fatal(err)
				}
				if want := s.verdict(r, targets[i]); !want.is(r, status) {
					t.Errorf("%s %s as %s on %s, %s: %d, and by the table of permissions it is %s", r.method, r.path, a.name, kind, targets[i], status, want)
				}
			}
		}
	}
}

// verdict is the answer's kind.
type verdict string

const (
	whoever   verdict = "anything"
	unknown   verdict = "who are you"
	wrong     verdict = "a token that isn't known"
	absent    verdict = "not there"
	forbidden verdict = "forbidden"
	given     verdict = "let in"
)

func (v verdict) is(r route, status int) bool {
	refusals := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}
	switch v {
	case unknown: // a person is shown to the sign-in page
		if r.method == http.MethodGet && !strings.HasSuffix(r.path, "/events") {
			return status == http.StatusSeeOther
		}
		return status == http.StatusUnauthorized
	case wrong:
		return status == http.StatusUnauthorized
	case absent:
		return status == http.StatusNotFound
	case forbidden:
		return status == http.StatusForbidden
	case given:
		return !slices.Contains(refusals, status)
	case whoever:
	}
	return true
}

func (s standing) verdict(r route, target string) verdict {
	there := target == "own" || target == "other-org"
	inside := func(role models.Role) verdict {
		switch {
		case role == "":
			return absent
		case !role.May(r.permission):
			return forbidden
		case !there:
			return absent
		}
		return given
	}
	switch r.door {
	case doorEdge:
		if s.way == byEdgeToken {
			return given
		}
		return wrong
	case doorSignedIn:
		switch {
		case s.way != bySession:
			return unknown
		case !there:
			return absent
		}
		return whoever // of one's own: some have none
	case doorProvider:
		if s.way != bySession {
			return unknown
		}
		if v := inside(s.provider); v != given || r.path != "/provider/orgs/:id/look/end" {
			return v
		}
		return whoever // who doesn't look has nothing to end
	case doorOrg:
		switch s.way {
		case byNothing:
			return unknown
		case byDeadToken, byEdgeToken:
			return wrong
		case bySession, byToken:
		}
		return inside(s.within(target))
	case doorAnyone, doorCaller:
	}
	return whoever
}

// within is the role in the org whose things are asked for.
func (s standing) within(target string) models.Role {
	switch target {
	case "other-org":
		return s.globex
	case "no-org":
		return ""
	}
	return s.acme
}
