package handlers

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

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
}

const (
	// exportWriteTimeout is how long a browser may leave a part of an export
	// unread.
	exportWriteTimeout = time.Minute
	// verifyTimeout bounds a verification: of some ten million events.
	verifyTimeout = 10 * time.Minute
)

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

// List shows a page of the history. An event's before and after come with it.
func (h *History) List(c echo.Context, scope *models.Scope) error {
	in := query(c)
	var p views.HistoryProps
	p.Filter, p.From, p.To = in.filter()
	if err := in.err(); err != nil {
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
	export, err := h.audit.Export(c.Request().Context(), scope, filter, format)
	if err != nil {
		return err
	}
	return stream(c, export)
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

// stream sends the export as it is made.
func stream(c echo.Context, export *audit.Export) error {
	header := c.Response().Header()
	header.Set(echo.HeaderContentType, export.ContentType())
	header.Set(echo.HeaderContentDisposition, "attachment; filename="+strconv.Quote(export.FileName()))
	out := &patientWriter{w: c.Response(), control: http.NewResponseController(c.Response())}
	err := export.Stream(c.Request().Context(), out)
	if err != nil && c.Response().Committed {
		// What was sent must not look whole: end the connection, not the file.
		panic(http.ErrAbortHandler)
	}
	return err
}

// patientWriter gives every part its own time, where a page has one for all.
type patientWriter struct {
	w       io.Writer
	control *http.ResponseController
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(exportWriteTimeout)); err != nil && !isUnsupported(err) {
		return 0, err
	}
	return p.w.Write(b)
}

// isUnsupported: under a test, nothing has deadlines.
func isUnsupported(err error) bool { return errors.Is(err, http.ErrNotSupported) }

// Verify goes over the whole history and shows the verdict on its page.
func (h *History) Verify(c echo.Context, scope *models.Scope) error {
	if err := timeToVerify(c); err != nil {
		return err
	}
	report, err := h.audit.Verify(c.Request().Context(), scope)
	if err != nil {
		return err
	}
	p := views.HistoryProps{Verdict: h.verdict(report)}
	if err := h.read(c, scope, &p); err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.History(p))
}

func timeToVerify(c echo.Context) error {
	control := http.NewResponseController(c.Response())
	if err := control.SetWriteDeadline(time.Now().Add(verifyTimeout)); err != nil && !isUnsupported(err) {
		return fmt.Errorf("make time to verify: %w", err)
	}
	return nil
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
