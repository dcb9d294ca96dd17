package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/config"
	"github.com/millwright/millwright/internal/console"
	"github.com/millwright/millwright/internal/factory"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/static"
	"github.com/millwright/millwright/web"
)

type serveCommand struct {
	database
	Config string `help:"Configuration file." required:"" type:"existingfile" env:"MILLWRIGHT_CONFIG"`
}

func (s serveCommand) Run(ctx context.Context, log *slog.Logger) error {
	c, err := config.Read(s.Config)
	if err != nil {
		return err
	}
	sealingKey, err := key(c.Portal.KeyFile)
	if err != nil {
		return err
	}
	if models.KindOf(s.Database) == models.SQLite { // one node, one file: nobody else migrates it
		if err := s.migrate(ctx); err != nil {
			return err
		}
	}
	return servePortal(ctx, log, portalOptions{config: c, database: s.database, key: sealingKey})
}

// portalOptions is what differs between the demo and the real thing.
type portalOptions struct {
	config   config.Config
	database database
	key      []byte
	lab      bool // the clouds are simulated, and the pages say so
	// The demo's sign-in page offers its accounts.
	demoAccounts []string
	demoPassword string
	// The lab's gateway, in this process: where guests listen, and its folder.
	guests     *lab.Guests
	gatewayDir string
	oneAddress bool // public IPs are ports of 127.0.0.1
	prepare    func(context.Context, *models.System, applied) error
	ready      func()
}

// hashesAtOnce bounds sign-ins under way: each takes 64 MiB.
const hashesAtOnce = 4

// stopPatience is how long consoles and workers have to end by themselves.
const stopPatience = 10 * time.Second

// servePortal builds every part once, serves until ctx ends, and stops them in
// the reverse order of what they need.
func servePortal(ctx context.Context, log *slog.Logger, o portalOptions) error {
	if err := static.Missing(); err != nil {
		return err
	}
	db, err := models.Open(ctx, models.Options{URL: o.database.Database, Key: o.key, Logger: log})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	system := db.System()
	if err := configure(ctx, system, o); err != nil {
		return err
	}

	clouds, connect := factory.NewClouds(), o.connect(log)
	if err := clouds.Sync(ctx, system, connect); err != nil {
		return err
	}
	defer closeClouds(ctx, clouds)
	queue, err := jobs.New(db, jobs.Options{NodeID: o.config.Portal.Node, MaxWorkers: o.config.Portal.Workers, Logger: log})
	if err != nil {
		return err
	}
	machines := factory.New(system, queue, clouds, factory.Options{Logger: log})
	reached, err := o.webOptions(log)
	if err != nil {
		return err
	}
	screens := console.New(system, console.Clients(func(id models.CloudID) *vsphere.Client {
		client, _ := clouds.Client(id)
		return client
	}), o.consoleOptions(reached, log))
	histories, err := o.histories(system, log)
	if err != nil {
		return err
	}
	edges := o.networks(system, log)
	if err := edges.Prepare(ctx); err != nil {
		return err
	}
	behind, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	carry := func() {}
	if o.guests != nil { // before orgs are given their place on a gateway
		if carry, err = labGateway(behind, system, edges, o.guests, o.gatewayDir, o.oneAddress, log); err != nil {
			return err
		}
	}
	if err := edges.Settle(ctx); err != nil { // what a first start needs at once; Run goes on with it
		log.Warn("the network could not be looked after yet", "error", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.config.Portal.Listen)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	people := identity.New(system, hashesAtOnce)
	if err := o.singleSignOn(ctx, people, system, log); err != nil {
		return err
	}
	server, err := web.New(reached, system, people, handlers.Rooms{
		Factory: machines, Console: screens, Audit: histories, Network: edges, Connector: factory.NewConnector(o.guard()),
		Invitations: o.invitations(people, system, queue, o.base(listener), log),
	})
	if err != nil {
		return err
	}

	// What runs beside the server ends after it: a request may still need it.
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	if err := queue.Start(behind); err != nil {
		return err
	}
	running.Go(func() { db.Listen(behind) })
	running.Go(func() { machines.Run(behind) })
	running.Go(func() { machines.Follow(behind, connect) })
	running.Go(func() { beat(behind, system, log, o.node(listener.Addr())) })
	running.Go(func() { _ = screens.Run(behind) })
	running.Go(func() { histories.Run(behind) })
	running.Go(func() { edges.Run(behind) })
	running.Go(carry)

	scheme := "http"
	if reached.Certificate != nil {
		scheme = "https"
	}
	fmt.Printf("ready %s://%s\n", scheme, listener.Addr())
	if o.ready != nil {
		o.ready()
	}
	// Consoles are told to come back elsewhere while pages still finish.
	serving, ended := context.WithCancel(ctx)
	defer ended()
	drained := make(chan error, 1)
	go func() {
		<-serving.Done()
		patience, cancel := context.WithTimeout(behind, stopPatience)
		defer cancel()
		drained <- screens.Drain(patience)
	}()
	err = server.Serve(ctx, listener)
	ended()
	if drainErr := <-drained; drainErr != nil {
		log.Warn("consoles did not end in time", "error", drainErr)
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	if stopErr := queue.Stop(patience); stopErr != nil {
		log.Warn("workers did not end in time; their tasks go on at the next start", "error", stopErr)
	}
	machines.Close()
	return err
}

// configure brings the records in line with the configuration. Nodes that
// start together take turns, or they would make the same records at once.
func configure(ctx context.Context, system *models.System, o portalOptions) error {
	return system.Exclusively(ctx, "configuration", func(ctx context.Context) error {
		made, err := apply(ctx, system, o.config)
		if err != nil {
			return fmt.Errorf("apply the configuration (is the database migrated?): %w", err)
		}
		if o.prepare == nil {
			return nil
		}
		return o.prepare(ctx, system, made)
	})
}

// connect makes a cloud's client. It doesn't dial yet: a cloud that is away must
// not keep the portal from starting. What operators entered is held to the
// addresses that a cloud may have; the file is its writer's own responsibility.
func (o portalOptions) connect(log *slog.Logger) factory.Connect {
	return func(l models.CloudLogin) *vsphere.Client {
		c := vsphere.Config{
			Slug: l.Slug, URL: l.URL, Username: l.Username, Password: l.Password,
			ThumbprintSHA256: l.ThumbprintSHA256, ExpectInstanceUUID: l.InstanceUUID,
			Datacenter: l.Datacenter, Folder: l.Folder, ResourcePool: l.ResourcePool, Datastore: l.Datastore,
			Logger: log,
		}
		if l.ManagedBy == models.ManagedByPortal {
			c.Guard = o.guard()
		}
		return vsphere.New(c)
	}
}

// guard says which addresses a cloud that an operator enters may have.
func (o portalOptions) guard() vsphere.Guard { return vsphere.PublicGuard(o.lab) }

func closeClouds(ctx context.Context, clouds *factory.Clouds) {
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	clouds.Close(patience)
}

// webOptions says how the portal is reached.
func (o portalOptions) webOptions(log *slog.Logger) (web.Options, error) {
	w := web.Options{PublicURL: o.config.Portal.PublicURL, Lab: o.lab, DemoAccounts: o.demoAccounts, DemoPassword: o.demoPassword, Outbox: o.lab, Logger: log}
	for _, text := range o.config.Portal.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return w, err
		}
		w.TrustedProxies = append(w.TrustedProxies, prefix)
	}
	if files := o.config.Portal.TLS; files.CertFile != "" {
		var err error
		if w.Certificate, err = web.ReadCertificate(files.CertFile, files.KeyFile, log); err != nil {
			return w, err
		}
	}
	return w, nil
}

func (o portalOptions) consoleOptions(reached web.Options, log *slog.Logger) console.Options {
	c := o.config.Console
	return console.Options{
		Node: o.config.Portal.Node, Origins: reached.Origins(), TTLSeconds: c.TicketSeconds, Logger: log,
		// A cloud of the configuration may be on this machine: who wrote it rules here.
		Guard: vsphere.PublicGuard(o.lab || len(o.config.Clouds) > 0),
		Limits: console.Limits{
			Open: models.ConsoleLimits{User: c.OpenPerUser, Machine: c.OpenPerMachine, Host: c.OpenPerHost},
			TicketsPerMinute: console.Rates{
				User: c.TicketsPerMinutePerUser, Machine: c.TicketsPerMinutePerMachine,
				Org: c.TicketsPerMinutePerOrg, Host: c.TicketsPerMinutePerHost,
			},
			DialsPerHost: c.DialsPerHost,
		},
	}
}

// histories makes the room that seals and signs, with the key if there is one.
func (o portalOptions) histories(system *models.System, log *slog.Logger) (*audit.Service, error) {
	with := audit.Options{Logger: log}
	if o.config.Portal.CheckpointKeyFile == "" {
		log.Warn("the history is not signed: portal.checkpoint_key_file is not set")
		return audit.New(system, with), nil
	}
	var err error
	if with.Key, err = audit.ReadKey(o.config.Portal.CheckpointKeyFile); err != nil {
		return nil, fmt.Errorf("checkpoint key: %w", err)
	}
	if with.Former, err = publicKeys(o.config.Portal.FormerCheckpointKeys); err != nil {
		return nil, fmt.Errorf("portal.former_checkpoint_keys: %w", err)
	}
	if with.Outside, err = audit.OpenOutside(o.config.Portal.CheckpointFile); err != nil {
		return nil, err
	}
	if h := o.config.History; h.ArchiveDir != "" {
		with.Archiving = &audit.Archiving{OlderThan: time.Duration(h.ArchiveAfterDays) * 24 * time.Hour, Dir: h.ArchiveDir}
	}
	return audit.New(system, with), nil
}
