package handlers

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// What the two pages of a cloud's form take.
var (
	cloudSettings   = []string{"name", "slug", "class", "price_factor"}
	cloudConnection = []string{"url", "datacenter", "folder", "resource_pool", "datastore"}
)

// Clouds lists the clouds.
func (h *Provider) Clouds(c echo.Context, provider *models.Provider) error {
	list, err := provider.Clouds(c.Request().Context())
	if err != nil {
		return err
	}
	p := views.CloudListProps{Clouds: list, CanWrite: provider.Can(models.ProviderWrite)}
	if p.Frame, err = h.at(c, views.EntryClouds); err != nil {
		return err
	}
	if views.Part(c.Request()) == views.PartList {
		return Render(c, http.StatusOK, views.CloudListLive(p))
	}
	return Render(c, http.StatusOK, views.CloudList(p))
}

// NewCloud is the first page of adding one.
func (h *Provider) NewCloud(c echo.Context, _ *models.Provider) error {
	f := views.Form{Values: map[string]string{"class": "private", "price_factor": "100"}, Problems: map[string]string{}}
	return h.cloudForm(c, f, nil)
}

func (h *Provider) cloudForm(c echo.Context, f views.Form, cause error) error {
	frame, err := h.at(c, views.EntryClouds)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if cause != nil {
		var again bool
		if status, again = refused(c, f, cause, &frame); !again {
			return cause
		}
	}
	return Render(c, status, views.CloudNew(views.CloudNewProps{Frame: frame, Form: f}))
}

// login is the cloud that a form describes.
func login(f views.Form) models.CloudLogin {
	v := f.Values
	factor := 100
	if _, asked := v["price_factor"]; asked {
		factor = whole(f, "price_factor")
	}
	return models.CloudLogin{Username: v["username"], Cloud: models.Cloud{
		Slug: v["slug"], Name: v["name"], Class: models.CloudClass(v["class"]), PriceFactorPercent: factor, URL: v["url"],
		ThumbprintSHA256: v["pin"], Datacenter: v["datacenter"], Folder: v["folder"], ResourcePool: v["resource_pool"], Datastore: v["datastore"],
	}}
}

// CloudCertificate shows what answers at the address of a cloud to be.
func (h *Provider) CloudCertificate(c echo.Context, provider *models.Provider) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	hidden := append(append([]string{}, cloudSettings...), cloudConnection...)
	f := typed(in, hidden...)
	if f.Values["name"] == "" {
		f.Problems["name"] = "Enter a name."
	}
	login(f)
	if err := faulty(f); err != nil {
		return h.cloudForm(c, f, err)
	}
	seen, err := h.look(c, provider, f.Values["url"])
	if err != nil {
		return h.cloudForm(c, f, err)
	}
	return h.confirm(c, views.CloudConfirmProps{Certificate: seen, Form: f, Hidden: hidden, Action: views.ProviderCloudsURL}, nil)
}

// look fetches a certificate, and tells the history that it was.
func (h *Provider) look(c echo.Context, provider *models.Provider, url string) (models.Certificate, error) {
	if words := models.CloudURLFault(url); words != "" {
		return models.Certificate{}, models.Invalid(map[string]string{"url": words})
	}
	ctx := c.Request().Context()
	seen, cause := h.connector.Certificate(ctx, url)
	if err := provider.TellTest(ctx, url, cause); err != nil {
		return seen, err
	}
	return seen, cause
}

func (h *Provider) confirm(c echo.Context, p views.CloudConfirmProps, cause error) error {
	var err error
	if p.Frame, err = h.at(c, views.EntryClouds); err != nil {
		return err
	}
	status := http.StatusOK
	if cause != nil {
		var again bool
		if status, again = refused(c, p.Form, cause, &p.Frame); !again {
			return cause
		}
	}
	return Render(c, status, views.CloudConfirm(p))
}

// tested reads the second page, and tests the connection with the account and
// the confirmed pin.
func (h *Provider) tested(c echo.Context, provider *models.Provider, in *input, f views.Form, stored models.CloudID) (models.CloudLogin, error) {
	l := login(f)
	if f.Values["pin_confirmed"] != "yes" {
		f.Problems["pin_confirmed"] = "Confirm the certificate, or the portal won't send the password."
	}
	if f.Values["username"] == "" {
		f.Problems["username"] = "Enter the service account's name."
	}
	l.Password = in.values.Get("password")
	switch {
	case len(l.Password) > 500:
		f.Problems["password"] = "This is too long."
	case l.Password == "" && stored == "":
		f.Problems["password"] = "Enter the service account's password."
	}
	if words := models.CloudURLFault(l.URL); words != "" {
		f.Problems["url"] = words
	}
	if err := faulty(f); err != nil {
		return l, err
	}
	ctx := c.Request().Context()
	if l.Password == "" {
		var err error
		if l.Password, err = provider.CloudPassword(ctx, stored, l.URL, l.ThumbprintSHA256); err != nil {
			return l, err
		}
	}
	about, cause := h.connector.Check(ctx, l)
	if err := provider.TellTest(ctx, l.URL, cause); err != nil {
		return l, err
	}
	l.InstanceUUID = about.InstanceUUID
	return l, cause
}

// AddCloud tests the connection and stores the cloud.
func (h *Provider) AddCloud(c echo.Context, provider *models.Provider) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	hidden := append(append([]string{}, cloudSettings...), cloudConnection...)
	f := typed(in, append([]string{"username", "pin", "pin_confirmed"}, hidden...)...)
	l, err := h.tested(c, provider, in, f, "")
	if err == nil {
		l.Cloud, err = provider.AddCloud(c.Request().Context(), l)
	}
	if err != nil {
		return h.confirmAgain(c, provider, views.CloudConfirmProps{Form: f, Hidden: hidden, Action: views.ProviderCloudsURL}, err)
	}
	return h.leave(c, views.ProviderCloudURL(l.ID), ui.Good, l.Name+" is added. The portal connects to it now.")
}

// confirmAgain shows the second page with what was wrong, and the certificate
// as it is now. Where the first page's fields are at fault, or nothing answers,
// a new cloud's first page comes back.
func (h *Provider) confirmAgain(c echo.Context, provider *models.Provider, p views.CloudConfirmProps, cause error) error {
	if models.CodeOf(cause) != models.CodeInvalid || scripted(c) {
		return cause
	}
	seen, err := h.look(c, provider, p.Form.Values["url"])
	if err != nil {
		switch {
		case models.CodeOf(err) != models.CodeInvalid:
			return err
		case p.Cloud.ID == "":
			return h.cloudForm(c, p.Form, err)
		default:
			return h.cloud(c, provider, nil, &p.Form, err)
		}
	}
	if p.Form.Values["pin"] != seen.SHA256 {
		delete(p.Form.Values, "pin_confirmed")
	}
	p.Certificate = seen
	return h.confirm(c, p, cause)
}

// Cloud is one cloud's page, or its live part.
func (h *Provider) Cloud(c echo.Context, provider *models.Provider) error {
	return h.cloud(c, provider, nil, nil)
}

func (h *Provider) cloud(c echo.Context, provider *models.Provider, settings, connection *views.Form, causes ...error) error {
	cloudID, err := id[models.CloudID](c, "cloud")
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	p := views.CloudProps{CanWrite: provider.Can(models.ProviderWrite)}
	if p.Cloud, err = provider.Cloud(ctx, cloudID); err != nil {
		return err
	}
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.CloudLive(p))
	}
	if p.Changes, err = provider.RecentChanges(ctx, string(cloudID)); err != nil {
		return err
	}
	if p.Frame, err = h.at(c, views.EntryClouds); err != nil {
		return err
	}
	p.Settings, p.Connection = cloudForms(p.Cloud.Cloud)
	status := http.StatusOK
	for form, place := range map[*views.Form]*views.Form{settings: &p.Settings, connection: &p.Connection} {
		if form == nil {
			continue
		}
		var again bool
		if status, again = refused(c, *form, causes[0], &p.Frame); !again {
			return causes[0]
		}
		*place = *form
	}
	return Render(c, status, views.Cloud(p))
}

// cloudForms are a cloud's two forms as it is.
func cloudForms(c models.Cloud) (settings, connection views.Form) {
	settings = views.Form{Problems: map[string]string{}, Values: map[string]string{
		"name": c.Name, "slug": c.Slug, "class": string(c.Class), "price_factor": strconv.Itoa(c.PriceFactorPercent)}}
	connection = views.Form{Problems: map[string]string{}, Values: map[string]string{
		"url": c.URL, "datacenter": c.Datacenter, "folder": c.Folder, "resource_pool": c.ResourcePool, "datastore": c.Datastore}}
	return settings, connection
}

// CloudSettings stores what needs no connection.
func (h *Provider) CloudSettings(c echo.Context, provider *models.Provider) error {
	cloudID, err := id[models.CloudID](c, "cloud")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in, "name", "class", "price_factor")
	l := login(f)
	if err = faulty(f); err == nil {
		l.ID = cloudID
		err = provider.EditCloudSettings(c.Request().Context(), l.Cloud)
	}
	if err != nil {
		return h.cloud(c, provider, &f, nil, err)
	}
	return h.leave(c, views.ProviderCloudURL(cloudID), ui.Good, "The settings are saved.")
}

// CloudReconnect shows what answers at a cloud's changed address.
func (h *Provider) CloudReconnect(c echo.Context, provider *models.Provider) error {
	in, d, err := h.known(c, provider)
	if err != nil {
		return err
	}
	f := typed(in, cloudConnection...)
	err = faulty(f)
	var seen models.Certificate
	if err == nil {
		seen, err = h.look(c, provider, f.Values["url"])
	}
	if err != nil {
		return h.cloud(c, provider, nil, &f, err)
	}
	f.Values["username"] = d.Username
	return h.confirm(c, views.CloudConfirmProps{Cloud: d.Cloud, Certificate: seen, Form: f, Hidden: cloudConnection,
		Action: views.ProviderCloudURL(d.ID)}, nil)
}

func (h *Provider) known(c echo.Context, provider *models.Provider) (*input, models.CloudDetail, error) {
	cloudID, err := id[models.CloudID](c, "cloud")
	if err != nil {
		return nil, models.CloudDetail{}, err
	}
	in, err := form(c)
	if err != nil {
		return nil, models.CloudDetail{}, err
	}
	d, err := provider.Cloud(c.Request().Context(), cloudID)
	return in, d, err
}

// EditCloud tests a changed connection and stores it.
func (h *Provider) EditCloud(c echo.Context, provider *models.Provider) error {
	in, d, err := h.known(c, provider)
	if err != nil {
		return err
	}
	f := typed(in, append([]string{"username", "pin", "pin_confirmed"}, cloudConnection...)...)
	l, err := h.tested(c, provider, in, f, d.ID)
	if err == nil {
		l.ID, l.Slug, l.Name, l.Class, l.PriceFactorPercent = d.ID, d.Slug, d.Name, d.Class, d.PriceFactorPercent
		err = provider.EditCloud(c.Request().Context(), l)
	}
	if err != nil {
		return h.confirmAgain(c, provider, views.CloudConfirmProps{Cloud: d.Cloud, Form: f, Hidden: cloudConnection,
			Action: views.ProviderCloudURL(d.ID)}, err)
	}
	return h.leave(c, views.ProviderCloudURL(d.ID), ui.Good, "The connection is changed. The portal connects anew.")
}

// MoveCloud disables, enables, drains or undrains one.
func (h *Provider) MoveCloud(action models.Action, done string) func(echo.Context, *models.Provider) error {
	return func(c echo.Context, provider *models.Provider) error {
		cloudID, err := id[models.CloudID](c, "cloud")
		if err != nil {
			return err
		}
		return h.moved(c, views.ProviderCloudURL(cloudID), done, provider.MoveCloud(c.Request().Context(), cloudID, action))
	}
}
