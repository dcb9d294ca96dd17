package config

import (
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
)

// Mail is the server that takes the portal's letters.
type Mail struct {
	Host         string `yaml:"host"`
	Port         int    `yaml:"port"`     // 587 for starttls, 465 for tls, 25 for none, where left out
	Security     string `yaml:"security"` // starttls (where left out), tls, or none for a relay on this machine
	Username     string `yaml:"username"` // left out: nobody signs in
	PasswordFile string `yaml:"password_file"`
	PasswordEnv  string `yaml:"password_env"`
	From         string `yaml:"from"` // Millwright <portal@example.com>

	Password string       `yaml:"-"` // read from PasswordFile or PasswordEnv
	Sender   mail.Address `yaml:"-"` // From, parsed
}

func (c *Config) checkMail(dir string, bad func(string, ...any)) {
	m := c.Mail
	if m == nil {
		return
	}
	if m.Security == "" {
		m.Security = "starttls"
	}
	port, known := map[string]int{"starttls": 587, "tls": 465, "none": 25}[m.Security]
	if !known {
		bad("mail: security must be starttls, tls or none")
	}
	if m.Port == 0 {
		m.Port = port
	}
	if m.Host == "" || m.Port < 1 || m.Port > 65535 {
		bad("mail: host and port must name a mail server")
	}
	sender, err := mail.ParseAddress(m.From)
	if err != nil {
		bad("mail: from must be an address, such as Millwright <portal@example.com>")
	} else {
		m.Sender = *sender
	}
	if m.Username != "" {
		if m.Password, err = secret(dir, "password", m.PasswordFile, m.PasswordEnv); err != nil {
			bad("mail: %w", err)
		}
		if m.Security == "none" && !loopback(m.Host) {
			bad("mail: a password is spoken over TLS only: set security to starttls or tls")
		}
	}
}

// OIDC is single sign-on by one OpenID Connect provider.
type OIDC struct {
	Issuer           string   `yaml:"issuer"` // https, as the provider writes it; http for this very machine only
	ClientID         string   `yaml:"client_id"`
	ClientSecretFile string   `yaml:"client_secret_file"`
	ClientSecretEnv  string   `yaml:"client_secret_env"`
	Label            string   `yaml:"label"`        // of the button: "Sign in with …"
	Scopes           []string `yaml:"scopes"`       // beside openid; profile and email where left out
	GroupsClaim      string   `yaml:"groups_claim"` // groups where left out
	// EmailsVerified says that the provider verifies every address that it
	// tells, and doesn't say so by email_verified.
	EmailsVerified bool           `yaml:"emails_verified"`
	Mappings       []GroupMapping `yaml:"mappings"`

	ClientSecret string `yaml:"-"` // read from ClientSecretFile or ClientSecretEnv
}

// GroupMapping gives the members of a group a role: in an org, or at the
// provider.
type GroupMapping struct {
	Group        string `yaml:"group"`
	Org          string `yaml:"org"`  // slug
	Role         string `yaml:"role"` // admin, user or auditor
	ProviderRole string `yaml:"provider_role"`
}

func (c *Config) checkOIDC(dir string, bad func(string, ...any)) {
	o := c.OIDC
	if o == nil {
		return
	}
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		bad("oidc: issuer must be the provider's https address")
	}
	if o.ClientID == "" {
		bad("oidc: client_id is missing")
	}
	if o.ClientSecret, err = secret(dir, "client_secret", o.ClientSecretFile, o.ClientSecretEnv); err != nil {
		bad("oidc: %w", err)
	}
	if o.Label == "" && u != nil {
		o.Label = u.Hostname()
	}
	if o.Scopes == nil {
		o.Scopes = []string{"profile", "email"}
	}
	if o.GroupsClaim == "" {
		o.GroupsClaim = "groups"
	}
	if len(o.Mappings) == 0 {
		bad("oidc: mappings is empty: nobody could sign in")
	}
	for _, m := range o.Mappings {
		inOrg := slug.MatchString(m.Org) && slices.Contains([]string{"admin", "user", "auditor"}, m.Role) && m.ProviderRole == ""
		atProvider := m.Org == "" && m.Role == "" && slices.Contains([]string{"operator", "provider_auditor"}, m.ProviderRole)
		if m.Group == "" || !inOrg && !atProvider {
			bad("oidc: mapping of group %q: want org and role (admin, user or auditor), or provider_role (operator or provider_auditor)", m.Group)
		}
	}
}

// loopback says whether a host is this very machine.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
