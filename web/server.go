package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
)

// Deadlines of one connection. Streams and sockets set their own.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	// requestPatience is less than browsers and balancers have.
	requestPatience = 25 * time.Second
	// stopTimeout is how long requests may go on once the portal stops.
	stopTimeout = 10 * time.Second
)

// Options is what the server has to be told.
type Options struct {
	// TrustedProxies are those whose forwarded headers are believed. None:
	// the connection alone says who asks, and how.
	TrustedProxies []netip.Prefix
	// PublicURL is where browsers find the portal (scheme and host), needed
	// where a proxy changes the Host header. "" takes the request's own.
	PublicURL string
	// Certificate makes the portal speak TLS itself. Nil: a balancer does.
	Certificate *Certificate
	// Lab says on every page that the clouds are simulated.
	Lab bool
	// DemoAccounts are offered on the sign-in page, with their password. Only
	// the demo has any.
	DemoAccounts []string
	DemoPassword string
	// Outbox says that mails are shown on a page instead of being sent.
	Outbox bool
	Logger *slog.Logger
}

// Server answers the portal's requests.
type Server struct {
	echo     *echo.Echo
	system   *models.System
	identity *identity.Service
	store    *identity.Store
	handlers handlers.Handlers
	log      *slog.Logger
	origins  *http.CrossOriginProtection
	routes   []route
	signIns  *perSource
	streams  *perSource

	certificate *Certificate

	// patience is how long a request may take before its user is told that
	// something that it needs does not answer.
	patience time.Duration

	// recheck is how soon a stream ends after its session or membership.
	recheck time.Duration

	// stopping closes when the server begins to stop: streams watch it, or they
	// would hold the stop up. Ordinary requests may finish.
	stopping chan struct{}
	stop     func()
}

// New makes the server. rooms are what the handlers work with.
func New(o Options, system *models.System, service *identity.Service, rooms handlers.Rooms) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor, e.SchemeExtractor = clientAddress(o.TrustedProxies), clientScheme(o.TrustedProxies)
	s := &Server{
		echo: e, system: system, identity: service, log: o.Logger,
		origins: http.NewCrossOriginProtection(),
		signIns: newPerSource(signInsPerSource), streams: newPerSource(streamsPerSession),
		certificate: o.Certificate,
		patience:    requestPatience, recheck: recheckEvery, stopping: make(chan struct{}),
	}
	s.stop = sync.OnceFunc(func() { close(s.stopping) })
	public, err := o.publicOrigin()
	if err != nil {
		return nil, err
	}
	if public != "" {
		if err := s.origins.AddTrustedOrigin(public); err != nil {
			return nil, fmt.Errorf("public URL: %w", err)
		}
	}
	s.store = identity.NewStore(service, o.byTLS())
	e.HTTPErrorHandler = s.fail
	e.Use(s.logged, s.secured, s.recovered, s.timely, s.bounded, s.sameOrigin, s.cleanText)
	s.handlers = handlers.New(system, service, s.store, rooms, handlers.Options{
		Lab: o.Lab, DemoAccounts: o.DemoAccounts, DemoPassword: o.DemoPassword, Outbox: o.Outbox,
	})
	s.mount(s.handlers)
	return s, nil
}

// Handler is the whole portal as one http.Handler.
func (s *Server) Handler() http.Handler { return s.echo }

// listening is the server that a listener gets: nobody holds a connection by
// sending slowly, or by sending nothing.
func (s *Server) listening() *http.Server {
	return &http.Server{
		Handler:           s.echo,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// Serve answers on the listener until ctx ends, then lets what is under way
// finish. Streams end at once.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := s.listening()
	server.RegisterOnShutdown(s.stop)
	ended := make(chan error, 1)
	if s.certificate == nil {
		go func() { ended <- server.Serve(listener) }()
	} else {
		server.TLSConfig = s.certificate.config()
		go func() { ended <- server.ServeTLS(listener, "", "") }()
	}
	select {
	case err := <-ended:
		s.stop()
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := server.Shutdown(graceful)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if err != nil {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}
