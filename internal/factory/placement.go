package factory

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/millwright/millwright/models"
)

// standing is how well a cloud could take an order now; smaller is better.
type standing int

const (
	fits        standing = iota
	unknown              // not heard from yet since it was connected
	full                 // answers, and has no room
	unreachable          // the order would wait
	closed               // the provider lets nothing new in
	unsuitable           // no image of the template, or not the chosen network
)

// candidate is a cloud that was looked at.
type candidate struct {
	models.Placement

	standing standing
	network  models.Network
}

// readPlaces looks at every cloud that the org may use, ranks them, and takes
// the chosen or the best one.
func (d *draft) readPlaces(r *models.Reader) error {
	var err error
	if d.clouds, err = r.Clouds(); err != nil {
		return err
	}
	if d.networks, err = r.Networks(); err != nil {
		return err
	}
	if d.hasTemplate {
		if d.images, err = r.TemplateImages(d.plan.Template.ID); err != nil {
			return err
		}
	}
	wanted, ok := d.wantedCloud()
	if !ok {
		return nil
	}
	var list []candidate
	for _, c := range d.clouds {
		list = append(list, d.look(c))
	}
	slices.SortStableFunc(list, better)
	for _, c := range list {
		d.plan.Placements = append(d.plan.Placements, c.Placement)
	}
	d.choose(list, wanted)
	return nil
}

// wantedCloud is the cloud that the order names, itself or by its network; ""
// leaves the choice to us. false: what it names can't be.
func (d *draft) wantedCloud() (models.CloudID, bool) {
	o := d.plan.Order
	var cloud models.CloudID
	if o.Cloud != "" {
		i := slices.IndexFunc(d.clouds, func(c models.Cloud) bool { return string(c.ID) == o.Cloud || c.Slug == o.Cloud })
		if i < 0 {
			d.fault("cloud", "There is no such cloud. Choose one of yours, or let the portal choose.")
			return "", false
		}
		cloud = d.clouds[i].ID
	}
	if o.Network == "" {
		return cloud, true
	}
	named := slices.DeleteFunc(slices.Clone(d.networks), func(n models.Network) bool {
		return string(n.ID) != o.Network && n.Name != o.Network
	})
	if len(named) == 0 {
		d.fault("network", "There is no such network. Choose one of yours, or the default.")
		return "", false
	}
	if cloud != "" && !slices.ContainsFunc(named, func(n models.Network) bool { return n.CloudID == cloud }) {
		d.fault("network", "This network is in another cloud. Choose that cloud, or another network.")
		return "", false
	}
	if len(named) == 1 {
		cloud = named[0].CloudID
	}
	return cloud, true
}

// networkIn is the network that the order would use in a cloud.
func (d *draft) networkIn(cloud models.CloudID) (models.Network, bool) {
	var found []models.Network
	for _, n := range d.networks {
		named := d.plan.Order.Network
		if n.CloudID == cloud && (named == "" || string(n.ID) == named || n.Name == named) {
			found = append(found, n)
		}
	}
	if len(found) == 0 {
		return models.Network{}, false
	}
	return found[0], true // default ones come first
}

// look says how a cloud could take the order.
func (d *draft) look(c models.Cloud) candidate {
	p := d.plan
	found := candidate{Placement: models.Placement{Cloud: c}}
	if d.hasType {
		found.PricePerHourMicros = p.InstanceType.PricePerHourMicros * int64(c.PriceFactorPercent) / 100
	}
	network, has := d.networkIn(c.ID)
	found.network = network
	switch {
	case !has:
		found.standing, found.Why = unsuitable, "The chosen network is not in this cloud."
		return found
	case d.hasTemplate && d.images[c.ID] == "":
		found.standing, found.Why = unsuitable, p.Template.Name+" is not offered in this cloud."
		return found
	case c.DisabledAt != nil:
		found.standing, found.Why = closed, "The provider has switched it off for now."
		return found
	case c.DrainedAt != nil:
		found.standing, found.Why = closed, "It takes no new machines just now."
		return found
	case c.Status == models.CloudUnreachable:
		found.standing, found.Why = unreachable, "It does not answer just now; a machine ordered here waits until it does."
		return found
	case c.SeenAt == nil:
		found.standing, found.Fits, found.Why = unknown, true, "It has not told its free room yet."
		return found
	}
	memory, disk := int64(p.InstanceType.MemoryMiB)*int64(p.Order.Count), int64(p.InstanceType.DiskGiB)*int64(p.Order.Count)
	switch {
	case c.FreeMemoryMiB < memory:
		found.standing, found.Why = full, fmt.Sprintf("It has only %s of memory free.", mebibytes(c.FreeMemoryMiB))
	case c.FreeStorageGiB < disk:
		found.standing, found.Why = full, fmt.Sprintf("It has only %d GiB of storage free.", c.FreeStorageGiB)
	case memory > 0:
		found.standing, found.Fits = fits, true
		found.Why = fmt.Sprintf("It has room for %s: %s of memory are free.", mebibytes(memory), mebibytes(c.FreeMemoryMiB))
	default:
		found.standing, found.Fits, found.Why = fits, true, mebibytes(c.FreeMemoryMiB)+" of memory are free."
	}
	return found
}

// better orders candidates: who can take it, then price, then the private
// before the public cloud, then free memory.
func better(a, b candidate) int {
	class := func(c candidate) int {
		if c.Cloud.Class == models.CloudPrivate {
			return 0
		}
		return 1
	}
	price := func(c candidate) int64 {
		if c.PricePerHourMicros > 0 {
			return c.PricePerHourMicros
		}
		return int64(c.Cloud.PriceFactorPercent)
	}
	return cmp.Or(
		cmp.Compare(rank(a.standing), rank(b.standing)),
		cmp.Compare(price(a), price(b)),
		cmp.Compare(class(a), class(b)),
		cmp.Compare(b.Cloud.FreeMemoryMiB, a.Cloud.FreeMemoryMiB),
		cmp.Compare(a.Cloud.Name, b.Cloud.Name),
	)
}

// rank lets a cloud that has not told its room compete by price with those
// that have.
func rank(s standing) standing {
	if s == unknown {
		return fits
	}
	return s
}

// choose takes the wanted cloud, or the best.
func (d *draft) choose(list []candidate, wanted models.CloudID) {
	var best *candidate
	for i := range list {
		c := &list[i]
		switch {
		case wanted != "":
			if c.Cloud.ID == wanted {
				best = c
			}
		case c.standing == full || c.standing == closed || c.standing == unsuitable:
		case best == nil:
			best = c
		}
	}
	p := &d.plan
	if best == nil {
		d.refuse(list)
		return
	}
	p.Cloud, p.Network = best.Cloud, best.network
	if prefix, err := netip.ParsePrefix(p.Network.CIDR); p.Order.Address != "" && err == nil {
		if a, err := netip.ParseAddr(p.Order.Address); err == nil && !prefix.Contains(a) {
			d.fault("address", fmt.Sprintf("%s is not in the network %s, which has %s.", a, p.Network.Name, p.Network.CIDR))
		}
	}
	p.PricePerHourMicros = best.PricePerHourMicros * int64(p.Order.Count)
	p.Reason = reason(*best, list, wanted != "", p)
	switch best.standing {
	case full:
		d.fault("cloud", fmt.Sprintf("%s has no room for this: %s Choose a smaller size or another cloud.", best.Cloud.Name, best.Why))
	case closed:
		d.fault("cloud", fmt.Sprintf("%s can't take this: %s Choose another cloud.", best.Cloud.Name, best.Why))
	case unsuitable:
		if d.hasTemplate && d.images[best.Cloud.ID] == "" {
			d.fault("template", fmt.Sprintf("%s is not offered in %s. Choose another template or cloud.", p.Template.Name, best.Cloud.Name))
		} else {
			d.fault("network", fmt.Sprintf("This network is not in %s. Choose another network or cloud.", best.Cloud.Name))
		}
	case fits, unknown, unreachable:
	}
}

// refuse says why no cloud will do.
func (d *draft) refuse(list []candidate) {
	switch {
	case len(list) == 0:
		d.fault("cloud", "Your organisation may not use any cloud yet. Ask your provider.")
	case slices.ContainsFunc(list, func(c candidate) bool { return c.standing == full }):
		d.fault("cloud", "No cloud has room for this just now. Choose a smaller size, or try again later.")
	case slices.ContainsFunc(list, func(c candidate) bool { return c.standing == closed }):
		d.fault("cloud", "No cloud that could make this takes new machines just now. Try again later, or ask your provider.")
	default:
		d.fault("template", d.plan.Template.Name+" is not offered in any of your clouds. Choose another template.")
	}
}

// reason says in a sentence why the machine goes where it goes.
func reason(best candidate, list []candidate, chosen bool, p *models.Plan) string {
	name := best.Cloud.Name
	if best.standing == unreachable {
		return name + " does not answer just now; the order is kept and goes on by itself when it does."
	}
	room := ""
	if memory := int64(p.InstanceType.MemoryMiB) * int64(p.Order.Count); memory > 0 && best.standing == fits {
		room = " with room for " + mebibytes(memory)
	}
	if chosen {
		return name + ": your choice" + room + "."
	}
	rivals, sameOnly := 0, true
	for _, c := range list {
		if c.Cloud.ID != best.Cloud.ID && c.standing <= unknown {
			rivals++
			sameOnly = sameOnly && c.PricePerHourMicros == best.PricePerHourMicros
		}
	}
	switch {
	case rivals == 0 && len(list) > 1:
		return name + ": the only cloud that can take it now" + room + "."
	case rivals == 0:
		return name + ": your cloud" + room + "."
	case sameOnly && best.Cloud.Class == models.CloudPrivate:
		return name + ": same price as elsewhere, and private" + room + "."
	case sameOnly:
		return name + ": same price as elsewhere, and more free room" + room + "."
	}
	return name + ": cheapest" + room + "."
}
