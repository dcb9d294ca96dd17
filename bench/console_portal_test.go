package bench

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/console"
	"github.com/millwright/millwright/internal/factory"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/web"
)

// portalOptions is what the portal's process is told.
type portalOptions struct {
	Database string          `json:"database"`
	Screen   screenAddresses `json:"screen"`
	TLS      bool            `json:"tls"` // on both sides
}

// playPortal is a whole portal on one database, whose machines' screens are
// the synthetic one.
func playPortal(ctx context.Context, options json.RawMessage) (any, error) {
	var o portalOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	db, err := models.Open(ctx, models.Options{URL: o.Database, Key: testkit.Key, Logger: testkit.Quiet()})
	if err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	scheme := "http"
	if o.TLS {
		scheme = "https"
	}
	origin := scheme + "://" + l.Addr().String()
	queue, err := jobs.New(db, jobs.Options{NodeID: "bench", Logger: testkit.Quiet()})
	if err != nil {
		return nil, err
	}
	system := db.System()
	settings := web.Options{PublicURL: origin, Logger: testkit.Quiet()}
	screens := console.New(system, synthetic(o), consoleOptions(o, settings))
	server, err := web.New(settings, system, identity.New(system, 2), handlers.Rooms{
		Factory: factory.New(system, queue, factory.NewClouds(), factory.Options{Logger: testkit.Quiet()}),
		Console: screens, Audit: audit.New(system, audit.Options{Logger: testkit.Quiet()})})
	if err != nil {
		return nil, err
	}
	go func() { _ = screens.Run(ctx) }()
	if o.TLS {
		certificate, err := newCertificate()
		if err != nil {
			return nil, err
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	}
	go func() { _ = server.Serve(ctx, l) }()
	return origin, nil
}

// consoleOptions lifts the caps: one user opens thousands here.
func consoleOptions(o portalOptions, settings web.Options) console.Options {
	const lots = 1_000_000
	with := console.Options{Node: "bench", Origins: settings.Origins(), Logger: testkit.Quiet(), Limits: console.Limits{
		Open:             models.ConsoleLimits{User: lots, Machine: lots, Host: lots},
		TicketsPerMinute: console.Rates{User: lots, Machine: lots, Org: lots, Host: lots}, DialsPerHost: 64}}
	if !o.TLS {
		// Plain, to be compared with what speaks plainly: never in production.
		with.Dial = func(ctx context.Context, _ vsphere.Screen) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", o.Screen.WebSocket)
		}
	}
	return with
}

// synthetic stands in for vCenter.
type synthetic portalOptions

func (s synthetic) AcquireScreen(context.Context, models.CloudID, string) (vsphere.Screen, error) {
	if !s.TLS {
		return vsphere.Screen{URL: "ws://" + s.Screen.WebSocket + "/"}, nil
	}
	return vsphere.Screen{URL: "wss://" + s.Screen.SecureWebSocket + "/", ThumbprintsSHA256: []string{s.Screen.Thumbprint}}, nil
}

// consoleSite is a portal's process, and somebody signed in there.
type consoleSite struct {
	origin string
	cmd    *exec.Cmd
	client *http.Client
	cookie string

	tickets []string // where tickets are asked for, of one machine each
	turn    atomic.Int64
}

// consoleMachines is over how many machines consoles are spread.
const consoleMachines = 100

var loopbackTLS = &tls.Config{InsecureSkipVerify: true}

func newConsoleSite(b *testing.B, screen screenAddresses, secure bool) *consoleSite {
	b.Helper()
	url := testkit.SQLiteURL(b)
	db := testkit.Open(b, url)
	w := testkit.NewWorld(b, db)
	limits := testkit.RoomyLimits
	limits[models.ResourceConsoles] = 100_000
	if _, err := w.System.PutOrg(context.Background(), "acme", "Acme", limits); err != nil {
		b.Fatal(err)
	}
	hash, err := identity.HashPassword(testkit.SitePassword)
	if err != nil {
		b.Fatal(err)
	}
	if err := w.System.SetPassword(context.Background(), w.User("user@acme.example").ID, hash); err != nil {
		b.Fatal(err)
	}
	var machines []models.Machine
	for i := range consoleMachines {
		machines = append(machines, w.Machine(b, fmt.Sprintf("bench-%d", i+1)))
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	s := &consoleSite{}
	s.cmd = play(b, "portal", portalOptions{Database: url, Screen: screen, TLS: secure}, &s.origin)
	s.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: loopbackTLS, MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, m := range machines {
		s.tickets = append(s.tickets, s.origin+"/orgs/acme/machines/"+string(m.ID)+"/console/ticket")
	}
	s.signIn(b)
	return s
}

func (s *consoleSite) post(address, cookie string, form url.Values) (*http.Response, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", s.origin)
	r.Header.Set("Accept", "application/json")
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	return s.client.Do(r)
}

func (s *consoleSite) signIn(b *testing.B) {
	b.Helper()
	answer, err := s.post(s.origin+"/sign-in", "", url.Values{"email": {"user@acme.example"}, "password": {testkit.SitePassword}})
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther {
		b.Fatalf("sign in: %s", answer.Status)
	}
	for _, c := range answer.Cookies() {
		s.cookie = c.Name + "=" + c.Value
	}
}

// open opens a console as the page does, and takes the screen's greeting.
func (s *consoleSite) open() (*stream, error) {
	turn := int(s.turn.Add(1)) % len(s.tickets)
	answer, err := s.post(s.tickets[turn], s.cookie, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var ticket struct {
		Ticket string `json:"ticket"`
		URL    string `json:"url"`
	}
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		return nil, &refusedError{answer.Status + ": " + string(text)}
	}
	if err := json.NewDecoder(answer.Body).Decode(&ticket); err != nil {
		return nil, err
	}
	return openSocket(ticket.URL, http.Header{"Cookie": {s.cookie}, "Origin": {s.origin}}, "binary, ticket."+ticket.Ticket)
}

type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }
