package vsphere

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
)

const (
	// keepAliveEvery is well inside vCenter's idle limit of 30 minutes.
	keepAliveEvery = 5 * time.Minute
	// refusedFor is how long a refused sign-in is not tried again: vCenter's
	// single sign-on locks an account after five wrong passwords in three
	// minutes, and the account may serve others too.
	refusedFor = time.Minute
	// firstVersion is understood by every vCenter since 6.7. A version newer
	// than the server's own is a fault, so the first call asks with this one.
	firstVersion = "6.7"
	userAgent    = "millwright"
)

// connection is one session with vCenter.
type connection struct {
	vim     *vim25.Client
	manager *session.Manager
	stop    context.CancelFunc // ends the keep-alive
}

// do runs fn with a session. When vCenter says that the session is gone, a
// new one is made and fn runs once more: what was refused for want of a
// session has not been done.
func (c *Client) do(ctx context.Context, op string, fn func(context.Context, *connection) error) error {
	for attempt := 1; ; attempt++ {
		conn, err := c.connection(ctx)
		if err != nil {
			return newError(ctx, op, err)
		}
		err = fn(ctx, conn)
		if err == nil {
			return nil
		}
		failure := newError(ctx, op, err)
		if failure.Code != CodeNotAuthenticated {
			return failure
		}
		c.drop(conn)
		if attempt > 1 {
			return failure
		}
	}
}

// connection returns the session, making one if there is none. However many
// callers ask, one of them signs in.
func (c *Client) connection(ctx context.Context) (*connection, error) {
	c.mu.Lock()
	conn, closed := c.current, c.closed
	c.mu.Unlock()
	if closed {
		return nil, errClosed()
	}
	if conn != nil {
		return conn, nil
	}
	return single(ctx, c, "connection", c.signIn)
}

// single runs fn once for all callers that ask for the same key at the same
// time. fn outlives the caller that started it, so that one impatient caller
// does not fail the others.
func single[T any](ctx context.Context, c *Client, key string, fn func(context.Context) (T, error)) (T, error) {
	results := c.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 2*c.config.CallTimeout, errCallTimeout)
		defer cancel()
		return fn(ctx)
	})
	var none T
	select {
	case result := <-results:
		if result.Err != nil {
			return none, result.Err
		}
		value, ok := result.Val.(T)
		if !ok {
			return none, errors.New("two kinds of value under one key: " + key)
		}
		return value, nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// signIn makes the service session and keeps it alive.
func (c *Client) signIn(ctx context.Context) (*connection, error) {
	c.mu.Lock()
	existing := c.current
	c.mu.Unlock()
	if existing != nil { // made by the flight before this one
		return existing, nil
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	alive, stop := context.WithCancel(context.Background())
	conn.stop = stop
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.current = conn
	}
	c.mu.Unlock()
	if closed {
		_ = conn.signOut(ctx)
		return nil, errClosed()
	}
	go c.keepAlive(alive, conn) //nolint:contextcheck // outlives the call that made it, until stop
	return conn, nil
}

// dial makes a session of its own: the service session, or the watcher's.
func (c *Client) dial(ctx context.Context) (*connection, error) {
	if err := c.mayDial(); err != nil {
		return nil, err
	}
	conn, err := c.login(ctx)
	if err == nil {
		c.log.InfoContext(ctx, "signed in to vCenter", "version", conn.vim.ServiceContent.About.Version)
		return conn, nil
	}
	failure := newError(ctx, "sign in", err)
	if failure.Code == CodeBadCredentials {
		c.mu.Lock()
		c.refusal, c.refusedUntil = failure, time.Now().Add(refusedFor)
		c.mu.Unlock()
	}
	c.log.WarnContext(ctx, "can't sign in to vCenter", "code", string(failure.Code), "reason", failure.Text)
	return nil, failure
}

// mayDial keeps a refused password from being sent again too soon.
func (c *Client) mayDial() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed()
	}
	if c.refusal != nil && time.Now().Before(c.refusedUntil) {
		return c.refusal
	}
	return nil
}

func errClosed() error { return refuse(CodeInterrupted, "the client is closed") }

func (c *Client) login(ctx context.Context) (*connection, error) {
	endpoint, err := c.config.endpoint()
	if err != nil {
		return nil, refuse(CodeInvalidSpec, "%s", err)
	}
	transport, err := c.sharedTransport()
	if err != nil {
		return nil, refuse(CodeInvalidSpec, "%s", err)
	}
	sc := soap.NewClient(endpoint, false)
	sc.Transport = &statusTransport{next: transport}
	// A redirect would take the password to wherever it points.
	sc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	sc.UserAgent = userAgent // otherwise set on first use, a data race
	sc.Namespace = "urn:" + vim25.Namespace
	sc.Version = firstVersion
	vim := &vim25.Client{
		Client:       sc,
		RoundTripper: &caller{next: sc, circuit: c.circuit, timeout: c.config.CallTimeout},
	}
	if vim.ServiceContent, err = methods.GetServiceContent(ctx, vim); err != nil {
		return nil, err
	}
	if err := c.checkIdentity(vim); err != nil {
		return nil, err
	}
	sc.Version = speak(vim.ServiceContent.About.ApiVersion)
	manager := session.NewManager(vim)
	if err := manager.Login(ctx, url.UserPassword(c.config.Username, c.config.Password)); err != nil {
		return nil, err
	}
	return &connection{vim: vim, manager: manager, stop: func() {}}, nil
}

// checkIdentity runs before the password is sent.
func (c *Client) checkIdentity(vim *vim25.Client) error {
	about := vim.ServiceContent.About
	if !vim.IsVC() || vim.ServiceContent.SessionManager == nil {
		return refuse(CodeWrongVCenter, "not a vCenter but %q", about.FullName)
	}
	want := c.config.ExpectInstanceUUID
	if want != "" && !strings.EqualFold(want, about.InstanceUuid) {
		return refuse(CodeWrongVCenter, "vCenter %s answers, expected %s", about.InstanceUuid, want)
	}
	return nil
}

// speak picks the API version: the server's, but none newer than govmomi's
// types.
func speak(server string) string {
	if server == "" || newer(server, vim25.Version) {
		return vim25.Version
	}
	return server
}

// newer compares dotted versions number by number.
func newer(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		an, bn := part(as, i), part(bs, i)
		if an != bn {
			return an > bn
		}
	}
	return false
}

func part(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, err := strconv.Atoi(parts[i])
	if err != nil {
		return 0
	}
	return n
}

func (c *Client) sharedTransport() (*http.Transport, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport == nil {
		transport, err := newTransport(c.config.ThumbprintSHA256, c.config.Guard)
		if err != nil {
			return nil, err
		}
		c.transport = transport
	}
	return c.transport, nil
}

// drop forgets a session that vCenter ended. The next caller makes a new one.
func (c *Client) drop(conn *connection) {
	c.mu.Lock()
	if c.current == conn {
		c.current = nil
	}
	c.mu.Unlock()
	conn.stop()
}

func (c *Client) keepAlive(ctx context.Context, conn *connection) {
	ticker := time.NewTicker(keepAliveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		_, err := methods.GetCurrentTime(ctx, conn.vim)
		if err == nil || ctx.Err() != nil {
			continue
		}
		c.log.WarnContext(ctx, "keeping the session alive failed", "reason", words(err))
		if code, _ := classifyFault(err); code == CodeNotAuthenticated {
			c.drop(conn)
		}
	}
}

// signOut ends the session; what vCenter keeps for it (collectors, views)
// goes with it.
func (conn *connection) signOut(ctx context.Context) error {
	conn.stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	return conn.manager.Logout(ctx)
}
