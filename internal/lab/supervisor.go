package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// StartOptions say how the demo's lab is run.
type StartOptions struct {
	// Dir gets one folder per cloud.
	Dir string
	// Executable is run with "lab-vcenter" and flags; empty means this one.
	Executable string
	// Args replace "lab-vcenter" in tests.
	Args []string
	// CloneDelay, GuestBootDelay and Seed are passed on; Seed is by cloud.
	CloneDelay     time.Duration
	GuestBootDelay time.Duration
	Seed           map[string]string
	// InProcess runs the vCenters inside this process. For tests without the
	// race detector: a panic of the simulator is a panic of the test.
	InProcess bool
	// Logger hears of crashes and restarts; nil means slog.Default.
	Logger *slog.Logger
	// Stderr gets what the children log; nil means this process's.
	Stderr io.Writer
}

// Cloud is one simulated vCenter as the portal has to know it.
type Cloud struct {
	Slug             string
	Name             string
	Class            string // public or private
	PriceFactor      float64
	URL              string
	Username         string
	Password         string
	ThumbprintSHA256 string
	InstanceUUID     string
	Datacenter       string // inventory paths
	Folder           string
	ResourcePool     string
	Datastore        string
	Network          string
}

// cloudPlan is what makes a cloud of the demo what it is.
type cloudPlan struct {
	slug, name, class string
	priceFactor       float64
	hosts             int
}

func cloudPlans() []cloudPlan {
	return []cloudPlan{
		{CloudPublic, "Northwind Public", "public", 1.0, 8},
		{CloudPrivate, "Northwind Private", "private", 1.4, 4},
	}
}

// Lab is the demo's two clouds, kept running until Close.
type Lab struct {
	cancel   context.CancelFunc
	children []*child
}

// readyTimeout is how long a vCenter may take to come up; thousands of
// machines take seconds.
const readyTimeout = time.Minute

// Start runs both clouds and returns when both serve.
func Start(ctx context.Context, o StartOptions) (*Lab, error) {
	if o.Executable == "" && !o.InProcess {
		exe, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("lab: find own executable: %w", err)
		}
		o.Executable = exe
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if len(o.Args) == 0 {
		o.Args = []string{"lab-vcenter"}
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &Lab{cancel: cancel}
	for _, p := range cloudPlans() {
		c := &child{plan: p, options: o, ready: make(chan error, 1), ended: make(chan struct{})}
		l.children = append(l.children, c)
		go c.keep(ctx)
	}
	var err error
	for _, c := range l.children {
		select {
		case e := <-c.ready:
			err = errors.Join(err, e)
		case <-time.After(readyTimeout):
			err = errors.Join(err, fmt.Errorf("lab: cloud %s is not ready after %s", c.plan.slug, readyTimeout))
		}
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Close ends the clouds and waits for them.
func (l *Lab) Close() {
	l.cancel()
	for _, c := range l.children {
		<-c.ended
	}
}

// Clouds describes what runs. Addresses and credentials stay the same when a
// cloud crashes and is started again.
func (l *Lab) Clouds() []Cloud {
	list := make([]Cloud, 0, len(l.children))
	for _, c := range l.children {
		info := c.current()
		list = append(list, Cloud{
			Slug: c.plan.slug, Name: c.plan.name, Class: c.plan.class, PriceFactor: c.plan.priceFactor,
			URL: info.URL, Username: info.Username, Password: info.Password,
			ThumbprintSHA256: info.ThumbprintSHA256, InstanceUUID: info.InstanceUUID,
			Datacenter: PathDatacenter, Folder: PathFolder, ResourcePool: PathPool, Datastore: PathDatastore, Network: PathNetwork,
		})
	}
	return list
}

// child is one supervised vCenter.
type child struct {
	plan    cloudPlan
	options StartOptions
	ready   chan error // the first start's outcome
	ended   chan struct{}

	mu   sync.Mutex
	info Info
}

func (c *child) current() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// steadyAfter is how long a vCenter must have run for its next crash to
	// be taken as a new one.
	steadyAfter = 30 * time.Second
)

// keep starts the vCenter again whenever it ends by itself.
func (c *child) keep(ctx context.Context) {
	defer close(c.ended)
	announced := false
	announce := func(err error) {
		if !announced {
			announced = true
			c.ready <- err
		}
	}
	backoff := firstBackoff
	for {
		began := time.Now()
		err := c.run(ctx, func(i Info) {
			c.mu.Lock()
			c.info = i
			c.mu.Unlock()
			announce(nil)
		})
		if ctx.Err() != nil {
			announce(context.Cause(ctx))
			return
		}
		if !announced {
			announce(fmt.Errorf("lab: start cloud %s: %w", c.plan.slug, err))
			return
		}
		if time.Since(began) > steadyAfter {
			backoff = firstBackoff
		}
		c.options.Logger.Warn("simulated vCenter ended, starting it again", "cloud", c.plan.slug, "error", err, "in", backoff)
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

func (c *child) vcenterOptions() VCenterOptions {
	o := VCenterOptions{
		Dir: filepath.Join(c.options.Dir, c.plan.slug), Name: c.plan.slug, Addr: "127.0.0.1:0", Hosts: c.plan.hosts,
		CloneDelay: c.options.CloneDelay, GuestBootDelay: c.options.GuestBootDelay, Seed: c.options.Seed[c.plan.slug],
	}
	// The portal knows the address by now: the same one, or none.
	if u, err := url.Parse(c.current().URL); err == nil && u.Host != "" {
		o.Addr = u.Host
	}
	return o
}

// run is one life of the vCenter.
func (c *child) run(ctx context.Context, ready func(Info)) error {
	o := c.vcenterOptions()
	if c.options.InProcess {
		v, err := NewVCenter(o)
		if err != nil {
			return err
		}
		ready(v.Info())
		<-ctx.Done()
		return v.Close()
	}
	args := append([]string(nil), c.options.Args...)
	args = append(args,
		"--dir", o.Dir, "--name", o.Name, "--addr", o.Addr, "--hosts", strconv.Itoa(o.Hosts),
		"--clone-delay", o.CloneDelay.String(), "--guest-boot-delay", o.GuestBootDelay.String(), "--end-with-stdin")
	if o.Seed != "" {
		args = append(args, "--seed", o.Seed)
	}
	cmd := exec.CommandContext(ctx, c.options.Executable, args...)
	cmd.Stderr = c.options.Stderr
	cmd.Env = outsideEnforcement(os.Environ())
	cmd.SysProcAttr = apart()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	// The end of its standard input asks it to end; it is killed only if it
	// doesn't.
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = 5 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	lines := bufio.NewScanner(stdout)
	if lines.Scan() {
		var info Info
		if err := json.Unmarshal(lines.Bytes(), &info); err == nil {
			ready(info)
		}
	}
	_, _ = io.Copy(io.Discard, stdout)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("vCenter process: %w", err)
	}
	return errors.New("vCenter process ended")
}

// outsideEnforcement lets a simulated vCenter be what a real one is: somebody
// else's machine, which the portal's own strictness about cryptography does not
// reach. It speaks approved algorithms all the same.
func outsideEnforcement(env []string) []string {
	list := make([]string, 0, len(env))
	for _, e := range env {
		if strings.HasPrefix(e, "GODEBUG=") {
			e = strings.ReplaceAll(e, "fips140=only", "fips140=on")
		}
		list = append(list, e)
	}
	return list
}
