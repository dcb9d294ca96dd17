package handlers

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// chain finds the history that "org" names; none is all of them.
func chain(c echo.Context, provider *models.Provider) (models.Org, error) {
	slug := c.QueryParam("org")
	if slug == "" {
		return models.Org{}, nil
	}
	return provider.Chain(c.Request().Context(), slug)
}

// oneChain is chain where one has to be chosen.
func oneChain(c echo.Context, provider *models.Provider) (models.Org, error) {
	org, err := chain(c, provider)
	if err == nil && org.ID == "" {
		err = models.Invalid(map[string]string{"org": "Choose whose history: each has a chain of its own."})
	}
	return org, err
}

// All is the provider's page of every org's history, and of its own.
func (h *History) All(c echo.Context, provider *models.Provider) error {
	org, err := chain(c, provider)
	if err != nil {
		return err
	}
	p, err := filtered(c)
	if err != nil {
		return err
	}
	return h.showAll(c, provider, org, p)
}

func (h *History) showAll(c echo.Context, provider *models.Provider, org models.Org, p views.HistoryProps) error {
	history, err := provider.History(c.Request().Context(), org.ID, p.Filter)
	if err != nil {
		return err
	}
	if p.Frame, err = h.user(c); err != nil {
		return err
	}
	p.Page, p.Sealed, p.Signed, p.Archived = history.Page, history.Sealed, history.Signed, history.Archived
	p.Provider = &views.ProviderHistoryProps{Orgs: history.Orgs, Chain: org.Slug}
	p.CanExport = org.ID != ""
	if views.Part(c.Request()) == views.PartList {
		return Render(c, http.StatusOK, views.HistoryRows(p))
	}
	return Render(c, http.StatusOK, views.History(p))
}

// ShowAny is one event of any history.
func (h *History) ShowAny(c echo.Context, provider *models.Provider) error {
	event, err := id[models.EventID](c, "event")
	if err != nil {
		return err
	}
	p := views.HistoryEventProps{Chain: "Provider"}
	p.Event, p.Link, err = provider.Event(c.Request().Context(), event)
	whose := p.Event.OrgID
	if models.CodeOf(err) == models.CodeNotFound {
		var archived models.ArchivedEvent
		archived, err = provider.ArchivedEvent(c.Request().Context(), event)
		p.Link, p.Archived, whose = archived.Link, archived.Segment, archived.Link.OrgID
	}
	if err != nil {
		return err
	}
	if p.Chain, err = provider.ChainName(c.Request().Context(), whose); err != nil {
		return err
	}
	if p.Frame, err = h.user(c); err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.HistoryEvent(p))
}

// ExportAny streams one of the histories.
func (h *History) ExportAny(c echo.Context, provider *models.Provider) error {
	filter, format, err := exportOf(c)
	if err != nil {
		return err
	}
	org, err := oneChain(c, provider)
	if err != nil {
		return err
	}
	return h.stream(c, func(ctx context.Context) (*audit.Export, error) {
		return h.audit.ExportChain(ctx, provider, org, filter, format)
	})
}

// VerifyAny goes over one of the histories.
func (h *History) VerifyAny(c echo.Context, provider *models.Provider) error {
	org, err := oneChain(c, provider)
	if err != nil {
		return err
	}
	p, err := filtered(c)
	if err != nil {
		return err
	}
	return unhurried(c, verifyTimeout, func() error {
		report, err := h.audit.VerifyChain(c.Request().Context(), provider, org)
		if err != nil {
			return err
		}
		p.Verdict = h.verdict(report)
		return h.showAll(c, provider, org, p)
	})
}
