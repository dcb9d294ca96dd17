package factory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/millwright/millwright/models"
)

// Plan says what an order would lead to. It asks no vCenter. What can't be
// used comes back as an invalid input with a message per field, together with
// as much of the plan as can be told without it.
func (f *Factory) Plan(ctx context.Context, scope *models.Scope, o models.Order) (models.Plan, error) {
	d := draft{plan: models.Plan{Order: o}, faults: map[string]string{}}
	d.tidy()
	if err := scope.Read(ctx, d.read); err != nil {
		return d.plan, err
	}
	if len(d.faults) > 0 {
		return d.plan, models.Invalid(d.faults)
	}
	return d.plan, nil
}

// draft is a plan in the making.
type draft struct {
	plan   models.Plan
	faults map[string]string // by form field

	hasTemplate, hasType bool
	clouds               []models.Cloud
	networks             []models.Network
	images               map[models.CloudID]string
}

func (d *draft) fault(field, sentence string) {
	if d.faults[field] == "" {
		d.faults[field] = sentence
	}
}

// tidy takes out what typing leaves in, and checks what needs no database.
func (d *draft) tidy() {
	o := &d.plan.Order
	for _, field := range []*string{&o.Name, &o.Template, &o.InstanceType, &o.Network, &o.Cloud, &o.Address} {
		*field = strings.TrimSpace(*field)
	}
	switch {
	case o.Count == 0:
		o.Count = 1
	case o.Count < 0 || o.Count > maxCount:
		d.fault("count", fmt.Sprintf("Order 1 to %d machines at once.", maxCount))
		o.Count = min(max(o.Count, 1), maxCount)
	}
	if o.Address != "" {
		if a, err := netip.ParseAddr(o.Address); err != nil || !a.Is4() {
			d.fault("address", "Enter an IPv4 address of the network, or leave this empty for the next free one.")
		} else if o.Count > 1 {
			d.fault("address", "Several machines can't have one address. Leave this empty for the next free ones.")
		}
	}
	for _, name := range numbered(o.Name, o.Count) {
		if sentence := nameFault(name); sentence != "" {
			if o.Count > 1 && nameFault(o.Name) == "" {
				sentence = "With its number the name gets too long. Choose a shorter one."
			} else if own := nameFault(o.Name); own != "" {
				sentence = own
			}
			d.fault("name", sentence)
			break
		}
	}
}

func (d *draft) read(r *models.Reader) error {
	for _, read := range []func(*models.Reader) error{d.readMenu, d.readNames, d.readPlaces, d.readQuota} {
		if err := read(r); err != nil {
			return err
		}
	}
	return nil
}

// readMenu finds template and instance type, and whether they go together.
func (d *draft) readMenu(r *models.Reader) error {
	p := &d.plan
	var err error
	p.Template, d.hasTemplate, err = chosen(r.OfferedTemplate, p.Order.Template)
	if err != nil {
		return err
	}
	p.InstanceType, d.hasType, err = chosen(r.OfferedInstanceType, p.Order.InstanceType)
	if err != nil {
		return err
	}
	switch {
	case p.Order.Template == "":
		d.fault("template", "Choose a template.")
	case !d.hasTemplate:
		d.fault("template", "There is no such template. Choose one from the catalog.")
	}
	switch {
	case p.Order.InstanceType == "":
		d.fault("instance_type", "Choose a size.")
	case !d.hasType:
		d.fault("instance_type", "There is no such size. Choose one from the menu.")
	case d.hasTemplate:
		if lacks := tooSmall(p.Template, p.InstanceType); lacks != "" {
			d.fault("instance_type", fmt.Sprintf("%s needs at least %s. Choose a larger size.", p.Template.Name, lacks))
		}
	}
	return nil
}

// chosen looks up what a field names; an empty field asks nothing.
func chosen[T any](find func(string) (T, error), ref string) (T, bool, error) {
	var none T
	if ref == "" {
		return none, false, nil
	}
	found, err := find(ref)
	if errors.Is(err, models.ErrNotFound) {
		return none, false, nil
	}
	return found, err == nil, err
}

// tooSmall lists what the template needs more of, "" if nothing.
func tooSmall(t models.Template, size models.InstanceType) string {
	var lacks []string
	if size.VCPUs < t.MinVCPUs {
		lacks = append(lacks, fmt.Sprintf("%d vCPU", t.MinVCPUs))
	}
	if size.MemoryMiB < t.MinMemoryMiB {
		lacks = append(lacks, mebibytes(int64(t.MinMemoryMiB))+" of memory")
	}
	if size.DiskGiB < t.MinDiskGiB {
		lacks = append(lacks, fmt.Sprintf("%d GiB of disk", t.MinDiskGiB))
	}
	return strings.Join(lacks, " and ")
}

func (d *draft) readNames(r *models.Reader) error {
	if d.faults["name"] != "" {
		return nil
	}
	taken, err := r.TakenNames(numbered(d.plan.Order.Name, d.plan.Order.Count))
	if err == nil && len(taken) > 0 {
		d.fault("name", nameTaken(taken[0], d.plan.Order.Count))
	}
	return err
}

func nameTaken(name string, count int) string {
	if count > 1 {
		return fmt.Sprintf("Another machine is called %s already. Choose a different name.", name)
	}
	return "Another machine has this name. Choose a different one."
}

// readQuota shows the bars with the order in them.
func (d *draft) readQuota(r *models.Reader) error {
	bars, err := r.Quotas()
	if err != nil {
		return err
	}
	p := &d.plan
	one := models.Amounts{}
	if d.hasType {
		sized := models.Machine{VCPUs: p.InstanceType.VCPUs, MemoryMiB: p.InstanceType.MemoryMiB, DiskGiB: p.InstanceType.DiskGiB}
		one = sized.Amounts()
		one[models.ResourceTasks] = 1 // while it is being made
	}
	for _, bar := range bars {
		after := bar.Used + one[bar.Resource]*int64(p.Order.Count)
		p.Quota = append(p.Quota, models.QuotaAfter{Quota: bar, After: after, Fits: after <= bar.Ceiling})
	}
	return nil
}

// mebibytes writes an amount of memory for people.
func mebibytes(mib int64) string {
	switch {
	case mib >= 1024 && mib%1024 == 0:
		return fmt.Sprintf("%d GiB", mib/1024)
	case mib >= 10*1024:
		return fmt.Sprintf("%d GiB", mib/1024)
	case mib >= 1024:
		return fmt.Sprintf("%.1f GiB", float64(mib)/1024)
	}
	return fmt.Sprintf("%d MiB", mib)
}
