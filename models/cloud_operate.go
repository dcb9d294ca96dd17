package models

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm"
)

// slugForm is what a slug looks like: it stands in addresses and in vSphere.
var slugForm = regexp.MustCompile(`^[a-z][a-z0-9-]{1,30}$`)

// named checks what every record of the provider has.
func named(slug, name string) map[string]string {
	faults := map[string]string{}
	if !slugForm.MatchString(slug) {
		faults["slug"] = "Use 2 to 31 lower-case letters, digits and hyphens, a letter first."
	}
	if n := utf8.RuneCountInString(name); n < 1 || n > 80 {
		faults["name"] = "Enter a name of up to 80 characters."
	}
	return faults
}

// CloudURLFault says what is wrong with a vCenter's address. A name or password
// in it would be shown by pages and kept in the history.
func CloudURLFault(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "https", u.Hostname() == "", u.Opaque != "", len(text) > 500:
		return "Enter an address like https://vcenter.example/sdk."
	case u.User != nil:
		return "Enter the address without a name or password in it. They have fields of their own."
	case u.RawQuery != "", u.Fragment != "":
		return "Enter the address without ? and #."
	}
	return ""
}

func (c *CloudLogin) faults() map[string]string {
	faults := named(c.Slug, c.Name)
	if words := CloudURLFault(c.URL); words != "" {
		faults["url"] = words
	}
	if c.Class != CloudPublic && c.Class != CloudPrivate {
		faults["class"] = "Choose public or private."
	}
	if c.PriceFactorPercent < 0 || c.PriceFactorPercent > 10_000 {
		faults["price_factor"] = "Enter a percentage from 0 to 10000."
	}
	if c.Username == "" {
		faults["username"] = "Enter the service account's name."
	}
	if c.Password == "" {
		faults["password"] = "Enter the service account's password."
	}
	return faults
}

// Clouds lists every cloud, by name.
func (p *Provider) Clouds(ctx context.Context) (list []Cloud, err error) {
	err = p.reading(ctx, func(r *Reader) error { return r.tx.Order("name").Find(&list).Error })
	return list, err
}

// CloudDetail is a cloud's page. No password is in it.
type CloudDetail struct {
	Cloud
	Username string
	Machines int
	VLANs    []VLANRange
}

// Cloud returns one with what depends on it.
func (p *Provider) Cloud(ctx context.Context, id CloudID) (d CloudDetail, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		if err := r.tx.Take(&d.Cloud, "id = ?", id).Error; err != nil {
			return absent(err, "cloud")
		}
		var secret cloudSecret
		if err := r.tx.Select("username").Limit(1).Find(&secret, "cloud_id = ?", id).Error; err != nil {
			return err
		}
		d.Username = secret.Username
		var n int64
		if err := r.tx.Model(&Machine{}).Where("cloud_id = ? AND state <> 'deleted'", id).Count(&n).Error; err != nil {
			return err
		}
		d.Machines = int(n)
		return r.tx.Order("first_vlan").Find(&d.VLANs, "cloud_id = ?", id).Error
	})
	return d, err
}

// CloudPassword opens a cloud's stored password, to test a connection whose
// form left it out. It never reaches a page, and goes to no other address or
// certificate than it was given for: else who has an operator's session for a
// minute could have it sent to a server of their own.
func (p *Provider) CloudPassword(ctx context.Context, id CloudID, url, pin string) (password string, err error) {
	if !p.Can(ProviderWrite) {
		return "", Forbidden("Provider auditors read what operators see, and change nothing.")
	}
	err = p.reading(ctx, func(r *Reader) error {
		var have Cloud
		if err := r.tx.Take(&have, "id = ?", id).Error; err != nil {
			return absent(err, "cloud")
		}
		if have.URL != url || plainPin(have.ThumbprintSHA256) != plainPin(pin) {
			return Invalid(map[string]string{"password": "Enter the password again: the stored one goes only to the address and the certificate that it was given for."})
		}
		login, err := r.login(have)
		if err != nil {
			return Invalid(map[string]string{"password": "The stored password can't be opened with this portal's key. Enter it again."})
		}
		password = login.Password
		return nil
	})
	return password, err
}

func plainPin(pin string) string { return strings.ToUpper(strings.ReplaceAll(pin, ":", "")) }

// AddCloud stores a cloud whose connection was tested.
func (p *Provider) AddCloud(ctx context.Context, c CloudLogin) (Cloud, error) {
	if faults := c.faults(); len(faults) > 0 {
		return c.Cloud, Invalid(faults)
	}
	err := p.change(ctx, func(w *Writer) error {
		c.ID, c.CreatedAt = NewID[CloudID](), Now()
		c.Status, c.StatusSince, c.ManagedBy, c.Revision = CloudConnecting, Now(), ManagedByPortal, 1
		if err := w.tx.Create(&c.Cloud).Error; err != nil {
			return duplicate(err, "slug", "Another cloud has this short name.")
		}
		if err := w.keepSecret(c); err != nil {
			return err
		}
		w.touchOf(ProviderOrg, "cloud", string(c.ID))
		return w.told(ActionConfigChange, c.object(), nil, c.configuration(c.Username))
	})
	return c.Cloud, err
}

// duplicate makes of a unique key's refusal the field's message.
func duplicate(err error, field, sentence string) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return Invalid(map[string]string{field: sentence})
	}
	return err
}

// EditCloud stores a changed connection, tested before. Slug and creation stay.
// A cloud with machines can't become another vCenter: they would all be missing.
func (p *Provider) EditCloud(ctx context.Context, c CloudLogin) error {
	if faults := c.faults(); len(faults) > 0 {
		return Invalid(faults)
	}
	return p.change(ctx, func(w *Writer) error {
		var have Cloud
		if err := w.tx.Take(&have, "id = ?", c.ID).Error; err != nil {
			return absent(err, "cloud")
		}
		if have.InstanceUUID != "" && !strings.EqualFold(have.InstanceUUID, c.InstanceUUID) {
			var machines int64
			if err := w.tx.Model(&Machine{}).Where("cloud_id = ? AND state <> 'deleted'", c.ID).Count(&machines).Error; err != nil {
				return err
			}
			if machines > 0 {
				return Invalid(map[string]string{"url": "Another vCenter answers there than the one that has this cloud's machines. Add it as a cloud of its own."})
			}
		}
		username, same, err := w.sameSecret(c)
		if err != nil {
			return err
		}
		err = w.tx.Model(&Cloud{}).Where("id = ?", c.ID).Updates(map[string]any{
			"name": c.Name, "class": c.Class, "price_factor_percent": c.PriceFactorPercent, "url": c.URL,
			"thumbprint_sha256": c.ThumbprintSHA256, "instance_uuid": c.InstanceUUID, "datacenter": c.Datacenter,
			"folder": c.Folder, "resource_pool": c.ResourcePool, "datastore": c.Datastore,
			"managed_by": ManagedByPortal, "revision": exprAdd("revision", 1),
		}).Error
		if err != nil {
			return err
		}
		c.Slug = have.Slug
		if err := w.keepSecret(c); err != nil {
			return err
		}
		after := c.configuration(c.Username)
		if !same {
			after["password"] = "changed"
		}
		w.touchOf(ProviderOrg, "cloud", string(c.ID))
		return w.told(ActionConfigChange, c.object(), have.configuration(username), after)
	})
}

// cloudMove is something that an operator switches on a cloud.
type cloudMove struct {
	where   string // what must hold now
	refusal string
	set     func() map[string]any
}

var cloudMoves = map[Action]cloudMove{
	ActionCloudDisable: {where: "disabled_at IS NULL", refusal: "This cloud is disabled already.",
		set: func() map[string]any {
			return map[string]any{"disabled_at": Now(), "status": CloudDisabled, "status_since": Now(), "status_text": ""}
		}},
	ActionCloudEnable: {where: "disabled_at IS NOT NULL", refusal: "This cloud is enabled already.",
		set: func() map[string]any {
			return map[string]any{"disabled_at": nil, "status": CloudConnecting, "status_since": Now(), "revision": exprAdd("revision", 1)}
		}},
	ActionCloudDrain: {where: "drained_at IS NULL", refusal: "This cloud takes no new machines already.",
		set: func() map[string]any { return map[string]any{"drained_at": Now()} }},
	ActionCloudUndrain: {where: "drained_at IS NOT NULL", refusal: "This cloud takes new machines already.",
		set: func() map[string]any { return map[string]any{"drained_at": nil} }},
}

// MoveCloud disables, enables, drains or undrains a cloud.
func (p *Provider) MoveCloud(ctx context.Context, id CloudID, action Action) error {
	move, known := cloudMoves[action]
	if !known {
		return NotFound("page")
	}
	return p.change(ctx, func(w *Writer) error {
		// Orders that were let in before are through, and counted, when this is.
		if err := w.latch(placing(id), false); err != nil {
			return err
		}
		var c Cloud
		if err := w.tx.Take(&c, "id = ?", id).Error; err != nil {
			return absent(err, "cloud")
		}
		done := w.tx.Model(&Cloud{}).Where("id = ? AND "+move.where, id).Updates(move.set())
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return Conflict(move.refusal)
		}
		w.touchOf(ProviderOrg, "cloud", string(id))
		return w.told(action, c.object(), c.standing(), standingAfter(c, action))
	})
}

func (c *Cloud) standing() map[string]any {
	return map[string]any{"disabled": c.DisabledAt != nil, "drained": c.DrainedAt != nil}
}

func standingAfter(c Cloud, action Action) map[string]any {
	after := c.standing()
	switch action {
	case ActionCloudDisable, ActionCloudEnable:
		after["disabled"] = action == ActionCloudDisable
	default:
		after["drained"] = action == ActionCloudDrain
	}
	return after
}

// EditCloudSettings changes what needs no connection: name, class and price.
func (p *Provider) EditCloudSettings(ctx context.Context, c Cloud) error {
	return p.change(ctx, func(w *Writer) error {
		var have Cloud
		if err := w.tx.Take(&have, "id = ?", c.ID).Error; err != nil {
			return absent(err, "cloud")
		}
		is := CloudLogin{Cloud: have, Username: "-", Password: "-"}
		is.Name, is.Class, is.PriceFactorPercent = c.Name, c.Class, c.PriceFactorPercent
		if faults := is.faults(); len(faults) > 0 {
			return Invalid(faults)
		}
		err := w.tx.Model(&Cloud{}).Where("id = ?", c.ID).Updates(map[string]any{
			"name": c.Name, "class": c.Class, "price_factor_percent": c.PriceFactorPercent, "managed_by": ManagedByPortal}).Error
		if err != nil {
			return err
		}
		w.touchOf(ProviderOrg, "cloud", string(c.ID))
		words := func(c Cloud) map[string]any {
			return map[string]any{"name": c.Name, "class": c.Class, "price_factor_percent": c.PriceFactorPercent}
		}
		return w.told(ActionConfigChange, is.object(), words(have), words(is.Cloud))
	})
}
