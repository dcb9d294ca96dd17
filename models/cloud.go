package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

// CloudClass is what sort of cloud.
type CloudClass string

const (
	CloudPublic  CloudClass = "public"
	CloudPrivate CloudClass = "private"
)

// CloudStatus is what the portal last knew of the connection.
type CloudStatus string

const (
	CloudConnecting  CloudStatus = "connecting"
	CloudConnected   CloudStatus = "connected"
	CloudUnreachable CloudStatus = "unreachable"
	CloudDisabled    CloudStatus = "disabled" // an operator's doing: no calls are made
)

// Cloud is one vCenter connection.
type Cloud struct {
	ID                 CloudID `gorm:"primaryKey"`
	Slug               string
	Name               string
	Class              CloudClass
	PriceFactorPercent int // of the menu price; 100 is the menu's own
	URL                string
	ThumbprintSHA256   string `gorm:"column:thumbprint_sha256"`
	InstanceUUID       string // of the vCenter, checked on connect
	Datacenter         string
	Folder             string
	ResourcePool       string
	Datastore          string
	Status             CloudStatus
	StatusText         string    // for the operator: vSphere's words
	StatusSince        time.Time // when Status became so
	SeenAt             *time.Time
	Hosts              int
	FreeVCPUs          int   `gorm:"column:free_vcpus"`
	FreeMemoryMiB      int64 `gorm:"column:free_memory_mib"`
	FreeStorageGiB     int64 `gorm:"column:free_storage_gib"`
	CreatedAt          time.Time
	ManagedBy          Manager
	Revision           int        // of how to connect: a client is made anew when it changes
	DisabledAt         *time.Time // no calls; pages show the inventory as it was
	DrainedAt          *time.Time // no new machines; what is there works on
}

// Takes says whether new machines may be placed in the cloud.
func (c *Cloud) Takes() bool { return c.DisabledAt == nil && c.DrainedAt == nil }

func (c *Cloud) object() Object { return Object{Kind: "cloud", ID: string(c.ID), Name: c.Name} }

// cloudSecret is kept in a table of its own, so that no tenant query can name
// its columns.
type cloudSecret struct {
	CloudID  CloudID `gorm:"primaryKey"`
	Username string
	Password []byte // sealed
}

func (cloudSecret) TableName() string { return "cloud_secrets" }

// CloudLogin is a cloud with what is needed to connect. It never leaves the process.
type CloudLogin struct {
	Cloud
	Username string
	Password string
}

// PutCloud makes or updates a cloud of the configuration file by its slug,
// credentials sealed. One that an operator took over stays as it is.
func (s *System) PutCloud(ctx context.Context, c CloudLogin) (Cloud, error) {
	err := s.changing(ctx, func(w *Writer) error {
		var have Cloud
		var before map[string]any
		err := w.tx.Take(&have, "slug = ?", c.Slug).Error
		switch {
		case errors.Is(err, gorm.ErrRecordNotFound):
			c.ID, c.CreatedAt = NewID[CloudID](), Now()
			c.Status, c.StatusSince = CloudConnecting, Now()
			c.ManagedBy, c.Revision = ManagedByFile, 1
			err = w.tx.Create(&c.Cloud).Error
		case err == nil && have.ManagedBy == ManagedByPortal:
			c.Cloud = have
			return nil
		case err == nil:
			c.ManagedBy, c.Revision, c.DisabledAt, c.DrainedAt = have.ManagedBy, have.Revision, have.DisabledAt, have.DrainedAt
			c.ID, c.CreatedAt = have.ID, have.CreatedAt
			err = w.tx.Model(&Cloud{}).Where("id = ?", have.ID).Updates(map[string]any{
				"name": c.Name, "class": c.Class, "price_factor_percent": c.PriceFactorPercent, "url": c.URL,
				"thumbprint_sha256": c.ThumbprintSHA256, "instance_uuid": c.InstanceUUID, "datacenter": c.Datacenter,
				"folder": c.Folder, "resource_pool": c.ResourcePool, "datastore": c.Datastore,
			}).Error
		}
		if err != nil {
			return err
		}
		after := c.configuration(c.Username)
		if have.ID != "" {
			username, same, err := w.sameSecret(c)
			if err != nil {
				return err
			}
			before = have.configuration(username)
			if !same {
				after["password"] = "changed" // all that is told of it
			}
		}
		if err := w.keepSecret(c); err != nil {
			return err
		}
		return w.configured(c.object(), before, after)
	})
	return c.Cloud, err
}

func (c *Cloud) configuration(username string) map[string]any {
	return map[string]any{"slug": c.Slug, "name": c.Name, "class": c.Class, "price_factor_percent": c.PriceFactorPercent,
		"url": c.URL, "thumbprint_sha256": c.ThumbprintSHA256, "instance_uuid": c.InstanceUUID, "datacenter": c.Datacenter,
		"folder": c.Folder, "resource_pool": c.ResourcePool, "datastore": c.Datastore, "username": username}
}

// sameSecret returns the stored user name, and whether the password is the one
// that is stored. One that was sealed with another key is not.
func (w *Writer) sameSecret(c CloudLogin) (username string, same bool, err error) {
	var secret cloudSecret
	err = w.tx.Limit(1).Find(&secret, "cloud_id = ?", c.ID).Error
	if err != nil || secret.CloudID == "" {
		return "", false, err
	}
	password, opening := w.db.openSecret(string(c.ID), secret.Password)
	return secret.Username, opening == nil && password == c.Password, nil
}

// keepSecret seals the credentials in place of the former ones.
func (w *Writer) keepSecret(c CloudLogin) error {
	if err := w.tx.Where("cloud_id = ?", c.ID).Delete(&cloudSecret{}).Error; err != nil {
		return err
	}
	return w.tx.Create(&cloudSecret{CloudID: c.ID, Username: c.Username,
		Password: w.db.sealSecret(string(c.ID), c.Password)}).Error
}

// login opens the cloud's credentials.
func (r *Reader) login(c Cloud) (CloudLogin, error) {
	var secret cloudSecret
	if err := r.tx.Take(&secret, "cloud_id = ?", c.ID).Error; err != nil {
		return CloudLogin{}, err
	}
	password, err := r.db.openSecret(string(c.ID), secret.Password)
	return CloudLogin{Cloud: c, Username: secret.Username, Password: password}, err
}

// CloudLogins returns every cloud that is not disabled with its credentials
// opened, for the vSphere clients.
func (s *System) CloudLogins(ctx context.Context) ([]CloudLogin, error) {
	var logins []CloudLogin
	err := s.reading(ctx, func(r *Reader) error {
		var clouds []Cloud
		if err := r.tx.Where("disabled_at IS NULL").Order("slug").Find(&clouds).Error; err != nil {
			return err
		}
		for _, c := range clouds {
			login, err := r.login(c)
			if err != nil {
				return err
			}
			logins = append(logins, login)
		}
		return nil
	})
	return logins, err
}

// CloudHealth is what the feed learned of a cloud.
type CloudHealth struct {
	Status         CloudStatus
	StatusText     string
	Hosts          int
	FreeVCPUs      int
	FreeMemoryMiB  int64
	FreeStorageGiB int64
}

// SetCloudHealth stores what the feed learned. An unreachable cloud keeps its
// last figures and the time they were seen; a disabled one is left alone, for
// its feed may just be ending.
func (s *System) SetCloudHealth(ctx context.Context, id CloudID, h CloudHealth) error {
	return s.changing(ctx, func(w *Writer) error {
		set := map[string]any{"status_text": h.StatusText}
		if h.Status == CloudConnected {
			set["seen_at"] = Now()
			set["hosts"], set["free_vcpus"] = h.Hosts, h.FreeVCPUs
			set["free_memory_mib"], set["free_storage_gib"] = h.FreeMemoryMiB, h.FreeStorageGiB
		}
		if err := w.tx.Model(&Cloud{}).Where("id = ? AND disabled_at IS NULL", id).Updates(set).Error; err != nil {
			return err
		}
		moved := w.tx.Model(&Cloud{}).Where("id = ? AND status <> ? AND disabled_at IS NULL", id, h.Status).
			Updates(map[string]any{"status": h.Status, "status_since": Now()})
		if moved.RowsAffected > 0 {
			w.touchOf(ProviderOrg, "health", string(id))
		}
		return moved.Error
	})
}

// Clouds lists the clouds that the scope may use: for an org, those that hold
// one of its networks.
func (r *Reader) Clouds() ([]Cloud, error) {
	q := r.tx.Order("price_factor_percent, name")
	if !r.scope.all {
		q = q.Where("id IN (?)", r.tx.Model(&Network{}).Select("cloud_id"))
	}
	var rows []Cloud
	return rows, q.Find(&rows).Error
}

// Cloud returns one of Clouds.
func (r *Reader) Cloud(id CloudID) (Cloud, error) {
	q := r.tx
	if !r.scope.all {
		q = q.Where("id IN (?)", r.tx.Model(&Network{}).Select("cloud_id"))
	}
	var c Cloud
	return c, absent(q.Take(&c, "id = ?", id).Error, "cloud")
}

// CloudForNew is Cloud for whoever places a machine in it: whether it takes one
// stays true until the transaction ends, for a drain waits so long. Call it
// before any quota is taken, so that locks are had in one order. The row itself
// isn't locked: row security keeps orgs from that, and its health changes often.
func (w *Writer) CloudForNew(id CloudID) (Cloud, error) {
	if err := w.latch(placing(id), true); err != nil {
		return Cloud{}, err
	}
	return w.Cloud(id)
}

// placing names the latch between orders and whoever closes the cloud to them.
func placing(id CloudID) string { return "placing/" + string(id) }
