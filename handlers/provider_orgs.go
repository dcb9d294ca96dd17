package handlers

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Orgs lists the orgs with their bars.
func (h *Provider) Orgs(c echo.Context, provider *models.Provider) error {
	p := views.OrgListProps{CanWrite: provider.Can(models.ProviderWrite)}
	var err error
	if p.Orgs, err = provider.Orgs(c.Request().Context()); err != nil {
		return err
	}
	if p.Frame, err = h.at(c, views.EntryOrgs); err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.OrgList(p))
}

// usualLimits are what the form for a new org begins with.
var usualLimits = models.Limits{
	models.ResourceMachines: 20, models.ResourceVCPUs: 80, models.ResourceMemory: 160 << 10,
	models.ResourceStorage: 2000, models.ResourcePublicIPs: 4, models.ResourceConsoles: 10,
}

func limitsForm(limits models.Limits) views.Form {
	f := views.Form{Values: map[string]string{}, Problems: map[string]string{}}
	for _, res := range models.Resources {
		n, known := limits[res]
		if !known {
			n = 20
		}
		f.Values["quota_"+string(res)] = strconv.FormatInt(n, 10)
	}
	return f
}

// typedLimits reads the bars of a form.
func typedLimits(f views.Form) models.Limits {
	limits := models.Limits{}
	for _, res := range models.Resources {
		name := "quota_" + string(res)
		n, err := strconv.ParseInt(strings.TrimSpace(f.Values[name]), 10, 64)
		if err != nil || n < 0 {
			f.Problems[name] = "Enter a whole number from 0."
			continue
		}
		limits[res] = n
	}
	return limits
}

func orgFields(more ...string) []string {
	list := append([]string{"name"}, more...)
	for _, res := range models.Resources {
		list = append(list, "quota_"+string(res))
	}
	return list
}

// NewOrg is the form for another org.
func (h *Provider) NewOrg(c echo.Context, _ *models.Provider) error {
	return h.orgForm(c, limitsForm(usualLimits), nil)
}

func (h *Provider) orgForm(c echo.Context, f views.Form, cause error) error {
	frame, err := h.at(c, views.EntryOrgs)
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
	return Render(c, status, views.OrgNew(views.OrgNewProps{Frame: frame, Form: f, CanInvite: h.invitations != nil}))
}

// AddOrg makes an org, and invites its first admin in the same breath.
func (h *Provider) AddOrg(c echo.Context, provider *models.Provider) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in, orgFields("slug", "email")...)
	limits := typedLimits(f)
	if h.invitations != nil && f.Values["email"] == "" {
		f.Problems["email"] = "Enter the address of the org's first administrator."
	}
	var (
		org  models.Org
		sent identity.Sent
		ctx  = c.Request().Context()
	)
	if err = faulty(f); err == nil {
		org, err = provider.AddOrg(ctx, f.Values["slug"], f.Values["name"], limits, func(w *models.Writer, org models.Org) error {
			if h.invitations == nil {
				return nil
			}
			var err error
			sent, err = h.invitations.Invite(ctx, w, org, f.Values["email"], models.RoleAdmin)
			return err
		})
	}
	if err != nil {
		return h.orgForm(c, f, err)
	}
	return h.adminInvited(c, http.StatusCreated, org, sent, org.Name+" is created")
}

// orgSlug is the org that the address names.
func orgSlug(c echo.Context) (string, error) { return id[string](c, "org") }

// Org is an org's page for operators.
func (h *Provider) Org(c echo.Context, provider *models.Provider) error {
	return h.org(c, provider, orgForms{}, nil)
}

// orgForms are the forms of an org's page: the one that was sent, as it was
// filled in.
type orgForms struct{ edited, looked, invited *views.Form }

func (f orgForms) sent() views.Form { return *cmp.Or(f.edited, f.looked, f.invited) }

func (h *Provider) org(c echo.Context, provider *models.Provider, forms orgForms, cause error) error {
	slug, err := orgSlug(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	p := views.ProviderOrgProps{CanWrite: provider.Can(models.ProviderWrite), CanLook: provider.Can(models.ProviderLook)}
	p.CanInvite = p.CanWrite && h.invitations != nil
	if p.Org, err = provider.Org(ctx, slug); err != nil {
		return err
	}
	if p.Changes, err = provider.RecentChanges(ctx, string(p.Org.Org.ID)); err != nil {
		return err
	}
	mine, err := provider.MyLooks(ctx)
	if err != nil {
		return err
	}
	for i, l := range mine {
		if l.OrgID == p.Org.Org.ID {
			p.MyLook = &mine[i]
		}
	}
	if p.Frame, err = h.at(c, views.EntryOrgs); err != nil {
		return err
	}
	limits := models.Limits{}
	for _, q := range p.Org.Quotas {
		limits[q.Resource] = q.Ceiling
	}
	p.Form = limitsForm(limits)
	p.Form.Values["name"] = p.Org.Org.Name
	p.LookForm = views.Form{Values: map[string]string{"minutes": "30"}}
	status := http.StatusOK
	if cause != nil {
		var again bool
		if status, again = refused(c, forms.sent(), cause, &p.Frame); !again {
			return cause
		}
	}
	for form, typed := range map[*views.Form]*views.Form{&p.Form: forms.edited, &p.LookForm: forms.looked, &p.InviteForm: forms.invited} {
		if typed != nil {
			*form = *typed
		}
	}
	return Render(c, status, views.ProviderOrg(p))
}

// EditOrg changes name and quotas.
func (h *Provider) EditOrg(c echo.Context, provider *models.Provider) error {
	slug, err := orgSlug(c)
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in, orgFields()...)
	limits := typedLimits(f)
	if err = faulty(f); err == nil {
		err = provider.EditOrg(c.Request().Context(), slug, f.Values["name"], limits)
	}
	if err != nil {
		return h.org(c, provider, orgForms{edited: &f}, err)
	}
	return h.leave(c, views.ProviderOrgURL(slug), ui.Good, "Name and quotas are saved.")
}

// SuspendOrg shuts an org's people out, or lets them in again.
func (h *Provider) SuspendOrg(suspend bool) func(echo.Context, *models.Provider) error {
	return func(c echo.Context, provider *models.Provider) error {
		slug, err := orgSlug(c)
		if err != nil {
			return err
		}
		done := "The org works again."
		if suspend {
			done = "The org is suspended. Its people are shut out within seconds; its machines stay as they are."
		}
		return h.moved(c, views.ProviderOrgURL(slug), done, provider.SuspendOrg(c.Request().Context(), slug, suspend))
	}
}

// StartLook opens an org to this session, for a reason and a time.
func (h *Provider) StartLook(c echo.Context, provider *models.Provider) error {
	slug, err := orgSlug(c)
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	f := typed(in, "minutes")
	f.Values["reason"] = in.text("reason", 1000)
	minutes, _ := strconv.Atoi(f.Values["minutes"]) // 0 is none of the choices
	if err = faulty(f); err == nil {
		_, err = provider.StartLook(c.Request().Context(), slug, f.Values["reason"], minutes)
	}
	if err != nil {
		return h.org(c, provider, orgForms{looked: &f}, err)
	}
	return h.leave(c, views.Place(slug).Home(), ui.Warn, "You are looking in, read only. The org's history says so.")
}

// EndLook ends this session's look.
func (h *Provider) EndLook(c echo.Context, provider *models.Provider) error {
	slug, err := orgSlug(c)
	if err != nil {
		return err
	}
	return h.moved(c, views.ProviderOrgURL(slug), "You don't look into this org any more.", provider.EndLook(c.Request().Context(), slug))
}
