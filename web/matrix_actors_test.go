package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
)

// actor is somebody who sends requests in the matrix.
type actor struct {
	name  string
	email string // "" for nobody
	enter func(m *matrix, email string) func(*http.Request)
}

// actors are all kinds of people and programs that may knock. acme is the org
// whose things the matrix asks for; globex is another one.
var actors = []actor{
	{name: "anonymous", enter: (*matrix).nobody},
	{name: "admin", email: "admin@acme.example", enter: (*matrix).session},
	{name: "user", email: "user@acme.example", enter: (*matrix).session},
	{name: "auditor", email: "auditor@acme.example", enter: (*matrix).session},
	{name: "other-admin", email: "admin@globex.example", enter: (*matrix).session},
	{name: "other-user", email: "user@globex.example", enter: (*matrix).session},
	{name: "other-auditor", email: "auditor@globex.example", enter: (*matrix).session},
	{name: "both", email: "both@acme.example", enter: (*matrix).session},
	{name: "no-org", email: "lonely@acme.example", enter: (*matrix).session},
	{name: "suspended-org", email: "user@sleepy.example", enter: (*matrix).session},
	{name: "disabled", email: "disabled@acme.example", enter: (*matrix).session},
	{name: "operator", email: "operator@provider.example", enter: (*matrix).session},
	{name: "provider-auditor", email: "auditor@provider.example", enter: (*matrix).session},
	{name: "operator-looking", email: "looking@provider.example", enter: (*matrix).looking},
	{name: "operator-looked", email: "looked@provider.example", enter: (*matrix).looked},
	{name: "provider-auditor-looking", email: "looking-auditor@provider.example", enter: (*matrix).looking},
	{name: "revoked-session", email: "admin@acme.example", enter: (*matrix).revokedSession},
	{name: "expired-session", email: "admin@acme.example", enter: (*matrix).expiredSession},
	{name: "idle-session", email: "admin@acme.example", enter: (*matrix).idleSession},
	{name: "token-admin", email: "admin@acme.example", enter: tokenAs("acme", models.RoleAdmin)},
	{name: "token-user", email: "admin@acme.example", enter: tokenAs("acme", models.RoleUser)},
	{name: "token-auditor", email: "admin@acme.example", enter: tokenAs("acme", models.RoleAuditor)},
	{name: "token-demoted", email: "auditor@acme.example", enter: (*matrix).demotedToken},
	{name: "token-other", email: "admin@globex.example", enter: tokenAs("globex", models.RoleAdmin)},
	{name: "token-both", email: "both@acme.example", enter: tokenAs("globex", models.RoleUser)},
	{name: "token-revoked", email: "admin@acme.example", enter: (*matrix).revokedToken},
	{name: "token-expired", email: "admin@acme.example", enter: (*matrix).expiredToken},
	{name: "token-disabled", email: "disabled@acme.example", enter: tokenAs("acme", models.RoleUser)},
	{name: "gateway", enter: (*matrix).gateway},
}

// people adds those that testkit's World lacks.
func (m *matrix) people() {
	ctx, t := context.Background(), m.p.t
	sleepy, err := m.p.System.PutOrg(ctx, "sleepy", "Sleepy", nil)
	if err != nil {
		t.Fatal(err)
	}
	for email, in := range map[string]map[models.OrgID]models.Role{
		"auditor@globex.example":   {m.p.Globex.ID: models.RoleAuditor},
		"both@acme.example":        {m.p.Acme.ID: models.RoleUser, m.p.Globex.ID: models.RoleUser},
		"lonely@acme.example":      {},
		"user@sleepy.example":      {sleepy.ID: models.RoleAdmin},
		"disabled@acme.example":    {m.p.Acme.ID: models.RoleUser},
		"auditor@provider.example": {},
		// Who looks is a person apart: signing others out is each one's own affair.
		"looking@provider.example":         {},
		"looked@provider.example":          {},
		"looking-auditor@provider.example": {},
	} {
		u := models.User{Email: email, Name: email}
		switch {
		case strings.HasSuffix(email, "auditor@provider.example"):
			u.ProviderRole = models.RoleProviderAuditor
		case strings.HasSuffix(email, "@provider.example"):
			u.ProviderRole = models.RoleOperator
		}
		if u, err = m.p.System.PutUser(ctx, u); err != nil {
			t.Fatal(err)
		}
		m.accounts[email] = u
		for org, role := range in {
			if err := m.p.System.PutMember(ctx, org, u.ID, role); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.exec("UPDATE orgs SET suspended_at = created_at WHERE slug = 'sleepy'")
	m.exec("UPDATE users SET disabled_at = created_at WHERE email = 'disabled@acme.example'")
}

// orgOf is an org of the account's where it can work.
func (m *matrix) orgOf(email string) string {
	for _, slug := range []string{"acme", "globex", "sleepy"} {
		who := models.SignedIn{User: m.user(email)}
		if list, err := m.p.System.Memberships(context.Background(), who); err == nil {
			for _, member := range list {
				if member.Org.Slug == slug && member.Org.SuspendedAt == nil {
					return slug
				}
			}
		}
	}
	return ""
}

func (m *matrix) user(email string) models.User {
	if u, ok := m.accounts[email]; ok {
		return u
	}
	return m.p.User(email)
}

func (m *matrix) nobody(string) func(*http.Request) { return func(*http.Request) {} }

// sessionOf stores a session; the future is when it was last seen, so that
// nothing is noted meanwhile and statements can be compared.
func (m *matrix) sessionOf(email string, seen, expires time.Time) (models.SignedIn, func(*http.Request)) {
	u := m.user(email)
	cookie := models.NewID[string]() + "-cookie"
	sum := sha256.Sum256([]byte(cookie))
	who := models.SignedIn{User: u, Session: models.Session{
		ID: models.NewID[models.SessionID](), TokenHash: hex.EncodeToString(sum[:]), UserID: u.ID,
		CreatedAt: models.Now(), LastSeenAt: seen, ExpiresAt: expires,
	}}
	who.Actor = models.Actor{Kind: models.ActorUser, ID: string(u.ID), Name: u.Name, SessionID: who.Session.ID}
	if err := m.p.System.AddSession(context.Background(), who.Session, who.Actor); err != nil {
		m.p.t.Fatal(err)
	}
	return who, func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "millwright", Value: cookie}) }
}

func (m *matrix) session(email string) func(*http.Request) {
	_, enter := m.sessionOf(email, models.Now().Add(time.Hour), models.Now().AddDate(0, 0, 1))
	return enter
}

func (m *matrix) revokedSession(email string) func(*http.Request) {
	who, enter := m.sessionOf(email, models.Now(), models.Now().AddDate(0, 0, 1))
	if err := m.p.System.RevokeSession(context.Background(), who); err != nil {
		m.p.t.Fatal(err)
	}
	return enter
}

func (m *matrix) expiredSession(email string) func(*http.Request) {
	_, enter := m.sessionOf(email, models.Now(), models.Now().Add(-time.Second))
	return enter
}

func (m *matrix) idleSession(email string) func(*http.Request) {
	_, enter := m.sessionOf(email, models.Now().AddDate(0, 0, -1), models.Now().AddDate(0, 0, 1))
	return enter
}

// look lets a session of the provider's look into acme, and into no other org.
func (m *matrix) look(email string) (models.Look, func(*http.Request)) {
	who, enter := m.sessionOf(email, models.Now().Add(time.Hour), models.Now().AddDate(0, 0, 1))
	provider, err := m.p.System.Provider(who)
	if err != nil {
		m.p.t.Fatal(err)
	}
	look, err := provider.StartLook(context.Background(), "acme", "ticket 4711", 60)
	if err != nil {
		m.p.t.Fatal(err)
	}
	return look, enter
}

func (m *matrix) looking(email string) func(*http.Request) {
	_, enter := m.look(email)
	return enter
}

// looked is in the same session still, and the look's time is over.
func (m *matrix) looked(email string) func(*http.Request) {
	look, enter := m.look(email)
	m.exec("UPDATE provider_looks SET started_at = '2020-01-01 00:00:00.000000+00:00', expires_at = '2020-01-01 01:00:00.000000+00:00' WHERE id = '" + string(look.ID) + "'")
	return enter
}

// gateway comes with an edge's own token, which opens the edges' door alone.
func (m *matrix) gateway(string) func(*http.Request) {
	_, token, err := m.operator().AddEdge(context.Background(), m.name(), nil)
	if err != nil {
		m.p.t.Fatal(err)
	}
	return bearer(token)
}

// token stores one and says that it was used just now, and for a while.
func (m *matrix) token(email, org string, role models.Role, expires time.Time) (text string, id models.TokenID) {
	u := m.user(email)
	text = "mw_" + strings.Repeat("x", 43-36) + models.NewID[string]()
	sum := sha256.Sum256([]byte(text))
	t := models.APIToken{Name: m.name(), Role: role, TokenHash: hex.EncodeToString(sum[:]), ExpiresAt: expires}
	orgID := map[string]models.OrgID{"acme": m.p.Acme.ID, "globex": m.p.Globex.ID}[org]
	err := m.p.System.Within(context.Background(), orgID, models.Actor{Kind: models.ActorUser, ID: string(u.ID), Name: u.Name},
		func(w *models.Writer) error { return w.InsertAPIToken(&t) })
	if err != nil {
		m.p.t.Fatal(err)
	}
	m.exec("UPDATE api_tokens SET last_used_at = '" + models.Now().Add(time.Hour).Format("2006-01-02 15:04:05.999999999+00:00") + "' WHERE id = '" + string(t.ID) + "'")
	return text, t.ID
}

func bearer(text string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text) }
}

func tokenAs(org string, role models.Role) func(*matrix, string) func(*http.Request) {
	return func(m *matrix, email string) func(*http.Request) {
		text, _ := m.token(email, org, role, models.Now().AddDate(0, 0, 1))
		return bearer(text)
	}
}

// demotedToken was made as an admin's; its maker is an auditor now.
func (m *matrix) demotedToken(email string) func(*http.Request) {
	text, id := m.token(email, "acme", models.RoleAuditor, models.Now().AddDate(0, 0, 1))
	m.exec("UPDATE api_tokens SET role = 'admin' WHERE id = '" + string(id) + "'")
	return bearer(text)
}

func (m *matrix) revokedToken(email string) func(*http.Request) {
	text, id := m.token(email, "acme", models.RoleAdmin, models.Now().AddDate(0, 0, 1))
	if err := m.p.System.RevokeAPIToken(context.Background(), models.SignedIn{User: m.user(email)}, id); err != nil {
		m.p.t.Fatal(err)
	}
	return bearer(text)
}

func (m *matrix) expiredToken(email string) func(*http.Request) {
	text, _ := m.token(email, "acme", models.RoleAdmin, models.Now().Add(-time.Second))
	return bearer(text)
}
