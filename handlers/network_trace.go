package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// traceExample stands for a visitor where the asker has no IPv4 address.
const traceExample = "203.0.113.9"

// Trace answers "why can't I reach it?" for a service, or its live part.
func (h *Network) Trace(c echo.Context, scope *models.Scope) error {
	service, err := id[models.ServiceID](c, "service")
	if err != nil {
		return err
	}
	in := query(c)
	return h.trace(c, scope, service, http.StatusOK, views.TraceProps{Source: in.text("source", 40)})
}

func (h *Network) trace(c echo.Context, scope *models.Scope, service models.ServiceID, status int, p views.TraceProps) error {
	if p.Source == "" {
		p.Source = traceExample
		if own, ok := network.ParseSource(c.RealIP()); ok {
			p.Source, p.Own = own.String(), true
		}
	}
	source, ok := network.ParseSource(p.Source)
	if !ok {
		p.SourceError = "Enter an IPv4 address, such as " + traceExample + "."
		status = max(status, http.StatusUnprocessableEntity)
	}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		facts, err := network.ReadTrace(r, service)
		if err != nil {
			return err
		}
		facts.Source = source
		p.Service, p.Steps = facts.Service, nil
		walked := network.Walk(facts)
		for i := range walked.Steps {
			s := &walked.Steps[i]
			p.Steps = append(p.Steps, views.TraceStep{Name: s.Name, State: string(s.State), Text: s.Text, Evidence: s.Evidence, Since: s.Since,
				Do: s.Do, Rule: s.Rule, Machine: s.Machine, First: s == walked.First})
		}
		p.Probing = walked.Probing
		if walked.Probing {
			p.Asked = facts.Probes[0].AskedAt
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.Frame, p.CanProbe, p.CanManage = frame, scope.Can(models.NetworkProbe), scope.Can(models.NetworkManage)
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.TraceLive(p))
	}
	return Render(c, status, views.Trace(p))
}

// Probe has the gateway try the service's nodes.
func (h *Network) Probe(c echo.Context, scope *models.Scope) error {
	service, err := id[models.ServiceID](c, "service")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	source := in.text("source", 40)
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error {
		_, err := w.ProbeService(service)
		return err
	})
	if errors.Is(err, models.ErrConflict) && !scripted(c) {
		return h.trace(c, scope, service, http.StatusConflict, views.TraceProps{Source: source, Problem: sentence(err)})
	}
	if err != nil {
		return err
	}
	return h.leave(c, views.TraceFrom(place(scope), service, source), ui.Good, "The gateway is asked. Its answer shows here.")
}
