package handlers

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// History shows who did what in the org, gives it away and has it verified.
type History struct {
	frames
	audit *audit.Service
	pace  pace // of who takes an export
}

// filter reads what narrows the history.
func (in *input) filter() (f models.EventFilter, from, to string) {
	f = models.EventFilter{
		Actor: in.text("actor", maxSearch), Action: choice(in, "action", models.Actions), Object: in.text("object", maxSearch),
		Outcome: choice(in, "outcome", models.Outcomes), Text: in.text("q", maxSearch),
		From: in.day("from"), To: in.day("to"), Page: in.paging(),
	}
	from, to = in.text("from", maxSearch), in.text("to", maxSearch)
	if wholeDay(to) {
		f.To = f.To.AddDate(0, 0, 1)
	}
	return f, from, to
}

// filtered is the page that the address asks for, without its events yet.
func filtered(c echo.Context) (p views.HistoryProps, err error) {
	in := query(c)
	p.Filter, p.From, p.To = in.filter()
	return p, in.err()
}

// List shows a page of the history. An event's before and after come with it.
func (h *History) List(c echo.Context, scope *models.Scope) error {
	p, err := filtered(c)
	if err != nil {
		return err
	}
	if err := h.read(c, scope, &p); err != nil {
		return err
	}
	if views.Part(c.Request()) == views.PartList {
		return Render(c, http.StatusOK, views.HistoryRows(p))
	}
	return Render(c, http.StatusOK, views.History(p))
}

// read fills in the page's events and how far they are sealed.
func (h *History) read(c echo.Context, scope *models.Scope, p *views.HistoryProps) error {
	p.CanExport = scope.Can(models.HistoryExport)
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Page, err = r.Events(p.Filter); err != nil {
			return err
		}
		if p.Sealed, err = r.Sealed(p.Page.Rows); err != nil {
			return err
		}
		if p.Archived, err = r.LastSegment(); err != nil {
			return err
		}
		p.Signed, err = r.LastCheckpoint()
		return err
	})
	p.Frame = frame
	return err
}

// Export streams what the page's filter lets through.
func (h *History) Export(c echo.Context, scope *models.Scope) error {
	filter, format, err := exportOf(c)
	if err != nil {
		return err
	}
	return h.stream(c, func(ctx context.Context) (*audit.Export, error) {
		return h.audit.Export(ctx, scope, filter, format)
	})
}

func exportOf(c echo.Context) (models.EventFilter, audit.Format, error) {
	in := query(c)
	filter, _, _ := in.filter()
	format := choice(in, "format", audit.Formats)
	if format == "" {
		format = audit.JSONL
	}
	return filter, format, in.err()
}

// Verify goes over the whole history and shows the verdict on its page.
func (h *History) Verify(c echo.Context, scope *models.Scope) error {
	p, err := filtered(c)
	if err != nil {
		return err
	}
	return unhurried(c, verifyTimeout, func() error {
		report, err := h.audit.Verify(c.Request().Context(), scope)
		if err != nil {
			return err
		}
		p.Verdict = h.verdict(report)
		if err := h.read(c, scope, &p); err != nil {
			return err
		}
		return Render(c, http.StatusOK, views.History(p))
	})
}

func (h *History) verdict(report audit.Report) *ui.Message {
	verdict := &ui.Message{Tone: ui.Good, Text: report.String()}
	if !report.Intact() {
		verdict.Tone = ui.Bad
	} else if !h.audit.Signs() {
		verdict.Tone = ui.Warn
		verdict.Text += " No checkpoints are signed: whoever owns the database could have made the whole chain anew."
	}
	return verdict
}

// Show is one event with all that is known of it.
func (h *History) Show(c echo.Context, scope *models.Scope) error {
	event, err := id[models.EventID](c, "event")
	if err != nil {
		return err
	}
	var p views.HistoryEventProps
	p.Frame, err = h.page(c, scope, func(r *models.Reader) error {
		p.Event, p.Link, err = r.EventAndLink(event)
		if models.CodeOf(err) == models.CodeNotFound {
			var archived models.ArchivedEvent
			archived, err = r.ArchivedEvent(event)
			p.Link, p.Archived = archived.Link, archived.Segment
		}
		return err
	})
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.HistoryEvent(p))
}
