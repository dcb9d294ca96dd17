package views

import (
	"net/url"
	"strings"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
)

// AccountForm names a form of the account page.
type AccountForm string

const (
	FormPassword AccountForm = "password"
	FormFactor   AccountForm = "factor"
	FormToken    AccountForm = "token"
	FormSSO      AccountForm = "sso"
)

// AccountURL is the user's own page; FactorURL sets up the second factor.
const (
	AccountURL = "/account"
	FactorURL  = "/account/second-factor"
)

func revokeSessionURL(id models.SessionID) string {
	return AccountURL + "/sessions/" + url.PathEscape(string(id)) + "/revoke"
}

func revokeTokenURL(id models.TokenID) string {
	return AccountURL + "/tokens/" + url.PathEscape(string(id)) + "/revoke"
}

// SSOURL begins single sign-on.
const SSOURL = "/sign-in/sso"

// SignInURL is the sign-in page that leads on to next.
func SignInURL(next string) string { return withNext("/sign-in", next) }

// SignInCodeURL is the page behind it that asks for a code.
func SignInCodeURL(next string) string { return withNext("/sign-in/code", next) }

func withNext(path, next string) string {
	if next == "/" {
		next = ""
	}
	return withQuery(path, "next", next)
}

// AccountProps is the user's own page.
type AccountProps struct {
	Frame            Frame
	This             models.SessionID // whose page this is
	Sessions         []models.Session
	Tokens           []models.APITokenRow
	Token            TokenForm
	FactorOn         bool
	RecoveryLeft     int
	PasswordMinChars int
	TokensToo        bool // ticked in the password's form
	HasPassword      bool
	// SSOLabel names the identity provider, "" without one; SSOEmail is who
	// the account is there, "" while it isn't connected.
	SSOLabel     string
	SSOConnected bool
	SSOEmail     string
	SSOGiven     models.SSOGiven // by it alone
	TokenDaysMax int
	// Refused is the form that came back, Problems what is wrong with it.
	Refused  AccountForm
	Problems map[string]string
}

// TokenForm is what was typed for a new token.
type TokenForm struct {
	Name string
	Org  string // slug
	Role models.Role
	Days int
}

func (p AccountProps) problem(f AccountForm, field string) string {
	if p.Refused != f {
		return ""
	}
	return p.Problems[field]
}

func (p AccountProps) orgOptions() []ui.Option {
	list := make([]ui.Option, len(p.Frame.Memberships))
	for i, m := range p.Frame.Memberships {
		list[i] = ui.Option{Value: m.Org.Slug, Label: m.Org.Name + " (you: " + roleName(m.Role) + ")"}
	}
	return list
}

// roleOptions are the roles that the user could give in some org; in which,
// the portal decides when the form comes.
func (p AccountProps) roleOptions() []ui.Option {
	given := map[models.Role]bool{}
	for _, m := range p.Frame.Memberships {
		for _, r := range models.RolesUpTo(m.Role) {
			given[r] = true
		}
	}
	var list []ui.Option
	// The least first: it is what a form left alone asks for.
	for _, r := range []models.Role{models.RoleAuditor, models.RoleUser, models.RoleAdmin} {
		if given[r] {
			list = append(list, ui.Option{Value: string(r), Label: roleName(r)})
		}
	}
	return list
}

func (p AccountProps) others() int { return max(0, len(p.Sessions)-1) }

func tokenLook(t models.APITokenRow) ui.Look {
	switch {
	case !t.ExpiresAt.After(models.Now()):
		return ui.Look{Tone: ui.Idle, Icon: "clock", Label: "Expired"}
	case t.MakerRole == "":
		return ui.Look{Tone: ui.Warn, Icon: "ban", Label: "No member"}
	default:
		return ui.Look{Tone: ui.Good, Icon: "check", Label: "Live"}
	}
}

// tokenRole says what the token may do now, and what it was made for where
// that is more.
func tokenRole(t models.APITokenRow) string {
	now := models.WeakerRole(t.Role, t.MakerRole)
	if now == t.Role || now == "" {
		return roleName(t.Role)
	}
	return roleName(now) + ", made as " + roleName(t.Role)
}

// browserName says in words what a user agent calls itself. Several claim to
// be others too: the order decides.
func browserName(agent string) string {
	named := func(list ...string) string {
		for i := 0; i+1 < len(list); i += 2 {
			if strings.Contains(agent, list[i]) {
				return list[i+1]
			}
		}
		return ""
	}
	browser := named("Edg", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "FxiOS/", "Firefox", "Chromium/", "Chromium", "Chrome/", "Chrome",
		"CriOS/", "Chrome", "Safari/", "Safari", "curl/", "curl")
	system := named("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "Mac OS X", "macOS", "CrOS", "ChromeOS", "Linux", "Linux")
	switch {
	case browser == "" && system == "":
		return "Unknown browser"
	case browser == "":
		return "Browser on " + system
	case system == "":
		return browser
	default:
		return browser + " on " + system
	}
}

// tokensNote says what a new password leaves alone.
func (p AccountProps) tokensNote() string {
	note := "You have none."
	if len(p.Tokens) > 0 {
		note = "You have " + count(len(p.Tokens), "token", "tokens") + ". Left alone, they go on to work: tick this if somebody may have known your password."
	}
	if p.SSOConnected {
		note += " Signing in with " + p.SSOLabel + " stays as it is."
	}
	return note
}
