package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"github.com/millwright/millwright/internal/config"
	"github.com/millwright/millwright/models"
)

// applied is what a configuration became, by slug.
type applied struct {
	clouds    map[string]models.Cloud
	templates map[string]models.Template
	types     map[string]models.InstanceType
	orgs      map[string]models.Org
	networks  map[[2]string]models.Network // org, cloud: the default one
	users     map[string]models.User
}

// apply brings the records in line with the configuration: it makes and
// updates, and removes nothing. Every part is idempotent, so that a start
// which was interrupted is finished by the next.
func apply(ctx context.Context, system *models.System, c config.Config) (applied, error) {
	a := applied{
		clouds: map[string]models.Cloud{}, templates: map[string]models.Template{}, types: map[string]models.InstanceType{},
		orgs: map[string]models.Org{}, networks: map[[2]string]models.Network{}, users: map[string]models.User{},
	}
	for _, cl := range c.Clouds {
		if err := a.cloud(ctx, system, cl); err != nil {
			return a, fmt.Errorf("cloud %s: %w", cl.Slug, err)
		}
	}
	for i, t := range c.Templates {
		images := make(map[models.CloudID]string, len(t.Images))
		for cloud, image := range t.Images {
			images[a.clouds[cloud].ID] = image
		}
		row, err := system.PutTemplate(ctx, models.Template{
			Slug: t.Slug, Name: t.Name, OS: t.OS, Icon: t.Icon, Version: t.Version, Description: t.Description,
			MinVCPUs: t.MinVCPUs, MinMemoryMiB: t.MinMemoryMiB, MinDiskGiB: t.MinDiskGiB, Position: i + 1,
		}, images)
		if err != nil {
			return a, fmt.Errorf("template %s: %w", t.Slug, err)
		}
		a.templates[t.Slug] = row
	}
	for i, it := range c.InstanceTypes {
		row, err := system.PutInstanceType(ctx, models.InstanceType{
			Slug: it.Slug, Name: it.Name, VCPUs: it.VCPUs, MemoryMiB: it.MemoryMiB, DiskGiB: it.DiskGiB,
			PricePerHourMicros: int64(math.Round(it.PricePerHour * 1e6)), Position: i + 1,
		})
		if err != nil {
			return a, fmt.Errorf("instance type %s: %w", it.Slug, err)
		}
		a.types[it.Slug] = row
	}
	for _, o := range c.Orgs {
		if err := a.org(ctx, system, o); err != nil {
			return a, fmt.Errorf("org %s: %w", o.Slug, err)
		}
	}
	for _, p := range c.Operators {
		if _, err := system.PutUser(ctx, models.User{Email: p.Email, Name: p.Name, ProviderRole: models.RoleOperator}); err != nil {
			return a, fmt.Errorf("operator %s: %w", p.Email, err)
		}
	}
	return a, nil
}

func (a *applied) cloud(ctx context.Context, system *models.System, cl config.Cloud) error {
	factor := 100
	if cl.PriceFactorPercent != nil {
		factor = *cl.PriceFactorPercent
	}
	row, err := system.PutCloud(ctx, models.CloudLogin{Username: cl.Username, Password: cl.Password, Cloud: models.Cloud{
		Slug: cl.Slug, Name: cl.Name, Class: models.CloudClass(cl.Class), PriceFactorPercent: factor, URL: cl.URL,
		ThumbprintSHA256: cl.ThumbprintSHA256, InstanceUUID: cl.InstanceUUID,
		Datacenter: cl.Datacenter, Folder: cl.Folder, ResourcePool: cl.ResourcePool, Datastore: cl.Datastore,
	}})
	a.clouds[cl.Slug] = row
	return err
}

func (a *applied) org(ctx context.Context, system *models.System, o config.Org) error {
	limits := models.Limits{}
	for name, n := range o.Quota {
		if !slices.Contains(models.Resources, models.Resource(name)) {
			return fmt.Errorf("quota %q is none of %v", name, models.Resources)
		}
		limits[models.Resource(name)] = n
	}
	org, err := system.PutOrg(ctx, o.Slug, o.Name, limits)
	if err != nil {
		return err
	}
	a.orgs[o.Slug] = org
	for _, n := range o.Networks {
		key := [2]string{o.Slug, n.Cloud}
		_, taken := a.networks[key]
		row, err := system.PutNetwork(ctx, models.Network{
			OrgID: org.ID, CloudID: a.clouds[n.Cloud].ID, Name: n.Name, CIDR: n.CIDR,
			Gateway: n.Gateway, PortGroup: n.PortGroup, IsDefault: !taken,
		})
		if err != nil {
			return err
		}
		if !taken {
			a.networks[key] = row
		}
	}
	for _, m := range o.Members {
		u, err := system.PutUser(ctx, models.User{Email: m.Email, Name: m.Name})
		if err != nil {
			return err
		}
		a.users[u.Email] = u
		kept, err := system.ConfigureMember(ctx, org.ID, u.ID, models.Role(m.Role))
		if err != nil {
			return err
		}
		if kept {
			slog.WarnContext(ctx, "the configuration would leave an org without an admin; the role stays as it is", "org", o.Slug, "person", m.Email)
		}
	}
	return nil
}
