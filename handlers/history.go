package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// History shows who did what in the org.
type History struct{ frames }

// List shows a page of the history. An event's before and after come with it.
func (h *History) List(c echo.Context, scope *models.Scope) error {
	in := query(c)
	p := views.HistoryProps{
		Filter: models.EventFilter{
			Actor: in.text("actor", maxSearch), Action: choice(in, "action", models.Actions), Object: in.text("object", maxSearch),
			Outcome: choice(in, "outcome", models.Outcomes), Text: in.text("q", maxSearch),
			From: in.day("from"), To: in.day("to"), Page: in.paging(),
		},
		From: in.text("from", maxSearch), To: in.text("to", maxSearch),
	}
	if err := in.err(); err != nil {
		return err
	}
	if wholeDay(p.To) {
		p.Filter.To = p.Filter.To.AddDate(0, 0, 1)
	}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		p.Page, err = r.Events(p.Filter)
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	if views.Part(c.Request()) == views.PartList {
		return Render(c, http.StatusOK, views.HistoryRows(p))
	}
	return Render(c, http.StatusOK, views.History(p))
}
