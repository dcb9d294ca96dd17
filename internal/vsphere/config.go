package vsphere

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"
)

const (
	defaultClonesPerHost  = 4
	defaultClonesPerCloud = 32
	defaultCallTimeout    = 30 * time.Second
)

// Config describes one cloud. Names of inventory objects may be bare names or
// inventory paths; an empty one means the only or first of its kind.
type Config struct {
	Slug     string // the cloud's short name, for logs
	URL      string // https://vcenter.example[:port][/sdk]
	Username string
	Password string `json:"-"`
	// ThumbprintSHA256 pins vCenter's certificate (hexadecimal, colons
	// allowed). Empty: the system's trusted roots decide.
	ThumbprintSHA256 string
	// ExpectInstanceUUID refuses any other vCenter, before signing in.
	ExpectInstanceUUID string

	Datacenter   string
	Folder       string // parent of the orgs' folders
	ResourcePool string // parent of the orgs' pools; a cluster's name will do
	Datastore    string // empty: the one with the most free space
	Network      string // port group for machines that name none; empty: the template's

	// Guard is asked before every dial; nil asks nobody. With one, no proxy is
	// used: what a proxy dials is not seen from here.
	Guard Guard

	ClonesPerHost  int           // at most this many clones at once on one host; 4
	ClonesPerCloud int           // at most this many clones at once by this process; 32
	CallTimeout    time.Duration // for each call; 30 s

	Logger *slog.Logger // nil: silent
}

func (c Config) withDefaults() Config {
	if c.ClonesPerHost <= 0 {
		c.ClonesPerHost = defaultClonesPerHost
	}
	if c.ClonesPerCloud <= 0 {
		c.ClonesPerCloud = defaultClonesPerCloud
	}
	if c.CallTimeout <= 0 {
		c.CallTimeout = defaultCallTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// String leaves the password out, for whoever prints a Config.
func (c Config) String() string {
	return fmt.Sprintf("cloud %s at %s as %s", c.Slug, c.URL, c.Username)
}

// GoString does the same for %#v.
func (c Config) GoString() string { return "vsphere.Config{" + c.String() + "}" }

// LogValue does the same for slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// endpoint is the URL that calls go to, without credentials.
func (c Config) endpoint() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		// url.Error repeats the input, which may hold a password.
		return nil, errors.New("the vCenter URL can't be read")
	}
	if u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the vCenter URL must be https://host")
	}
	u.User = nil
	if u.Path == "" || u.Path == "/" {
		u.Path = "/sdk"
	}
	return u, nil
}
