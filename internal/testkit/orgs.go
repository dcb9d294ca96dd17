package testkit

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/millwright/millwright/models"
)

// World is a portal's worth of records: two orgs, their people, two clouds, a
// menu and a catalog. Passwords are not set: sign in with SignedIn.
type World struct {
	DB            *models.DB
	System        *models.System
	Acme, Globex  models.Org
	Public        models.Cloud
	Private       models.Cloud
	Template      models.Template // in both clouds
	Small, Large  models.InstanceType
	AcmeNetworks  map[models.CloudID]models.Network
	GlobexNetwork models.Network // in Public
	users         map[string]models.User
}

// RoomyLimits is a quota that no test runs into.
var RoomyLimits = models.Limits{
	models.ResourceMachines: 1000, models.ResourceVCPUs: 4000, models.ResourceMemory: 16 << 20,
	models.ResourceStorage: 1 << 20, models.ResourcePublicIPs: 10, models.ResourceTasks: 1000, models.ResourceConsoles: 50,
}

// NewWorld fills an empty database.
func NewWorld(t testing.TB, db *models.DB) *World {
	t.Helper()
	ctx := context.Background()
	w := &World{DB: db, System: db.System(), users: map[string]models.User{}, AcmeNetworks: map[models.CloudID]models.Network{}}
	var err error
	must := func(e error) {
		t.Helper()
		if e != nil {
			t.Fatal(e)
		}
	}
	w.Acme, err = w.System.PutOrg(ctx, "acme", "Acme", RoomyLimits)
	must(err)
	w.Globex, err = w.System.PutOrg(ctx, "globex", "Globex", RoomyLimits)
	must(err)
	for _, email := range []string{"admin@acme.example", "user@acme.example", "auditor@acme.example", "admin@globex.example", "user@globex.example", "operator@provider.example"} {
		name, domain, _ := strings.Cut(email, "@")
		u := models.User{Email: email, Name: strings.ToUpper(name[:1]) + name[1:] + " of " + strings.TrimSuffix(domain, ".example")}
		if name == "operator" {
			u.ProviderRole = models.RoleOperator
		}
		u, err = w.System.PutUser(ctx, u)
		must(err)
		w.users[email] = u
		switch domain {
		case "acme.example":
			must(w.System.PutMember(ctx, w.Acme.ID, u.ID, models.Role(name)))
		case "globex.example":
			must(w.System.PutMember(ctx, w.Globex.ID, u.ID, models.Role(name)))
		}
	}
	cloud := func(slug string, class models.CloudClass, factor int) models.Cloud {
		c, err := w.System.PutCloud(ctx, models.CloudLogin{Username: "portal", Password: "secret", Cloud: models.Cloud{
			Slug: slug, Name: strings.ToUpper(slug[:1]) + slug[1:], Class: class, PriceFactorPercent: factor, URL: "https://127.0.0.1:1/sdk"}})
		must(err)
		must(w.System.SetCloudHealth(ctx, c.ID, models.CloudHealth{Status: models.CloudConnected,
			Hosts: 4, FreeVCPUs: 256, FreeMemoryMiB: 1 << 20, FreeStorageGiB: 1 << 16}))
		return c
	}
	w.Public, w.Private = cloud("public", models.CloudPublic, 100), cloud("private", models.CloudPrivate, 120)
	for i, c := range []models.Cloud{w.Public, w.Private} {
		w.AcmeNetworks[c.ID], err = w.System.PutNetwork(ctx, models.Network{OrgID: w.Acme.ID, CloudID: c.ID, Name: "default",
			CIDR: fmt.Sprintf("10.%d.0.0/16", 20+i), Gateway: fmt.Sprintf("10.%d.0.1", 20+i), IsDefault: true})
		must(err)
	}
	w.GlobexNetwork, err = w.System.PutNetwork(ctx, models.Network{OrgID: w.Globex.ID, CloudID: w.Public.ID, Name: "default",
		CIDR: "10.20.0.0/16", Gateway: "10.20.0.1", IsDefault: true})
	must(err)
	w.Template, err = w.System.PutTemplate(ctx, models.Template{Slug: "debian-13", Name: "Debian 13", OS: "Debian GNU/Linux 13", Icon: "debian",
		Version: "1.0", Description: "A small, plain server.", MinVCPUs: 1, MinMemoryMiB: 512, MinDiskGiB: 8},
		map[models.CloudID]string{w.Public.ID: string(models.NewID[models.TemplateID]()), w.Private.ID: string(models.NewID[models.TemplateID]())})
	must(err)
	w.Small, err = w.System.PutInstanceType(ctx, models.InstanceType{Slug: "small", Name: "Small", VCPUs: 1, MemoryMiB: 1024, DiskGiB: 16, PricePerHourMicros: 12_000, Position: 1})
	must(err)
	w.Large, err = w.System.PutInstanceType(ctx, models.InstanceType{Slug: "large", Name: "Large", VCPUs: 4, MemoryMiB: 8192, DiskGiB: 64, PricePerHourMicros: 96_000, Position: 2})
	must(err)
	return w
}

// User returns one of the accounts by address.
func (w *World) User(email string) models.User { return w.users[email] }

// SignedIn makes a live session for the account.
func (w *World) SignedIn(t testing.TB, email string) models.SignedIn {
	t.Helper()
	u := w.users[email]
	who := models.SignedIn{User: u, Session: models.Session{
		ID: models.NewID[models.SessionID](), TokenHash: models.NewID[string](), UserID: u.ID,
		CreatedAt: models.Now(), LastSeenAt: models.Now(), ExpiresAt: models.Now().AddDate(0, 0, 1),
	}}
	who.Actor = models.Actor{Kind: models.ActorUser, ID: string(u.ID), Name: u.Name, SessionID: who.Session.ID, Source: "192.0.2.1"}
	if err := w.System.AddSession(context.Background(), who.Session, who.Actor); err != nil {
		t.Fatal(err)
	}
	return who
}

// Scope is the account's way into an org.
func (w *World) Scope(t testing.TB, email, org string) *models.Scope {
	t.Helper()
	s, err := w.System.Scope(context.Background(), w.SignedIn(t, email), org)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Machine stores a running machine of Acme's user in Public, quota taken,
// without any vCenter behind it.
func (w *World) Machine(t testing.TB, name string) models.Machine {
	return w.MachineOf(t, "acme", name)
}

// MachineOf stores such a machine of the named org's user.
func (w *World) MachineOf(t testing.TB, org, name string) models.Machine {
	t.Helper()
	scope := w.Scope(t, "user@"+org+".example", org)
	network := w.AcmeNetworks[w.Public.ID]
	if org == w.Globex.Slug {
		network = w.GlobexNetwork
	}
	m := models.Machine{
		ID: models.NewID[models.MachineID](), Name: name, TemplateID: w.Template.ID, InstanceTypeID: w.Small.ID,
		VCPUs: w.Small.VCPUs, MemoryMiB: w.Small.MemoryMiB, DiskGiB: w.Small.DiskGiB, PricePerHourMicros: w.Small.PricePerHourMicros,
		CloudID: w.Public.ID, NetworkID: network.ID, OwnerID: scope.UserID(),
	}
	err := scope.Change(context.Background(), func(tx *models.Writer) error {
		if err := tx.TakeQuota(m.Amounts()); err != nil {
			return err
		}
		if err := tx.InsertMachine(&m); err != nil {
			return err
		}
		_, address, err := tx.TakeAddress(m.NetworkID, m.ID)
		if err != nil {
			return err
		}
		m.Address = address
		if err := tx.MoveMachine(m.ID, models.MachineRunning, map[string]any{"address": address, "observed_power": "poweredOn"}); err != nil {
			return err
		}
		return tx.Record(models.Event{Action: models.ActionMachineCreate, Object: m.Object(), Outcome: models.OutcomeSucceeded})
	})
	if err != nil {
		t.Fatal(err)
	}
	m.State = models.MachineRunning
	return m
}
