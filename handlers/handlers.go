package handlers

import (
	"context"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/console"
	"github.com/millwright/millwright/internal/factory"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/models"
)

// Factory is what the handlers ask of the room that makes and changes
// machines. Everything it does is a Task, accepted at once.
type Factory interface {
	Plan(ctx context.Context, scope *models.Scope, order models.Order) (models.Plan, error)
	Order(ctx context.Context, scope *models.Scope, order models.Order) ([]models.Machine, error)
	Power(ctx context.Context, scope *models.Scope, id models.MachineID, op models.PowerOp) (models.Task, error)
	Delete(ctx context.Context, scope *models.Scope, id models.MachineID, confirm string) (models.Task, error)
	Library(ctx context.Context, scope *models.Scope, id models.MachineID) (factory.Library, error)
	Media(ctx context.Context, scope *models.Scope, id models.MachineID, iso string) (models.Task, error)
	Cancel(ctx context.Context, scope *models.Scope, id models.TaskID) error
	FacadeQuote(ctx context.Context, scope *models.Scope, spec factory.FacadeSpec) (int64, error)
	SetFacade(ctx context.Context, scope *models.Scope, spec factory.FacadeSpec) error
	Retry(ctx context.Context, scope *models.Scope, id models.TaskID) (models.Task, error)
}

// Rooms is what handlers call to change something.
type Rooms struct {
	Factory Factory
	Console *console.Service
	Audit   *audit.Service
	// Connector tests the connections that operators enter.
	Connector Connector
	// Invitations brings people in. Nil: whoever invites is shown the link.
	Invitations *identity.Invitations
	Network     *network.Service
}

// Handlers is every noun's, for the route table.
type Handlers struct {
	frames      frames
	Sessions    *Sessions
	Account     *Account
	Orgs        *Orgs
	Dashboard   *Dashboard
	Catalog     *Catalog
	Machines    *Machines
	Console     *Console
	Consoles    *Consoles
	Tasks       *Tasks
	History     *History
	Provider    *Provider
	Edge        *EdgeAPI
	Edges       *Edges
	Network     *Network
	People      *People
	Invitations *Invitations
}

// Options is what the pages say of the portal itself.
type Options struct {
	Lab          bool // the clouds are simulated
	DemoAccounts []string
	DemoPassword string
	Outbox       bool // mails are shown, not sent
}

// New hands each its dependencies.
func New(system *models.System, service *identity.Service, store *identity.Store, rooms Rooms, o Options) Handlers {
	f := frames{system: system, store: store, lab: o.Lab}
	if rooms.Invitations == nil {
		rooms.Invitations = identity.NewInvitations(service, nil, "", true)
	}
	return Handlers{
		frames:      f,
		Sessions:    &Sessions{frames: f, identity: service, options: o},
		Account:     &Account{frames: f, identity: service},
		Orgs:        &Orgs{frames: f},
		Dashboard:   &Dashboard{frames: f},
		Catalog:     &Catalog{frames: f},
		Machines:    &Machines{frames: f, factory: rooms.Factory},
		Console:     &Console{frames: f, console: rooms.Console},
		Consoles:    &Consoles{frames: f},
		Tasks:       &Tasks{frames: f, factory: rooms.Factory},
		History:     &History{frames: f, audit: rooms.Audit, pace: exportPace},
		Provider:    &Provider{frames: f, connector: rooms.Connector, invitations: rooms.Invitations},
		Edge:        &EdgeAPI{network: rooms.Network},
		Edges:       &Edges{frames: f},
		Network:     &Network{frames: f, network: rooms.Network, factory: rooms.Factory},
		People:      &People{frames: f, invitations: rooms.Invitations, outbox: o.Outbox},
		Invitations: &Invitations{frames: f, invitations: rooms.Invitations},
	}
}
