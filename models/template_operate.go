package models

import (
	"context"
	"regexp"
	"strings"
)

// TemplateDetail is a template as operators see it.
type TemplateDetail struct {
	Template
	Images   map[CloudID]string // its VM in each cloud
	Catalogs []string           // that offer it, by name
	Machines int                // made of it
}

// Templates lists every template, retired ones among them.
func (p *Provider) Templates(ctx context.Context) (list []TemplateDetail, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		var rows []Template
		if err := r.tx.Order("position, name").Find(&rows).Error; err != nil {
			return err
		}
		for _, t := range rows {
			d, err := r.templateDetail(t)
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	return list, err
}

func (r *Reader) templateDetail(t Template) (TemplateDetail, error) {
	d := TemplateDetail{Template: t}
	var err error
	if d.Images, err = r.TemplateImages(t.ID); err != nil {
		return d, err
	}
	err = r.tx.Model(&Catalog{}).Joins("JOIN catalog_templates ON catalog_templates.catalog_id = catalogs.id").
		Where("catalog_templates.template_id = ?", t.ID).Order("catalogs.name").Pluck("catalogs.name", &d.Catalogs).Error
	if err != nil {
		return d, err
	}
	var n int64
	err = r.tx.Model(&Machine{}).Where("template_id = ? AND state <> 'deleted'", t.ID).Count(&n).Error
	d.Machines = int(n)
	return d, err
}

// Template returns one.
func (p *Provider) Template(ctx context.Context, id TemplateID) (d TemplateDetail, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		var t Template
		if err := r.tx.Take(&t, "id = ?", id).Error; err != nil {
			return absent(err, "template")
		}
		d, err = r.templateDetail(t)
		return err
	})
	return d, err
}

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func (t *Template) faults(images map[CloudID]string) map[string]string {
	faults := named(t.Slug, t.Name)
	for field, text := range map[string]string{"os": t.OS, "version": t.Version, "icon": t.Icon} {
		if len(text) > 80 {
			faults[field] = "Enter at most 80 characters."
		}
	}
	if t.OS == "" {
		faults["os"] = "Enter the operating system, as people know it."
	}
	if t.MinVCPUs < 1 || t.MinVCPUs > 768 {
		faults["min_vcpus"] = "Enter 1 to 768 vCPUs."
	}
	if t.MinMemoryMiB < 64 || t.MinMemoryMiB > 24<<20 {
		faults["min_memory_mib"] = "Enter 64 to 25165824 MiB."
	}
	if t.MinDiskGiB < 1 || t.MinDiskGiB > 62<<10 {
		faults["min_disk_gib"] = "Enter 1 to 63488 GiB."
	}
	for cloud, image := range images {
		if !uuidForm.MatchString(image) {
			faults["image_"+string(cloud)] = "This is no instance UUID. The vSphere client shows it as the virtual machine's instanceUuid."
		}
	}
	return faults
}

// PutTemplate makes a template in the default catalog, or changes the one with
// its id: metadata, and which VM it is in each cloud.
func (p *Provider) PutTemplate(ctx context.Context, t Template, images map[CloudID]string) (Template, error) {
	err := p.change(ctx, func(w *Writer) error {
		var before map[string]any
		if t.ID != "" {
			var have Template
			if err := w.tx.Take(&have, "id = ?", t.ID).Error; err != nil {
				return absent(err, "template")
			}
			known, err := w.TemplateImages(t.ID)
			if err != nil {
				return err
			}
			before = have.configuration(known)
			t.Slug, t.Position, t.CreatedAt, t.RetiredAt = have.Slug, have.Position, have.CreatedAt, have.RetiredAt
		}
		if faults := t.faults(images); len(faults) > 0 {
			return Invalid(faults)
		}
		t.ManagedBy = ManagedByPortal
		if before == nil {
			if err := w.insertTemplate(&t); err != nil {
				return duplicate(err, "slug", "Another template has this short name.")
			}
		} else if err := w.tx.Model(&t).Select("*").Updates(&t).Error; err != nil {
			return err
		}
		if err := w.setImages(t.ID, images); err != nil {
			return missing(err, "slug", "One of the clouds is not there any more. Load the page again.")
		}
		return w.told(ActionConfigChange, t.object(), before, t.configuration(images))
	})
	return t, err
}

func (t *Template) object() Object { return Object{Kind: "template", ID: string(t.ID), Name: t.Name} }

func (w *Writer) insertTemplate(t *Template) error {
	t.ID, t.CreatedAt = NewID[TemplateID](), Now()
	if err := w.tx.Create(t).Error; err != nil {
		return err
	}
	return w.offerByDefault(t.ID)
}

func (w *Writer) setImages(id TemplateID, images map[CloudID]string) error {
	if err := w.tx.Where("template_id = ?", id).Delete(&TemplateImage{}).Error; err != nil {
		return err
	}
	for cloud, uuid := range images {
		if err := w.tx.Create(&TemplateImage{TemplateID: id, CloudID: cloud, ImageUUID: strings.ToLower(uuid)}).Error; err != nil {
			return err
		}
	}
	return nil
}

// RetireTemplate takes a template off every catalog's menu, or puts it back.
// Machines that were made of it stay.
func (p *Provider) RetireTemplate(ctx context.Context, id TemplateID, retire bool) error {
	return p.change(ctx, func(w *Writer) error {
		var t Template
		if err := w.tx.Take(&t, "id = ?", id).Error; err != nil {
			return absent(err, "template")
		}
		if err := w.retire(&Template{}, string(id), retire); err != nil {
			return err
		}
		return w.told(ActionConfigChange, t.object(), map[string]any{"retired": !retire}, map[string]any{"retired": retire})
	})
}
