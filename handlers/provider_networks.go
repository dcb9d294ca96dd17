package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Networks is what networks are made of: VLANs per cloud, and public IPs.
func (h *Provider) Networks(c echo.Context, provider *models.Provider) error {
	return h.networks(c, provider, nil, nil, nil)
}

func (h *Provider) networks(c echo.Context, provider *models.Provider, vlans, ranges *views.Form, cause error) error {
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
	status, filled := http.StatusOK, vlans
	if ranges != nil {
		filled = ranges
	}
	if cause != nil {
		var again bool
		if status, again = refused(c, *filled, cause, &p.Frame); !again {
			return cause
		}
	}
	if vlans != nil {
		p.VLANForm = *vlans
	}
	if ranges != nil {
		p.RangeForm = *ranges
	}
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
		return h.networks(c, provider, &f, nil, err)
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
		return h.networks(c, provider, nil, &f, err)
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
	if models.CodeOf(err) == models.CodeInvalid && !scripted(c) {
		return h.networks(c, provider, nil, &views.Form{Values: map[string]string{}, Problems: map[string]string{}}, err)
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
