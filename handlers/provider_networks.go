package handlers

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Networks is what networks are made of: VLANs per cloud, and public IPs.
func (h *Provider) Networks(c echo.Context, provider *models.Provider) error {
	return h.networks(c, provider, networkForms{}, nil)
}

// networkForms are those of the page of which at most one comes back.
type networkForms struct {
	vlans, ranges, price *views.Form
	priced               models.PublicIPRangeID // whose price was typed
}

func (f networkForms) sent() *views.Form { return cmp.Or(f.vlans, f.ranges, f.price) }

func (h *Provider) networks(c echo.Context, provider *models.Provider, forms networkForms, cause error) error {
	p := views.ProviderNetworksProps{CanWrite: provider.Can(models.ProviderWrite)}
	ctx := c.Request().Context()
	var err error
	if p.Clouds, err = provider.Clouds(ctx); err != nil {
		return err
	}
	if p.VLANs, err = provider.VLANRanges(ctx); err != nil {
		return err
	}
	if p.Ranges, err = provider.PublicIPRanges(ctx); err != nil {
		return err
	}
	if p.Frame, err = h.at(c, views.EntryNetworks); err != nil {
		return err
	}
	status := http.StatusOK
	if cause != nil {
		known := func(r models.PublicIPRangeUse) bool { return r.ID == forms.priced }
		if forms.price != nil && !slices.ContainsFunc(p.Ranges, known) {
			return models.ErrNotFound
		}
		var again bool
		if status, again = refused(c, *forms.sent(), cause, &p.Frame); !again {
			return cause
		}
	}
	for form, typed := range map[*views.Form]*views.Form{&p.VLANForm: forms.vlans, &p.RangeForm: forms.ranges, &p.PriceForm: forms.price} {
		if typed != nil {
			*form = *typed
		}
	}
	p.Priced = forms.priced
	return Render(c, status, views.ProviderNetworks(p))
}

// AddVLANs adds a range of VLANs to a cloud.
func (h *Provider) AddVLANs(c echo.Context, provider *models.Provider) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in, "cloud", "first_vlan", "last_vlan")
	v := models.VLANRange{CloudID: models.CloudID(f.Values["cloud"]), FirstVLAN: whole(f, "first_vlan"), LastVLAN: whole(f, "last_vlan")}
	if err = faulty(f); err == nil {
		_, err = provider.AddVLANRange(c.Request().Context(), v)
	}
	if err != nil {
		return h.networks(c, provider, networkForms{vlans: &f}, err)
	}
	return h.leave(c, views.ProviderNetworksURL, ui.Good, "The VLANs are added.")
}

// RemoveVLANs takes a range of VLANs away.
func (h *Provider) RemoveVLANs(c echo.Context, provider *models.Provider) error {
	rangeID, err := id[models.VLANRangeID](c, "range")
	if err != nil {
		return err
	}
	return h.moved(c, views.ProviderNetworksURL, "The range is removed. Networks keep their VLAN.", provider.RemoveVLANRange(c.Request().Context(), rangeID))
}

// AddRange adds a range of public IPs.
func (h *Provider) AddRange(c echo.Context, provider *models.Provider) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in, "name", "first_address", "last_address", "price")
	r := models.PublicIPRange{Name: f.Values["name"], FirstAddress: f.Values["first_address"], LastAddress: f.Values["last_address"],
		PricePerHourMicros: micros(f, "price")}
	if err = faulty(f); err == nil {
		_, err = provider.AddPublicIPRange(c.Request().Context(), r)
	}
	if err != nil {
		return h.networks(c, provider, networkForms{ranges: &f}, err)
	}
	return h.leave(c, views.ProviderNetworksURL, ui.Good, r.Name+" is added.")
}

// PriceRange sets a range's price.
func (h *Provider) PriceRange(c echo.Context, provider *models.Provider) error {
	rangeID, err := id[models.PublicIPRangeID](c, "range")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in, "price")
	price := micros(f, "price")
	if err = faulty(f); err == nil {
		err = provider.ChangePublicIPRange(c.Request().Context(), rangeID, &price, nil)
	}
	if models.CodeOf(err) == models.CodeInvalid {
		return h.networks(c, provider, networkForms{price: &f, priced: rangeID}, err)
	}
	return h.moved(c, views.ProviderNetworksURL, "The price is changed.", err)
}

// SwitchRange disables a range for new assignments, or enables it.
func (h *Provider) SwitchRange(disable bool) func(echo.Context, *models.Provider) error {
	return func(c echo.Context, provider *models.Provider) error {
		rangeID, err := id[models.PublicIPRangeID](c, "range")
		if err != nil {
			return err
		}
		done := "Addresses are given out of it again."
		if disable {
			done = "No new address is given out of it. What is assigned stays."
		}
		return h.moved(c, views.ProviderNetworksURL, done, provider.ChangePublicIPRange(c.Request().Context(), rangeID, nil, &disable))
	}
}

// RemoveRange takes a range away that nobody uses.
func (h *Provider) RemoveRange(c echo.Context, provider *models.Provider) error {
	rangeID, err := id[models.PublicIPRangeID](c, "range")
	if err != nil {
		return err
	}
	return h.moved(c, views.ProviderNetworksURL, "The range is removed.", provider.RemovePublicIPRange(c.Request().Context(), rangeID))
}
