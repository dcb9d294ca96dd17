package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/console"
	"github.com/millwright/millwright/internal/factory"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// portal is the whole portal without workers and without a vCenter: orders are
// accepted and stay queued.
type portal struct {
	*testkit.World
	server   *Server
	factory  *factory.Factory
	network  *network.Service
	t        testing.TB
	identity *identity.Service
	audit    *audit.Service
	edges    int // things made on network edges
}

func newPortal(t testing.TB, db *models.DB) *portal {
	t.Helper()
	return newPortalWith(t, db, Options{})
}

func newPortalWith(t testing.TB, db *models.DB, o Options) *portal {
	t.Helper()
	return newPortalGuarded(t, db, o, vsphere.PublicGuard(true))
}

// newPortalGuarded asks guard before it connects to a cloud.
func newPortalGuarded(t testing.TB, db *models.DB, o Options, guard vsphere.Guard) *portal {
	t.Helper()
	w := testkit.NewWorld(t, db)
	queue, err := jobs.New(db, jobs.Options{NodeID: "test", Logger: testkit.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	machines := factory.New(w.System, queue, factory.NewClouds(), factory.Options{Logger: testkit.Quiet()})
	screens := console.New(w.System, console.Clients(func(models.CloudID) *vsphere.Client { return nil }),
		console.Options{Node: "test", Origins: o.Origins()})
	edges := network.New(w.System, network.Options{ServicePricePerHourMicros: 6000, Quarantine: time.Hour, Logger: testkit.Quiet()})
	if o.Logger == nil {
		o.Logger = testkit.Quiet()
	}
	o.Outbox = true
	people := identity.New(w.System, 2)
	histories := audit.New(w.System, audit.Options{Logger: testkit.Quiet()})
	s, err := New(o, w.System, people, handlers.Rooms{Factory: machines, Console: screens,
		Connector: factory.NewConnector(guard),
		Audit:     histories,
		Network:   edges})
	if err != nil {
		t.Fatal(err)
	}
	return &portal{World: w, server: s, factory: machines, network: edges, identity: people, audit: histories, t: t}
}

// browser sends requests with a session's cookie, as a browser's own pages do.
type browser struct {
	p     *portal
	token string
	who   models.SignedIn
}

func (p *portal) anonymous() *browser { return &browser{p: p} }

// as makes a live session for the account.
func (p *portal) as(email string) *browser { return p.lastSeen(email, models.Now()) }

// lastSeen makes one that was last used then.
func (p *portal) lastSeen(email string, then time.Time) *browser {
	p.t.Helper()
	return p.lastSeenOf(p.User(email), then)
}

func (p *portal) lastSeenOf(u models.User, then time.Time) *browser {
	p.t.Helper()
	token := models.NewID[string]() + "-cookie"
	sum := sha256.Sum256([]byte(token))
	who := models.SignedIn{User: u, Session: models.Session{
		ID: models.NewID[models.SessionID](), TokenHash: hex.EncodeToString(sum[:]), UserID: u.ID,
		CreatedAt: models.Now(), LastSeenAt: then, ExpiresAt: models.Now().AddDate(0, 0, 1),
	}}
	who.Actor = models.Actor{Kind: models.ActorUser, ID: string(u.ID), Name: u.Name, SessionID: who.Session.ID}
	if err := p.System.AddSession(context.Background(), who.Session, who.Actor); err != nil {
		p.t.Fatal(err)
	}
	return &browser{p: p, token: token, who: who}
}

func (b *browser) request(method, path string, form url.Values, header ...string) *http.Request {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, path, body)
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if method == http.MethodPost {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if b.token != "" {
		r.AddCookie(&http.Cookie{Name: "millwright", Value: b.token})
	}
	return r
}

// body sends text as it is, whatever it says that it is.
func (b *browser) body(method, path, text, contentType string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(text))
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

func (b *browser) send(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.p.server.Handler().ServeHTTP(w, r)
	return w
}

func (b *browser) get(path string, header ...string) *httptest.ResponseRecorder {
	return b.send(b.request(http.MethodGet, path, nil, header...))
}

func (b *browser) post(path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	if form == nil {
		form = url.Values{}
	}
	return b.send(b.request(http.MethodPost, path, form, header...))
}

// order places an order as acme's user and returns the machine's id.
func (p *portal) order(name string) models.MachineID {
	p.t.Helper()
	made, err := p.factory.Order(context.Background(), p.Scope(p.t, "user@acme.example", "acme"),
		models.Order{Name: name, Template: p.Template.Slug, InstanceType: p.Small.Slug})
	if err != nil {
		p.t.Fatal(err)
	}
	return made[0].ID
}

// activeTask is the id of the machine's one active task.
func (p *portal) activeTask(id models.MachineID) models.TaskID {
	p.t.Helper()
	var m models.MachineRow
	err := p.System.Look(context.Background(), p.Acme.ID, func(r *models.Reader) error {
		var err error
		m, err = r.Machine(id)
		return err
	})
	if err != nil || m.TaskID == "" {
		p.t.Fatalf("no active task: %v", err)
	}
	return m.TaskID
}

func (p *portal) events(f models.EventFilter) []models.AuditEvent {
	p.t.Helper()
	var rows []models.AuditEvent
	err := p.System.Look(context.Background(), p.Acme.ID, func(r *models.Reader) error {
		for {
			page, err := r.Events(f)
			rows = append(rows, page.Rows...)
			if f.Page.After = page.Next; err != nil || page.Next == "" {
				return err
			}
		}
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return rows
}
