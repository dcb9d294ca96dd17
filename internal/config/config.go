// Package config turns a file and the environment into one validated struct.
// It knows no default that would be unsafe to forget: what has to be decided
// is asked for by name.
package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Config is what the operator decides. Sizes and prices carry their unit.
type Config struct {
	Portal        Portal         `yaml:"portal"`
	Console       Console        `yaml:"console"`
	History       History        `yaml:"history"`
	Clouds        []Cloud        `yaml:"clouds"`
	Templates     []Template     `yaml:"templates"`
	InstanceTypes []InstanceType `yaml:"instance_types"`
	Orgs          []Org          `yaml:"orgs"`
	Network       Edge           `yaml:"network"`
	Operators     []Person       `yaml:"operators"`
	Mail          *Mail          `yaml:"mail"` // left out: invitations' links are handed over by hand
	OIDC          *OIDC          `yaml:"oidc"` // left out: no single sign-on
}

// Portal is how this node serves.
type Portal struct {
	Listen    string `yaml:"listen"`     // host:port; 127.0.0.1:8080 where left out
	PublicURL string `yaml:"public_url"` // as people type it: https://portal.example
	KeyFile   string `yaml:"key_file"`   // 32 bytes in base64; seals the clouds' passwords
	// CheckpointKeyFile signs the history (Ed25519, PKCS #8 in PEM); what it
	// signs is added to CheckpointFile too, which the database's owner must not
	// be able to write. Both or neither.
	CheckpointKeyFile string `yaml:"checkpoint_key_file"`
	CheckpointFile    string `yaml:"checkpoint_file"`
	// FormerCheckpointKeys are the public keys, in PEM, of those that
	// CheckpointKeyFile has followed: what they have signed goes on to count.
	FormerCheckpointKeys []string `yaml:"former_checkpoint_keys"`

	// TLS makes the portal speak TLS itself, with files that are read anew when
	// they change. Both or neither; without, a balancer in front does it.
	TLS TLS `yaml:"tls"`

	Node           string   `yaml:"node"`            // stable and unique per node; the host name where left out
	TrustedProxies []string `yaml:"trusted_proxies"` // networks whose X-Forwarded-* headers count
	Workers        int      `yaml:"workers"`         // background jobs at once; 100 where left out
}

// History says what is moved out of the database into signed files, once a
// day. Both or neither; without, all of it stays in the database.
type History struct {
	ArchiveAfterDays int    `yaml:"archive_after_days"`
	ArchiveDir       string `yaml:"archive_dir"`
}

// TLS names a certificate (its chain) and its key, in PEM.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// Console bounds what one person, machine, org or ESXi host may take of the
// consoles. What is left out has a default.
type Console struct {
	OpenPerUser    int `yaml:"open_per_user"`    // at once, over all nodes; 50
	OpenPerMachine int `yaml:"open_per_machine"` // the same; 20
	OpenPerHost    int `yaml:"open_per_host"`    // the same; 500. An org's is its quota "consoles"

	TicketsPerMinutePerUser    int `yaml:"tickets_per_minute_per_user"`    // on each node; 120
	TicketsPerMinutePerMachine int `yaml:"tickets_per_minute_per_machine"` // the same; 120
	TicketsPerMinutePerOrg     int `yaml:"tickets_per_minute_per_org"`     // the same; 2000
	TicketsPerMinutePerHost    int `yaml:"tickets_per_minute_per_host"`    // the same; 2000

	DialsPerHost  int `yaml:"dials_per_host"` // connections being made to one host at once, on each node; 16
	TicketSeconds int `yaml:"ticket_seconds"` // how long a ticket waits for its socket; 30
}

// Cloud is one vCenter.
type Cloud struct {
	Slug               string `yaml:"slug"`
	Name               string `yaml:"name"`
	Class              string `yaml:"class"` // public or private
	URL                string `yaml:"url"`
	Username           string `yaml:"username"`
	PasswordFile       string `yaml:"password_file"`
	PasswordEnv        string `yaml:"password_env"`
	ThumbprintSHA256   string `yaml:"thumbprint_sha256"` // pins the certificate; system roots where left out
	InstanceUUID       string `yaml:"instance_uuid"`     // refuses any other vCenter
	PriceFactorPercent *int   `yaml:"price_factor_percent"`
	Datacenter         string `yaml:"datacenter"`
	Folder             string `yaml:"folder"`
	ResourcePool       string `yaml:"resource_pool"`
	Datastore          string `yaml:"datastore"`

	Password string `yaml:"-"` // read from PasswordFile or PasswordEnv
}

// Template is a catalog card; Images maps a cloud's slug to the instance UUID
// of the template there.
type Template struct {
	Slug         string            `yaml:"slug"`
	Name         string            `yaml:"name"`
	OS           string            `yaml:"os"`
	Icon         string            `yaml:"icon"`
	Version      string            `yaml:"version"`
	Description  string            `yaml:"description"`
	MinVCPUs     int               `yaml:"min_vcpus"`
	MinMemoryMiB int               `yaml:"min_memory_mib"`
	MinDiskGiB   int               `yaml:"min_disk_gib"`
	Images       map[string]string `yaml:"images"`
}

// InstanceType is a menu row.
type InstanceType struct {
	Slug         string  `yaml:"slug"`
	Name         string  `yaml:"name"`
	VCPUs        int     `yaml:"vcpus"`
	MemoryMiB    int     `yaml:"memory_mib"`
	DiskGiB      int     `yaml:"disk_gib"`
	PricePerHour float64 `yaml:"price_per_hour"` // currency units
}

// Org is a tenant, with its first people, its networks and its quota.
type Org struct {
	Slug     string           `yaml:"slug"`
	Name     string           `yaml:"name"`
	Quota    map[string]int64 `yaml:"quota"`
	Networks []Network        `yaml:"networks"`
	Members  []Member         `yaml:"members"`
}

// Network is an org's private network in one cloud. The first one of a cloud
// is its default.
type Network struct {
	Cloud     string `yaml:"cloud"`
	Name      string `yaml:"name"`
	CIDR      string `yaml:"cidr"`
	Gateway   string `yaml:"gateway"`
	PortGroup string `yaml:"port_group"`
}

// Edge is what holds for every org's network edge.
type Edge struct {
	ServicePricePerHour float64    `yaml:"service_price_per_hour"` // of an Internet service, currency units
	QuarantineHours     *int       `yaml:"quarantine_hours"`       // rest of a released public IP; 24 where left out
	ReservedPorts       []PortRule `yaml:"reserved_ports"`         // no service may have these; a default list where left out
}

// PortRule is a port that is kept.
type PortRule struct {
	Protocol string `yaml:"protocol"` // tcp or udp
	Port     int    `yaml:"port"`
	ForVPN   bool   `yaml:"for_vpn"` // the VPN alone may have it
}

// Person is an account.
type Person struct {
	Email string `yaml:"email"`
	Name  string `yaml:"name"`
}

// Member is an account with its role in the org.
type Member struct {
	Person `yaml:",inline"`
	Role   string `yaml:"role"`
}

// Read reads and checks a file. Every mistake is told at once.
func Read(path string) (Config, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return Config{}, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var c Config
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	c.defaults()
	if err := c.check(filepath.Dir(path)); err != nil {
		return c, fmt.Errorf("%s:\n%w", path, err)
	}
	return c, nil
}

func (c *Config) defaults() {
	if c.Portal.Listen == "" {
		c.Portal.Listen = "127.0.0.1:8080"
	}
	if c.Portal.Node == "" {
		c.Portal.Node, _ = os.Hostname()
	}
	if c.Portal.Workers == 0 {
		c.Portal.Workers = 100
	}
}

var slug = regexp.MustCompile(`^[a-z][a-z0-9-]{1,30}$`)

func (c *Config) check(dir string) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	unique := func(kind string, seen map[string]bool, s string) {
		if !slug.MatchString(s) {
			bad("%s: slug %q must be lower case letters, digits and hyphens, beginning with a letter", kind, s)
		}
		if seen[s] {
			bad("%s: slug %q stands twice", kind, s)
		}
		seen[s] = true
	}
	if u, err := url.Parse(c.Portal.PublicURL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		bad("portal.public_url: %q must be the address that people open, such as https://portal.example", c.Portal.PublicURL)
	}
	for _, p := range c.Portal.TrustedProxies {
		if _, err := netip.ParsePrefix(p); err != nil {
			bad("portal.trusted_proxies: %q is not a network such as 10.0.0.0/8", p)
		}
	}
	if (c.Portal.CheckpointKeyFile == "") != (c.Portal.CheckpointFile == "") {
		bad("portal: checkpoint_key_file and checkpoint_file go together: what is signed has to be kept outside the database")
	}
	if len(c.Portal.FormerCheckpointKeys) > 0 && c.Portal.CheckpointKeyFile == "" {
		bad("portal.former_checkpoint_keys: there is no checkpoint_key_file that could have followed them")
	}
	switch h := c.History; {
	case h.ArchiveAfterDays < 0 || h.ArchiveAfterDays > 36500:
		bad("history.archive_after_days: %d is not a number of days from 1 to 36500", h.ArchiveAfterDays)
	case (h.ArchiveAfterDays == 0) != (h.ArchiveDir == ""):
		bad("history: archive_after_days and archive_dir go together")
	case h.ArchiveDir != "" && c.Portal.CheckpointKeyFile == "":
		bad("history.archive_dir: what is archived has to be signed: set portal.checkpoint_key_file and portal.checkpoint_file")
	}
	c.checkTLS(dir, bad)
	for _, n := range []int{
		c.Console.OpenPerUser, c.Console.OpenPerMachine, c.Console.OpenPerHost, c.Console.TicketsPerMinutePerUser,
		c.Console.TicketsPerMinutePerMachine, c.Console.TicketsPerMinutePerOrg, c.Console.TicketsPerMinutePerHost,
		c.Console.DialsPerHost, c.Console.TicketSeconds,
	} {
		if n < 0 {
			bad("console: %d is less than nothing; leave a limit out to have its default", n)
		}
	}
	clouds := map[string]bool{}
	for i := range c.Clouds {
		cl := &c.Clouds[i]
		unique("clouds", clouds, cl.Slug)
		if cl.Class != "public" && cl.Class != "private" {
			bad("clouds: %s: class must be public or private", cl.Slug)
		}
		if u, err := url.Parse(cl.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			bad("clouds: %s: url must be https://host/sdk, without credentials", cl.Slug)
		}
		if err := cl.readPassword(dir); err != nil {
			bad("clouds: %s: %w", cl.Slug, err)
		}
	}
	c.checkMail(dir, bad)
	c.checkOIDC(dir, bad)
	seen := map[string]bool{}
	for _, t := range c.Templates {
		unique("templates", seen, t.Slug)
		if len(t.Images) == 0 {
			bad("templates: %s: images names no cloud", t.Slug)
		}
		for cloud := range t.Images {
			if !clouds[cloud] {
				bad("templates: %s: images names %q, which is no cloud of this file", t.Slug, cloud)
			}
		}
	}
	seen = map[string]bool{}
	for _, it := range c.InstanceTypes {
		unique("instance_types", seen, it.Slug)
		if it.VCPUs < 1 || it.MemoryMiB < 1 || it.DiskGiB < 1 || it.PricePerHour < 0 {
			bad("instance_types: %s: vcpus, memory_mib and disk_gib must be at least 1, the price at least 0", it.Slug)
		}
	}
	seen = map[string]bool{}
	for _, o := range c.Orgs {
		unique("orgs", seen, o.Slug)
		c.checkOrg(o, clouds, bad)
	}
	if c.Network.ServicePricePerHour < 0 || (c.Network.QuarantineHours != nil && *c.Network.QuarantineHours < 0) {
		bad("network: service_price_per_hour and quarantine_hours must be at least 0")
	}
	for _, p := range c.Network.ReservedPorts {
		if (p.Protocol != "tcp" && p.Protocol != "udp") || p.Port < 1 || p.Port > 65535 {
			bad("network.reserved_ports: protocol must be tcp or udp, the port from 1 to 65535")
		}
	}
	return errors.Join(errs...)
}

// checkTLS also makes the files' names absolute, for they are read again later.
func (c *Config) checkTLS(dir string, bad func(string, ...any)) {
	t := &c.Portal.TLS
	if (t.CertFile == "") != (t.KeyFile == "") {
		bad("portal.tls: cert_file and key_file go together")
		return
	}
	for _, file := range []*string{&t.CertFile, &t.KeyFile} {
		if *file == "" {
			continue
		}
		if !filepath.IsAbs(*file) {
			*file = filepath.Join(dir, *file)
		}
		if _, err := os.Stat(*file); err != nil {
			bad("portal.tls: %w", err)
		}
	}
}

func (c *Config) checkOrg(o Org, clouds map[string]bool, bad func(string, ...any)) {
	for _, n := range o.Networks {
		prefix, err := netip.ParsePrefix(n.CIDR)
		switch {
		case !clouds[n.Cloud]:
			bad("orgs: %s: network %s names cloud %q, which is not in this file", o.Slug, n.Name, n.Cloud)
		case err != nil || !prefix.Addr().Is4() || prefix.Bits() > 28 || prefix.Bits() < 8:
			bad("orgs: %s: network %s: cidr must be an IPv4 network from /8 to /28", o.Slug, n.Name)
		}
		if gw, err := netip.ParseAddr(n.Gateway); err != nil || !prefix.Contains(gw) {
			bad("orgs: %s: network %s: gateway must be an address of the network", o.Slug, n.Name)
		}
	}
	for _, m := range o.Members {
		if m.Role != "admin" && m.Role != "user" && m.Role != "auditor" {
			bad("orgs: %s: %s: role must be admin, user or auditor", o.Slug, m.Email)
		}
	}
}

func (c *Cloud) readPassword(dir string) (err error) {
	c.Password, err = secret(dir, "password", c.PasswordFile, c.PasswordEnv)
	return err
}

// secret reads one from a file, beside the configuration where its path is
// relative, or from the environment.
func secret(dir, what, file, env string) (string, error) {
	value := ""
	switch {
	case file != "":
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		text, err := os.ReadFile(file) // #nosec G304 -- the operator names the file
		if err != nil {
			return "", fmt.Errorf("%s_file: %w", what, err)
		}
		value = strings.TrimRight(string(text), "\r\n")
	case env != "":
		value = os.Getenv(env)
	}
	if value == "" {
		return "", fmt.Errorf("no %s: set %s_file or %s_env", what, what, what)
	}
	return value, nil
}

// Key reads the 32 bytes that seal secrets, from the environment or a file.
func Key(env, file string) ([]byte, error) {
	text := env
	if text == "" {
		if file == "" {
			return nil, errors.New("no encryption key: set MILLWRIGHT_KEY or portal.key_file (make one with: openssl rand -base64 32)")
		}
		b, err := os.ReadFile(file) // #nosec G304 -- the operator names the file
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != 32 {
		return nil, errors.New("the encryption key must be 32 bytes in base64 (make one with: openssl rand -base64 32)")
	}
	return key, nil
}
