package handlers

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Catalogs lists catalogs and templates.
func (h *Provider) Catalogs(c echo.Context, provider *models.Provider) error {
	p := views.CatalogListProps{CanWrite: provider.Can(models.ProviderWrite)}
	ctx := c.Request().Context()
	var err error
	if p.Catalogs, err = provider.Catalogs(ctx); err != nil {
		return err
	}
	if p.Templates, err = provider.Templates(ctx); err != nil {
		return err
	}
	if p.Clouds, err = provider.Clouds(ctx); err != nil {
		return err
	}
	if p.Frame, err = h.at(c, views.EntryCatalogs); err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.CatalogList(p))
}

// NewCatalog is the form for another one.
func (h *Provider) NewCatalog(c echo.Context, provider *models.Provider) error {
	d := models.CatalogDetail{}
	return h.catalog(c, provider, d, views.Form{Values: map[string]string{}, Problems: map[string]string{}}, nil)
}

// CatalogPage is one catalog's page.
func (h *Provider) CatalogPage(c echo.Context, provider *models.Provider) error {
	catalogID, err := id[models.CatalogID](c, "catalog")
	if err != nil {
		return err
	}
	d, err := provider.Catalog(c.Request().Context(), catalogID)
	if err != nil {
		return err
	}
	f := views.Form{Values: map[string]string{"name": d.Name, "slug": d.Slug}, Problems: map[string]string{}}
	return h.catalog(c, provider, d, f, nil)
}

func (h *Provider) catalog(c echo.Context, provider *models.Provider, d models.CatalogDetail, f views.Form, cause error) error {
	p := views.CatalogPageProps{Catalog: d, Form: f, CanWrite: provider.Can(models.ProviderWrite)}
	ctx := c.Request().Context()
	var err error
	if p.Templates, err = provider.Templates(ctx); err != nil {
		return err
	}
	if p.Orgs, err = provider.Orgs(ctx); err != nil {
		return err
	}
	if d.ID != "" {
		if p.Changes, err = provider.RecentChanges(ctx, string(d.ID)); err != nil {
			return err
		}
	}
	if p.Frame, err = h.at(c, views.EntryCatalogs); err != nil {
		return err
	}
	status := http.StatusOK
	if cause != nil {
		var again bool
		if status, again = refused(c, p.Form, cause, &p.Frame); !again {
			return cause
		}
	}
	return Render(c, status, views.CatalogPage(p))
}

// PutCatalog makes a catalog, or changes one.
func (h *Provider) PutCatalog(c echo.Context, provider *models.Provider) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in, "name", "slug")
	d := models.CatalogDetail{Catalog: models.Catalog{Name: f.Values["name"], Slug: f.Values["slug"], Public: in.values.Get("public") == "yes"}}
	if c.Param("id") != "" {
		if d.ID, err = id[models.CatalogID](c, "catalog"); err != nil {
			return err
		}
	}
	for _, v := range firsts(in.values["templates"], 2000) {
		d.Templates = append(d.Templates, models.TemplateID(v))
	}
	for _, v := range firsts(in.values["orgs"], 2000) {
		d.Orgs = append(d.Orgs, models.OrgID(v))
	}
	made, err := d, faulty(f)
	if err == nil {
		made, err = provider.PutCatalog(c.Request().Context(), d)
	}
	if err != nil {
		return h.catalog(c, provider, d, f, err)
	}
	return h.leave(c, views.ProviderCatalogsURL, ui.Good, made.Name+" is saved.")
}

// firsts bounds what a form can name.
func firsts(list []string, most int) []string { return list[:min(len(list), most)] }

// RemoveCatalog takes one away.
func (h *Provider) RemoveCatalog(c echo.Context, provider *models.Provider) error {
	catalogID, err := id[models.CatalogID](c, "catalog")
	if err != nil {
		return err
	}
	return h.moved(c, views.ProviderCatalogsURL, "The catalog is removed. Its templates stay.", provider.RemoveCatalog(c.Request().Context(), catalogID))
}

// NewTemplate is the form for another template.
func (h *Provider) NewTemplate(c echo.Context, provider *models.Provider) error {
	f := views.Form{Problems: map[string]string{}, Values: map[string]string{"min_vcpus": "1", "min_memory_mib": "512", "min_disk_gib": "8", "version": "1"}}
	return h.template(c, provider, "", &f, nil)
}

// TemplatePage is one template's page.
func (h *Provider) TemplatePage(c echo.Context, provider *models.Provider) error {
	templateID, err := id[models.TemplateID](c, "template")
	if err != nil {
		return err
	}
	return h.template(c, provider, templateID, nil, nil)
}

func (h *Provider) template(c echo.Context, provider *models.Provider, templateID models.TemplateID, f *views.Form, cause error) error {
	p := views.TemplatePageProps{CanWrite: provider.Can(models.ProviderWrite)}
	ctx := c.Request().Context()
	var err error
	if p.Clouds, err = provider.Clouds(ctx); err != nil {
		return err
	}
	if templateID != "" {
		if p.Template, err = provider.Template(ctx, templateID); err != nil {
			return err
		}
		if p.Changes, err = provider.RecentChanges(ctx, string(templateID)); err != nil {
			return err
		}
		p.Form = templateForm(p.Template)
	}
	if f != nil {
		p.Form = *f
	}
	if p.Frame, err = h.at(c, views.EntryCatalogs); err != nil {
		return err
	}
	status := http.StatusOK
	if cause != nil {
		var again bool
		if status, again = refused(c, p.Form, cause, &p.Frame); !again {
			return cause
		}
	}
	return Render(c, status, views.TemplatePage(p))
}

func templateForm(t models.TemplateDetail) views.Form {
	f := views.Form{Problems: map[string]string{}, Values: map[string]string{"name": t.Name, "slug": t.Slug, "os": t.OS, "icon": t.Icon, "version": t.Version,
		"description": t.Description, "min_vcpus": strconv.Itoa(t.MinVCPUs), "min_memory_mib": strconv.Itoa(t.MinMemoryMiB), "min_disk_gib": strconv.Itoa(t.MinDiskGiB)}}
	for cloud, image := range t.Images {
		f.Values["image_"+string(cloud)] = image
	}
	return f
}

// PutTemplate makes a template, or changes one.
func (h *Provider) PutTemplate(c echo.Context, provider *models.Provider) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	clouds, err := provider.Clouds(ctx)
	if err != nil {
		return err
	}
	fields := []string{"name", "slug", "os", "icon", "version", "description", "min_vcpus", "min_memory_mib", "min_disk_gib"}
	for _, cloud := range clouds {
		fields = append(fields, "image_"+string(cloud.ID))
	}
	f := typed(in, fields...)
	v := f.Values
	t := models.Template{Name: v["name"], Slug: v["slug"], OS: v["os"], Icon: v["icon"], Version: v["version"], Description: v["description"],
		MinVCPUs: whole(f, "min_vcpus"), MinMemoryMiB: whole(f, "min_memory_mib"), MinDiskGiB: whole(f, "min_disk_gib")}
	if c.Param("id") != "" {
		if t.ID, err = id[models.TemplateID](c, "template"); err != nil {
			return err
		}
	}
	images := map[models.CloudID]string{}
	for _, cloud := range clouds {
		if image := v["image_"+string(cloud.ID)]; image != "" {
			images[cloud.ID] = image
		}
	}
	made, err := t, faulty(f)
	if err == nil {
		made, err = provider.PutTemplate(ctx, t, images)
	}
	if err != nil {
		return h.template(c, provider, t.ID, &f, err)
	}
	return h.leave(c, views.ProviderTemplateURL(made.ID), ui.Good, made.Name+" is saved.")
}

// RetireTemplate takes a template off every menu, or puts it back.
func (h *Provider) RetireTemplate(retire bool) func(echo.Context, *models.Provider) error {
	return func(c echo.Context, provider *models.Provider) error {
		templateID, err := id[models.TemplateID](c, "template")
		if err != nil {
			return err
		}
		done := "It is offered again."
		if retire {
			done = "It is retired. Machines that were made of it stay."
		}
		return h.moved(c, views.ProviderTemplateURL(templateID), done, provider.RetireTemplate(c.Request().Context(), templateID, retire))
	}
}
