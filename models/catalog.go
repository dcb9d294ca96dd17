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
}

// PutTemplate makes or updates a template by its slug, with its images.
func (s *System) PutTemplate(ctx context.Context, t Template, images map[CloudID]string) (Template, error) {
	err := s.changing(ctx, func(w *Writer) error {
		var have Template
		err := w.tx.Take(&have, "slug = ?", t.Slug).Error
		switch {
		case errors.Is(err, gorm.ErrRecordNotFound):
			t.ID, t.CreatedAt = NewID[TemplateID](), Now()
			err = w.tx.Create(&t).Error
		case err == nil:
			t.ID, t.CreatedAt = have.ID, have.CreatedAt
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
		if err := w.tx.Where("template_id = ?", t.ID).Delete(&TemplateImage{}).Error; err != nil {
			return err
		}
		for cloud, uuid := range images {
			if err := w.tx.Create(&TemplateImage{TemplateID: t.ID, CloudID: cloud, ImageUUID: uuid}).Error; err != nil {
				return err
			}
		}
		return w.configured(Object{Kind: "template", ID: string(t.ID), Name: t.Name}, before, t.configuration(images))
	})
	return t, err
}

func (t *Template) configuration(images map[CloudID]string) map[string]any {
	return map[string]any{"slug": t.Slug, "name": t.Name, "os": t.OS, "version": t.Version, "description": t.Description,
		"min_vcpus": t.MinVCPUs, "min_memory_mib": t.MinMemoryMiB, "min_disk_gib": t.MinDiskGiB, "images": images}
}

// PutInstanceType makes or updates a menu row by its slug.
func (s *System) PutInstanceType(ctx context.Context, t InstanceType) (InstanceType, error) {
	err := s.changing(ctx, func(w *Writer) error {
		var have InstanceType
		err := w.tx.Take(&have, "slug = ?", t.Slug).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			t.ID, t.CreatedAt = NewID[InstanceTypeID](), Now()
			if err := w.tx.Create(&t).Error; err != nil {
				return err
			}
			return w.configured(t.object(), nil, t.configuration())
		}
		if err != nil {
			return err
		}
		t.ID, t.CreatedAt = have.ID, have.CreatedAt
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

// Templates lists the catalog; search narrows by name, OS or description. An
// org sees only what one of its clouds can make.
func (r *Reader) Templates(search string) ([]Template, error) {
	q := r.tx.Order("position, name")
	if !r.scope.all {
		q = q.Where("id IN (?)", r.tx.Model(&TemplateImage{}).Select("template_id").
			Where("cloud_id IN (?)", r.tx.Model(&Network{}).Select("cloud_id")))
	}
	if search != "" {
		like := likeText(search)
		q = q.Where(`(LOWER(name) LIKE ? ESCAPE '\' OR LOWER(os) LIKE ? ESCAPE '\' OR LOWER(description) LIKE ? ESCAPE '\')`, like, like, like)
	}
	var rows []Template
	return rows, q.Find(&rows).Error
}

// Template returns one by id or slug.
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
	return rows, r.tx.Order("position, price_per_hour_micros").Find(&rows).Error
}

// InstanceType returns one by id or slug.
func (r *Reader) InstanceType(ref string) (InstanceType, error) {
	var t InstanceType
	return t, absent(r.tx.Take(&t, "id = ? OR slug = ?", ref, ref).Error, "instance type")
}
