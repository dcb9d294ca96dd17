package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

// Template is a catalog card: what a machine is cloned from.
type Template struct {
	ID           TemplateID `gorm:"primaryKey"`
	Slug         string
	Name         string
	OS           string // "Ubuntu 24.04 LTS"
	Icon         string // icon key: ubuntu, debian, windows, …
	Version      string // of the template, not of the OS
	Description  string
	MinVCPUs     int `gorm:"column:min_vcpus"`
	MinMemoryMiB int `gorm:"column:min_memory_mib"`
	MinDiskGiB   int `gorm:"column:min_disk_gib"`
	Position     int
	CreatedAt    time.Time
	ManagedBy    Manager
	RetiredAt    *time.Time // offered no more; machines made of it stay
}

// TemplateImage says which VM in which cloud a template is.
type TemplateImage struct {
	TemplateID TemplateID `gorm:"primaryKey"`
	CloudID    CloudID    `gorm:"primaryKey"`
	ImageUUID  string     // instance UUID of the template VM
}

// InstanceType is a menu row.
type InstanceType struct {
	ID                 InstanceTypeID `gorm:"primaryKey"`
	Slug               string
	Name               string
	VCPUs              int   `gorm:"column:vcpus"`
	MemoryMiB          int   `gorm:"column:memory_mib"`
	DiskGiB            int   `gorm:"column:disk_gib"`
	PricePerHourMicros int64 // millionths of the currency unit
	Position           int
	CreatedAt          time.Time
	ManagedBy          Manager
	RetiredAt          *time.Time // on the menu no more
}

// PutTemplate makes or updates a template of the configuration file by its
// slug, with its images. A new one goes to the default catalog. One that an
// operator changed stays as it is.
func (s *System) PutTemplate(ctx context.Context, t Template, images map[CloudID]string) (Template, error) {
	err := s.changing(ctx, func(w *Writer) error {
		var have Template
		err := w.tx.Take(&have, "slug = ?", t.Slug).Error
		switch {
		case errors.Is(err, gorm.ErrRecordNotFound):
			t.ManagedBy = ManagedByFile
			err = w.insertTemplate(&t)
		case err == nil && have.ManagedBy == ManagedByPortal:
			t = have
			return nil
		case err == nil:
			t.ID, t.CreatedAt, t.ManagedBy, t.RetiredAt = have.ID, have.CreatedAt, have.ManagedBy, have.RetiredAt
			err = w.tx.Model(&t).Select("*").Updates(&t).Error
		}
		if err != nil {
			return err
		}
		var before map[string]any
		if have.ID != "" {
			known, err := w.TemplateImages(have.ID)
			if err != nil {
				return err
			}
			before = have.configuration(known)
		}
		if err := w.setImages(t.ID, images); err != nil {
			return err
		}
		return w.configured(t.object(), before, t.configuration(images))
	})
	return t, err
}

func (t *Template) configuration(images map[CloudID]string) map[string]any {
	return map[string]any{"slug": t.Slug, "name": t.Name, "os": t.OS, "version": t.Version, "description": t.Description,
		"min_vcpus": t.MinVCPUs, "min_memory_mib": t.MinMemoryMiB, "min_disk_gib": t.MinDiskGiB, "images": images}
}

// PutInstanceType makes or updates a menu row of the configuration file by its
// slug. One that an operator changed stays as it is.
func (s *System) PutInstanceType(ctx context.Context, t InstanceType) (InstanceType, error) {
	err := s.changing(ctx, func(w *Writer) error {
		var have InstanceType
		err := w.tx.Take(&have, "slug = ?", t.Slug).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			t.ID, t.CreatedAt, t.ManagedBy = NewID[InstanceTypeID](), Now(), ManagedByFile
			if err := w.tx.Create(&t).Error; err != nil {
				return err
			}
			return w.configured(t.object(), nil, t.configuration())
		}
		if err != nil {
			return err
		}
		if have.ManagedBy == ManagedByPortal {
			t = have
			return nil
		}
		t.ID, t.CreatedAt, t.ManagedBy, t.RetiredAt = have.ID, have.CreatedAt, have.ManagedBy, have.RetiredAt
		if err := w.tx.Model(&t).Select("*").Updates(&t).Error; err != nil {
			return err
		}
		return w.configured(t.object(), have.configuration(), t.configuration())
	})
	return t, err
}

func (t *InstanceType) object() Object {
	return Object{Kind: "instance_type", ID: string(t.ID), Name: t.Name}
}

func (t *InstanceType) configuration() map[string]any {
	return map[string]any{"slug": t.Slug, "name": t.Name, "vcpus": t.VCPUs, "memory_mib": t.MemoryMiB,
		"disk_gib": t.DiskGiB, "price_per_hour_micros": t.PricePerHourMicros}
}

// Templates lists what is offered; search narrows by name, OS or description.
// An org sees only what one of its catalogs has and one of its clouds can make.
func (r *Reader) Templates(search string) ([]Template, error) {
	q := r.tx.Where("retired_at IS NULL").Order("position, name")
	if !r.scope.all {
		q = q.Where("id IN (?)", r.offered()).Where("id IN (?)", r.tx.Model(&TemplateImage{}).Select("template_id").
			Where("cloud_id IN (?)", r.tx.Model(&Network{}).Select("cloud_id")))
	}
	if search != "" {
		like := likeText(search)
		q = q.Where(`(LOWER(name) LIKE ? ESCAPE '\' OR LOWER(os) LIKE ? ESCAPE '\' OR LOWER(description) LIKE ? ESCAPE '\')`, like, like, like)
	}
	var rows []Template
	return rows, q.Find(&rows).Error
}

// OfferedTemplate returns one of Templates by id or slug. One that is retired,
// or in no catalog of the org's, is absent just as an invented one.
func (r *Reader) OfferedTemplate(ref string) (Template, error) {
	q := r.tx.Where("retired_at IS NULL")
	if !r.scope.all {
		q = q.Where("id IN (?)", r.offered())
	}
	var t Template
	return t, absent(q.Take(&t, "(id = ? OR slug = ?)", ref, ref).Error, "template")
}

// Template returns one by id or slug, for what was made of it: offered or not.
func (r *Reader) Template(ref string) (Template, error) {
	var t Template
	return t, absent(r.tx.Take(&t, "id = ? OR slug = ?", ref, ref).Error, "template")
}

// TemplateImages maps cloud to image for one template.
func (r *Reader) TemplateImages(id TemplateID) (map[CloudID]string, error) {
	var rows []TemplateImage
	if err := r.tx.Find(&rows, "template_id = ?", id).Error; err != nil {
		return nil, err
	}
	images := make(map[CloudID]string, len(rows))
	for _, row := range rows {
		images[row.CloudID] = row.ImageUUID
	}
	return images, nil
}

// InstanceTypes lists the menu.
func (r *Reader) InstanceTypes() ([]InstanceType, error) {
	var rows []InstanceType
	return rows, r.tx.Where("retired_at IS NULL").Order("position, price_per_hour_micros").Find(&rows).Error
}

// OfferedInstanceType returns one of InstanceTypes by id or slug.
func (r *Reader) OfferedInstanceType(ref string) (InstanceType, error) {
	var t InstanceType
	return t, absent(r.tx.Take(&t, "(id = ? OR slug = ?) AND retired_at IS NULL", ref, ref).Error, "instance type")
}

// InstanceType returns one by id or slug, on the menu or not.
func (r *Reader) InstanceType(ref string) (InstanceType, error) {
	var t InstanceType
	return t, absent(r.tx.Take(&t, "id = ? OR slug = ?", ref, ref).Error, "instance type")
}
