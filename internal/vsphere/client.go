package vsphere

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/methods"
	"golang.org/x/sync/singleflight"
)

// Client is one cloud. It is safe for concurrent use and made once per cloud
// and process. A changed Config needs a new Client.
type Client struct {
	config  Config
	log     *slog.Logger
	circuit *circuit
	clones  *slots
	hosts   *hostLoad
	flights singleflight.Group

	watchWait time.Duration
	lookUp    func(ctx context.Context, host string) ([]string, error)

	mu           sync.Mutex
	transport    *http.Transport // made with the first connection
	current      *connection     // nil: none yet, or vCenter ended it
	closed       bool
	refusal      error // why the last sign-in was refused
	refusedUntil time.Time
	inventory    inventoryCache
}

// New makes a Client. It does not connect: the first use does, and reports a
// Config that can't work.
func New(cfg Config) *Client {
	cfg = cfg.withDefaults()
	return &Client{
		config:    cfg,
		log:       cfg.Logger.With("cloud", cfg.Slug),
		circuit:   &circuit{now: time.Now},
		clones:    newSlots(cfg.ClonesPerCloud),
		hosts:     newHostLoad(cfg.ClonesPerHost),
		watchWait: watchWait,
		lookUp:    net.DefaultResolver.LookupHost,
		inventory: newInventoryCache(),
	}
}

// Close signs out. Calls made afterwards fail with CodeInterrupted.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	conn, transport := c.current, c.transport
	c.current, c.closed = nil, true
	c.mu.Unlock()
	var err error
	if conn != nil {
		err = conn.signOut(ctx)
	}
	if transport != nil {
		transport.CloseIdleConnections()
	}
	if err != nil {
		return newError(ctx, "sign out", err)
	}
	return nil
}

// About tells which vCenter answers.
type About struct {
	InstanceUUID string
	Name         string // "VMware vCenter Server"
	Version      string // "8.0.3"
	Build        string
	APIVersion   string
}

// About returns the vCenter's identity. It makes a call that needs the
// session, so success means that the cloud can be used.
func (c *Client) About(ctx context.Context) (About, error) {
	var about About
	err := c.do(ctx, "ask vCenter about itself", func(ctx context.Context, conn *connection) error {
		if _, err := methods.GetCurrentTime(ctx, conn.vim); err != nil {
			return err
		}
		a := conn.vim.ServiceContent.About
		about = About{
			InstanceUUID: a.InstanceUuid,
			Name:         a.Name,
			Version:      a.Version,
			Build:        a.Build,
			APIVersion:   a.ApiVersion,
		}
		return nil
	})
	return about, err
}
