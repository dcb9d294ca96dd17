package models

import (
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
)

// CatalogID is a catalog's.
type CatalogID string

// defaultCatalog is where the configuration file's templates go.
const defaultCatalog = "default"

// Catalog is a set of templates that is offered to everybody, or to the orgs
// that it names.
type Catalog struct {
	ID        CatalogID `gorm:"primaryKey"`
	Slug      string
	Name      string
	Public    bool
	CreatedAt time.Time
}

// CatalogTemplate says that a catalog offers a template.
type CatalogTemplate struct {
	CatalogID  CatalogID  `gorm:"primaryKey"`
	TemplateID TemplateID `gorm:"primaryKey"`
}

// CatalogOrg says that an org sees a catalog that isn't public.
type CatalogOrg struct {
	CatalogID CatalogID `gorm:"primaryKey"`
	OrgID     OrgID     `gorm:"primaryKey"`
}

func (c *Catalog) object() Object { return Object{Kind: "catalog", ID: string(c.ID), Name: c.Name} }

// offered are the ids of the templates in the catalogs that the org sees.
func (r *Reader) offered() *gorm.DB {
	seen := r.tx.Model(&Catalog{}).Select("id").
		Where("public OR id IN (?)", r.tx.Model(&CatalogOrg{}).Select("catalog_id"))
	return r.tx.Model(&CatalogTemplate{}).Select("template_id").Where("catalog_id IN (?)", seen)
}

// offerByDefault puts a template of the file into the default catalog, which
// is made anew if it was removed.
func (w *Writer) offerByDefault(id TemplateID) error {
	var c Catalog
	err := w.tx.Take(&c, "slug = ?", defaultCatalog).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		c = Catalog{ID: NewID[CatalogID](), Slug: defaultCatalog, Name: "Default", Public: true, CreatedAt: Now()}
		err = w.tx.Create(&c).Error
	}
	if err != nil {
		return err
	}
	return w.tx.Create(&CatalogTemplate{CatalogID: c.ID, TemplateID: id}).Error
}

// CatalogDetail is a catalog with what it offers and who sees it.
type CatalogDetail struct {
	Catalog
	Templates []TemplateID
	Orgs      []OrgID
}

// Catalogs lists them all, by name.
func (p *Provider) Catalogs(ctx context.Context) (list []CatalogDetail, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		var rows []Catalog
		if err := r.tx.Order("name").Find(&rows).Error; err != nil {
			return err
		}
		for _, c := range rows {
			d, err := r.catalog(c)
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	return list, err
}

func (r *Reader) catalog(c Catalog) (CatalogDetail, error) {
	d := CatalogDetail{Catalog: c}
	if err := r.tx.Model(&CatalogTemplate{}).Where("catalog_id = ?", c.ID).Order("template_id").Pluck("template_id", &d.Templates).Error; err != nil {
		return d, err
	}
	return d, r.tx.Model(&CatalogOrg{}).Where("catalog_id = ?", c.ID).Order("org_id").Pluck("org_id", &d.Orgs).Error
}

// Catalog returns one.
func (p *Provider) Catalog(ctx context.Context, id CatalogID) (d CatalogDetail, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		d, err = r.catalogByID(id)
		return err
	})
	return d, err
}

func (r *Reader) catalogByID(id CatalogID) (CatalogDetail, error) {
	var c Catalog
	if err := r.tx.Take(&c, "id = ?", id).Error; err != nil {
		return CatalogDetail{}, absent(err, "catalog")
	}
	return r.catalog(c)
}

// PutCatalog makes a catalog, or changes the one with its id: name, who sees
// it, and what it offers.
func (p *Provider) PutCatalog(ctx context.Context, d CatalogDetail) (CatalogDetail, error) {
	err := p.change(ctx, func(w *Writer) error {
		var before map[string]any
		if d.ID != "" {
			have, err := w.catalogByID(d.ID)
			if err != nil {
				return err
			}
			if before, err = w.catalogWords(have); err != nil {
				return err
			}
			d.Slug, d.CreatedAt = have.Slug, have.CreatedAt
		}
		if faults := named(d.Slug, d.Name); len(faults) > 0 {
			return Invalid(faults)
		}
		if err := w.storeCatalog(&d); err != nil {
			return err
		}
		after, err := w.catalogWords(d)
		if err != nil {
			return err
		}
		return w.told(ActionConfigChange, d.object(), before, after)
	})
	return d, err
}

func (w *Writer) storeCatalog(d *CatalogDetail) error {
	if d.ID == "" {
		d.ID, d.CreatedAt = NewID[CatalogID](), Now()
		if err := w.tx.Create(&d.Catalog).Error; err != nil {
			return duplicate(err, "slug", "Another catalog has this short name.")
		}
	} else {
		err := w.tx.Model(&Catalog{}).Where("id = ?", d.ID).Updates(map[string]any{"name": d.Name, "public": d.Public}).Error
		if err != nil {
			return err
		}
	}
	if d.Public {
		d.Orgs = nil
	}
	if err := w.emptyCatalog(d.ID); err != nil {
		return err
	}
	slices.Sort(d.Templates)
	for _, id := range slices.Compact(d.Templates) {
		if err := w.tx.Create(&CatalogTemplate{CatalogID: d.ID, TemplateID: id}).Error; err != nil {
			return missing(err, "templates", "One of these templates is not there any more.")
		}
	}
	slices.Sort(d.Orgs)
	for _, id := range slices.Compact(d.Orgs) {
		if err := w.tx.Create(&CatalogOrg{CatalogID: d.ID, OrgID: id}).Error; err != nil {
			return missing(err, "orgs", "One of these orgs is not there any more.")
		}
	}
	return nil
}

// missing makes of a foreign key's refusal the field's message.
func missing(err error, field, sentence string) error {
	if errors.Is(err, gorm.ErrForeignKeyViolated) {
		return Invalid(map[string]string{field: sentence})
	}
	return err
}

func (w *Writer) emptyCatalog(id CatalogID) error {
	if err := w.tx.Where("catalog_id = ?", id).Delete(&CatalogTemplate{}).Error; err != nil {
		return err
	}
	return w.tx.Where("catalog_id = ?", id).Delete(&CatalogOrg{}).Error
}

// catalogWords tells of a catalog by names, for ids say nothing to a reader.
func (r *Reader) catalogWords(d CatalogDetail) (map[string]any, error) {
	var templates, orgs []string
	if err := r.tx.Model(&Template{}).Where("id IN ?", d.Templates).Order("name").Pluck("name", &templates).Error; err != nil {
		return nil, err
	}
	ids := make([]string, len(d.Orgs))
	for i, id := range d.Orgs {
		ids[i] = string(id)
	}
	if err := r.tx.Model(&orgRow{}).Where("id IN ?", ids).Order("name").Pluck("name", &orgs).Error; err != nil {
		return nil, err
	}
	return map[string]any{"slug": d.Slug, "name": d.Name, "public": d.Public, "templates": templates, "orgs": orgs}, nil
}

// RemoveCatalog takes a catalog away; its templates stay.
func (p *Provider) RemoveCatalog(ctx context.Context, id CatalogID) error {
	return p.change(ctx, func(w *Writer) error {
		have, err := w.catalogByID(id)
		if err != nil {
			return err
		}
		before, err := w.catalogWords(have)
		if err != nil {
			return err
		}
		if err := w.emptyCatalog(id); err != nil {
			return err
		}
		done := w.tx.Where("id = ?", id).Delete(&Catalog{})
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return NotFound("catalog")
		}
		return w.told(ActionConfigChange, have.object(), before, nil)
	})
}
