package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/millwright/millwright/internal/config"
	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/models"
)

// demoAccounts is printed at start; the password of each is "millwright".
var demoAccounts = []string{
	"operator@provider.example", "admin@acme.example", "user@acme.example", "auditor@acme.example",
	"admin@globex.example", "user@globex.example",
}

const demoPassword = "millwright" // #nosec G101 -- the demo's, known to everybody

// demoConfig is the portal that the demo serves: the lab's clouds and
// templates, a menu and three orgs with room to play.
func demoConfig(clouds []lab.Cloud) config.Config {
	var c config.Config
	for _, l := range clouds {
		factor := int(l.PriceFactor*100 + 0.5)
		c.Clouds = append(c.Clouds, config.Cloud{
			Slug: l.Slug, Name: l.Name, Class: l.Class, URL: l.URL, Username: l.Username, Password: l.Password,
			ThumbprintSHA256: l.ThumbprintSHA256, InstanceUUID: l.InstanceUUID, PriceFactorPercent: &factor,
			Datacenter: l.Datacenter, Folder: l.Folder, ResourcePool: l.ResourcePool, Datastore: l.Datastore,
		})
	}
	for _, t := range lab.Templates() {
		images := map[string]string{}
		for _, l := range clouds {
			if t.In(l.Slug) {
				images[l.Slug] = t.InstanceUUID(l.Slug)
			}
		}
		c.Templates = append(c.Templates, config.Template{
			Slug: t.Slug, Name: t.Name, OS: t.OS, Icon: t.OSFamily, Version: t.Version, Description: t.Description,
			MinVCPUs: t.MinVCPUs, MinMemoryMiB: t.MinMemoryMiB, MinDiskGiB: t.MinDiskGiB, Images: images,
		})
	}
	c.InstanceTypes = []config.InstanceType{
		{Slug: "small", Name: "Small", VCPUs: 1, MemoryMiB: 2048, DiskGiB: 20, PricePerHour: 0.014},
		{Slug: "medium", Name: "Medium", VCPUs: 2, MemoryMiB: 4096, DiskGiB: 40, PricePerHour: 0.028},
		{Slug: "large", Name: "Large", VCPUs: 4, MemoryMiB: 8192, DiskGiB: 80, PricePerHour: 0.056},
		{Slug: "xlarge", Name: "Extra large", VCPUs: 8, MemoryMiB: 16384, DiskGiB: 160, PricePerHour: 0.112},
		{Slug: "memory", Name: "Memory", VCPUs: 4, MemoryMiB: 32768, DiskGiB: 80, PricePerHour: 0.148},
		{Slug: "storage", Name: "Storage", VCPUs: 2, MemoryMiB: 8192, DiskGiB: 500, PricePerHour: 0.096},
	}
	quota := map[string]int64{"machines": 400, "vcpus": 1200, "memory_mib": 2 << 20, "storage_gib": 40_000, "public_ips": 10, "tasks": 400, "consoles": 40}
	for i, o := range []struct{ slug, name string }{{"acme", "Acme Corporation"}, {"globex", "Globex"}, {"initech", "Initech"}} {
		org := config.Org{Slug: o.slug, Name: o.name, Quota: quota}
		for j, l := range clouds {
			prefix := fmt.Sprintf("10.%d.%d", 10*(i+1), 16*j)
			org.Networks = append(org.Networks, config.Network{Cloud: l.Slug, Name: o.slug + "-" + l.Slug, CIDR: prefix + ".0/22", Gateway: prefix + ".1"})
		}
		c.Orgs = append(c.Orgs, org)
	}
	member := func(org int, email, name, role string) {
		c.Orgs[org].Members = append(c.Orgs[org].Members, config.Member{Person: config.Person{Email: email, Name: name}, Role: role})
	}
	member(0, "admin@acme.example", "Ada Adams", "admin")
	member(0, "user@acme.example", "Uma Underwood", "user")
	member(0, "auditor@acme.example", "Otto Audit", "auditor")
	member(1, "admin@globex.example", "Gus Globe", "admin")
	member(1, "user@globex.example", "Gwen Gray", "user")
	member(2, "auditor@acme.example", "Otto Audit", "auditor")
	c.Network.ServicePricePerHour = 0.006
	c.Operators = []config.Person{{Email: "operator@provider.example", Name: "Olive Operator"}}
	return c
}

// seedMachine is a machine that is there when the demo first starts. The list
// is stored before anything is made from it, so that a start which was killed
// goes on with the same ids.
type seedMachine struct {
	ID       models.MachineID `json:"id"`
	Org      string           `json:"org"`
	Owner    string           `json:"owner"`
	Cloud    string           `json:"cloud"`
	Name     string           `json:"name"`
	Template string           `json:"template"`
	Type     string           `json:"type"`
	Power    string           `json:"power"`
	Address  string           `json:"address"`
}

// notable are the machines with a story; the rest are numbered.
var notable = []seedMachine{
	{Org: "acme", Owner: "user@acme.example", Cloud: "public", Name: "web-1", Template: "ubuntu-24-04", Type: "medium"},
	{Org: "acme", Owner: "user@acme.example", Cloud: "public", Name: "web-2", Template: "ubuntu-24-04", Type: "medium"},
	{Org: "acme", Owner: "admin@acme.example", Cloud: "private", Name: "orders-db", Template: "debian-13", Type: "large"},
	{Org: "acme", Owner: "admin@acme.example", Cloud: "private", Name: "build-runner", Template: "debian-12", Type: "large", Power: "poweredOff"},
	{Org: "acme", Owner: "user@acme.example", Cloud: "public", Name: "staging", Template: "debian-13", Type: "small", Power: "suspended"},
	{Org: "globex", Owner: "user@globex.example", Cloud: "public", Name: "shop-1", Template: "ubuntu-24-04", Type: "medium"},
	{Org: "globex", Owner: "user@globex.example", Cloud: "public", Name: "shop-2", Template: "ubuntu-24-04", Type: "medium"},
	{Org: "globex", Owner: "admin@globex.example", Cloud: "private", Name: "ledger", Template: "debian-13", Type: "large"},
	{Org: "initech", Owner: "auditor@acme.example", Cloud: "private", Name: "tps-reports", Template: "debian-12", Type: "small"},
}

func planSeed(c config.Config, n int) []seedMachine {
	list := make([]seedMachine, 0, n)
	hosts := map[[2]string]int{}
	networks := map[[2]string]string{}
	for _, o := range c.Orgs {
		for _, nw := range o.Networks {
			networks[[2]string{o.Slug, nw.Cloud}] = nw.Gateway[:len(nw.Gateway)-1]
		}
	}
	for i := range n {
		s := seedMachine{Org: "acme", Owner: "user@acme.example", Cloud: []string{"public", "private"}[i%2],
			Name: fmt.Sprintf("node-%03d", i), Template: "debian-13", Type: "small"}
		if i < len(notable) {
			s = notable[i]
		}
		if s.Power == "" {
			s.Power = "poweredOn"
		}
		key := [2]string{s.Org, s.Cloud}
		host := 10 + hosts[key]
		hosts[key]++
		prefix := networks[key]
		s.Address = fmt.Sprintf("%s%d", prefix, host%256)
		if host >= 256 { // the next /24 of the /22
			var a, b, third int
			_, _ = fmt.Sscanf(prefix, "%d.%d.%d.", &a, &b, &third)
			s.Address = fmt.Sprintf("%d.%d.%d.%d", a, b, third+host/256, host%256)
		}
		s.ID = models.NewID[models.MachineID]()
		list = append(list, s)
	}
	return list
}

// loadSeed returns the stored list, or makes and stores one of n machines, and
// lays the lab's share of it where each vCenter reads it.
func loadSeed(dir string, c config.Config, n int) ([]seedMachine, error) {
	path := filepath.Join(dir, "seed.json")
	var list []seedMachine
	text, err := os.ReadFile(path) // #nosec G304 -- in our own folder
	switch {
	case err == nil:
		return list, json.Unmarshal(text, &list)
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	list = planSeed(c, n)
	types := map[string]config.InstanceType{}
	for _, t := range c.InstanceTypes {
		types[t.Slug] = t
	}
	for _, cloud := range []string{lab.CloudPublic, lab.CloudPrivate} {
		seeds := []lab.SeedMachine{}
		for _, s := range list {
			if t := types[s.Type]; s.Cloud == cloud {
				seeds = append(seeds, lab.SeedMachine{
					InstanceUUID: s.ID.InstanceUUID(), Name: models.VMName(s.Name, s.ID), HostName: s.Name, Folder: s.Org, Template: s.Template,
					VCPUs: t.VCPUs, MemoryMiB: t.MemoryMiB, DiskGiB: t.DiskGiB, IP: s.Address, Power: s.Power,
				})
			}
		}
		if err := writeJSON(filepath.Join(dir, "lab-seed-"+cloud+".json"), seeds); err != nil {
			return nil, err
		}
	}
	return list, writeJSON(path, list)
}

// writeJSON is whole or absent: written beside, then renamed.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// seedRecords stores the machines of the list that are not there yet.
func seedRecords(ctx context.Context, system *models.System, a applied, list []seedMachine) error {
	states := map[string]models.MachineState{
		"poweredOn": models.MachineRunning, "poweredOff": models.MachineStopped, "suspended": models.MachineSuspended,
	}
	byOrg := map[string][]seedMachine{}
	for _, s := range list {
		byOrg[s.Org] = append(byOrg[s.Org], s)
	}
	for slug, machines := range byOrg {
		org := a.orgs[slug]
		err := system.Within(ctx, org.ID, models.SystemActor, func(w *models.Writer) error {
			for _, s := range machines {
				if _, err := w.MachineRecord(s.ID); err == nil {
					continue // deleted ones keep their record as well
				} else if !errors.Is(err, models.ErrNotFound) {
					return err
				}
				if err := seedRecord(w, a, s, states[s.Power]); err != nil {
					return fmt.Errorf("machine %s: %w", s.Name, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func seedRecord(w *models.Writer, a applied, s seedMachine, state models.MachineState) error {
	t, network := a.types[s.Type], a.networks[[2]string{s.Org, s.Cloud}]
	cloud := a.clouds[s.Cloud]
	m := models.Machine{
		ID: s.ID, Name: s.Name, TemplateID: a.templates[s.Template].ID, InstanceTypeID: t.ID,
		VCPUs: t.VCPUs, MemoryMiB: t.MemoryMiB, DiskGiB: t.DiskGiB,
		PricePerHourMicros: t.PricePerHourMicros * int64(cloud.PriceFactorPercent) / 100,
		CloudID:            cloud.ID, NetworkID: network.ID, OwnerID: a.users[s.Owner].ID,
		PlacementReason: "It was there when the demo first started.",
	}
	if err := w.TakeQuota(m.Amounts()); err != nil {
		return err
	}
	if err := w.InsertMachine(&m); err != nil {
		return err
	}
	_, address, err := w.TakeAddress(network.ID, m.ID)
	if err != nil {
		return err
	}
	set := map[string]any{"address": address, "observed_power": s.Power}
	if err := w.MoveMachine(m.ID, models.MachineRunning, set); err != nil {
		return err
	}
	if state != models.MachineRunning {
		if err := w.MoveMachine(m.ID, state, nil); err != nil {
			return err
		}
	}
	return w.Record(models.Event{Action: models.ActionMachineCreate, Object: m.Object(), Outcome: models.OutcomeSucceeded,
		After: map[string]any{"name": m.Name, "template": s.Template, "instance_type": s.Type, "address": address}})
}
