package handlers

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Menu lists the instance types.
func (h *Provider) Menu(c echo.Context, provider *models.Provider) error {
	list, err := provider.Menu(c.Request().Context())
	if err != nil {
		return err
	}
	frame, err := h.at(c, views.EntryMenu)
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.MenuList(views.MenuListProps{Frame: frame, Types: list, CanWrite: provider.Can(models.ProviderWrite)}))
}

// NewType is the form for another row.
func (h *Provider) NewType(c echo.Context, provider *models.Provider) error {
	f := views.Form{Values: map[string]string{"vcpus": "2", "memory_mib": "4096", "disk_gib": "40"}, Problems: map[string]string{}}
	return h.instanceType(c, provider, "", &f, nil)
}

// Type is one row's page.
func (h *Provider) Type(c echo.Context, provider *models.Provider) error {
	typeID, err := id[models.InstanceTypeID](c, "instance type")
	if err != nil {
		return err
	}
	return h.instanceType(c, provider, typeID, nil, nil)
}

func (h *Provider) instanceType(c echo.Context, provider *models.Provider, typeID models.InstanceTypeID, f *views.Form, cause error) error {
	p := views.InstanceTypeProps{CanWrite: provider.Can(models.ProviderWrite)}
	ctx := c.Request().Context()
	var err error
	if typeID != "" {
		if p.Type, err = provider.InstanceType(ctx, typeID); err != nil {
			return err
		}
		if p.Changes, err = provider.RecentChanges(ctx, string(typeID)); err != nil {
			return err
		}
		t := p.Type
		p.Form = views.Form{Problems: map[string]string{}, Values: map[string]string{"name": t.Name, "slug": t.Slug, "vcpus": strconv.Itoa(t.VCPUs),
			"memory_mib": strconv.Itoa(t.MemoryMiB), "disk_gib": strconv.Itoa(t.DiskGiB), "price": views.PriceText(t.PricePerHourMicros)}}
	}
	if f != nil {
		p.Form = *f
	}
	if p.Frame, err = h.at(c, views.EntryMenu); err != nil {
		return err
	}
	status := http.StatusOK
	if cause != nil {
		var again bool
		if status, again = refused(c, p.Form, cause, &p.Frame); !again {
			return cause
		}
	}
	return Render(c, status, views.InstanceTypePage(p))
}

func typeOf(f views.Form) (models.InstanceType, error) {
	t := models.InstanceType{Name: f.Values["name"], Slug: f.Values["slug"], VCPUs: whole(f, "vcpus"), MemoryMiB: whole(f, "memory_mib"),
		DiskGiB: whole(f, "disk_gib"), PricePerHourMicros: micros(f, "price")}
	return t, faulty(f)
}

// AddType puts a row on the menu.
func (h *Provider) AddType(c echo.Context, provider *models.Provider) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in, "name", "slug", "vcpus", "memory_mib", "disk_gib", "price")
	t, err := typeOf(f)
	if err == nil {
		t, err = provider.AddInstanceType(c.Request().Context(), t)
	}
	if err != nil {
		return h.instanceType(c, provider, "", &f, err)
	}
	return h.leave(c, views.ProviderMenuURL, ui.Good, t.Name+" is on the menu.")
}

// EditType changes a row.
func (h *Provider) EditType(c echo.Context, provider *models.Provider) error {
	typeID, err := id[models.InstanceTypeID](c, "instance type")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in, "name", "vcpus", "memory_mib", "disk_gib", "price")
	t, err := typeOf(f)
	if err == nil {
		t.ID = typeID
		err = provider.EditInstanceType(c.Request().Context(), t)
	}
	if err != nil {
		return h.instanceType(c, provider, typeID, &f, err)
	}
	return h.leave(c, views.ProviderTypeURL(typeID), ui.Good, "Saved. New orders see it; machines that are there keep size and price.")
}

// RetireType takes a row off the menu, or puts it back.
func (h *Provider) RetireType(retire bool) func(echo.Context, *models.Provider) error {
	return func(c echo.Context, provider *models.Provider) error {
		typeID, err := id[models.InstanceTypeID](c, "instance type")
		if err != nil {
			return err
		}
		done := "It is on the menu again."
		if retire {
			done = "It is off the menu. Machines of this size stay."
		}
		return h.moved(c, views.ProviderMenuURL, done, provider.RetireInstanceType(c.Request().Context(), typeID, retire))
	}
}

// MoveType moves a row up or down.
func (h *Provider) MoveType(up bool) func(echo.Context, *models.Provider) error {
	return func(c echo.Context, provider *models.Provider) error {
		typeID, err := id[models.InstanceTypeID](c, "instance type")
		if err != nil {
			return err
		}
		return h.moved(c, views.ProviderMenuURL, "", provider.MoveInstanceType(c.Request().Context(), typeID, up))
	}
}
