package main

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// accountScreens are a user's own pages.
func accountScreens(f views.Frame, now time.Time) []screen {
	f.Org, f.Role = models.Org{}, ""
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	used := ago(3 * time.Minute)
	session := func(id, agent, source string, seen time.Duration) models.Session {
		return models.Session{ID: models.SessionID(id), UserAgent: agent, Source: source, CreatedAt: ago(seen + 5*time.Hour), LastSeenAt: ago(seen)}
	}
	token := func(name string, role, maker models.Role, org string, expires time.Time, used *time.Time) models.APITokenRow {
		return models.APITokenRow{OrgName: org, MakerRole: maker, APIToken: models.APIToken{
			ID: models.TokenID("t-" + name), Name: name, Role: role, ExpiresAt: expires, LastUsedAt: used,
		}}
	}
	plain := views.AccountProps{Frame: f, This: "s-1", HasPassword: true, PasswordMinChars: 12, TokenDaysMax: 366, Token: views.TokenForm{Days: 90},
		Sessions: []models.Session{session("s-1", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "192.0.2.17", 0)}}
	full := plain
	full.FactorOn, full.RecoveryLeft = true, 9
	full.Sessions = append(full.Sessions,
		session("s-2", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "2001:db8:85a3::8a2e:370:7334", 40*time.Minute),
		session("s-3", "", "198.51.100.4", 90*time.Minute))
	full.Tokens = []models.APITokenRow{
		token("terraform", models.RoleUser, models.RoleAdmin, "Acme Manufacturing", now.AddDate(0, 0, 88), &used),
		token("nightly-report-of-every-machine", models.RoleAdmin, models.RoleAuditor, "Initech", now.AddDate(0, 0, 20), nil),
		token("old-laptop", models.RoleUser, models.RoleUser, "Acme Manufacturing", ago(50*time.Hour), &used),
	}
	refused := full
	refused.Refused, refused.Problems = views.FormToken, map[string]string{"name": "You have a token of this name in this org already."}
	refused.Token = views.TokenForm{Name: "terraform", Org: "acme", Role: models.RoleUser, Days: 30}
	password := full
	password.Refused, password.TokensToo = views.FormPassword, true
	password.Problems = map[string]string{"old": "This is not your password.", "new": "At least 12 characters.", "again": "The two differ."}
	connected := full
	connected.SSOLabel, connected.SSOConnected, connected.SSOEmail = "Acme ID", true, "ada.administrator@id.acme.example"
	connected.SSOGiven = models.SSOGiven{Orgs: []string{"Acme Robotics", "Initech"}, ProviderRole: models.RoleProviderAuditor}
	disconnecting, only, apart := connected, connected, plain
	disconnecting.Refused, disconnecting.Problems = views.FormSSO, map[string]string{"password": "This isn't your password."}
	only.HasPassword = false
	apart.SSOLabel = "Acme ID"
	codes := make([]string, 10)
	for i := range codes {
		codes[i] = "k7qd-" + strings.Repeat(string(rune('a'+i)), 4) + "-2mzx-q4ua"
	}
	return []screen{
		{"sign-in-code", views.SignInCode(views.SignInCodeProps{Next: "/orgs/acme/", Error: "This code isn't right, or it was used already. Wait for the next one and try again."})},
		{"account", views.Account(full)},
		{"account-plain", views.Account(plain)},
		{"account-refused", views.Account(refused)},
		{"account-password", views.Account(password)},
		{"account-sso", views.Account(connected)},
		{"account-sso-disconnect", views.Account(disconnecting)},
		{"account-sso-only", views.Account(only)},
		{"account-sso-apart", views.Account(apart)},
		{"account-factor", views.FactorSetup(views.FactorSetupProps{Frame: f, Secret: strings.Repeat("JBSW Y3DP ", 4), QR: pattern(), Problem: "This code isn't right."})},
		{"account-codes", views.RecoveryCodes(views.RecoveryCodesProps{Frame: f, Codes: codes})},
		{"account-token", views.TokenMade(views.TokenMadeProps{Frame: f, Org: models.Org{Name: "Acme Manufacturing"}, Text: "mw_" + strings.Repeat("x4Qz", 10) + "abc",
			Token: models.APIToken{Name: "terraform", Role: models.RoleUser, ExpiresAt: now.AddDate(0, 0, 90)}})},
	}
}

// pattern is a picture of the size of a QR code, and no QR code.
func pattern() string {
	picture := image.NewGray(image.Rect(0, 0, 33, 33))
	for x := range 33 {
		for y := range 33 {
			if (x*y+x+y)%3 != 0 {
				picture.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	var b bytes.Buffer
	if png.Encode(&b, picture) != nil {
		return ""
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}
