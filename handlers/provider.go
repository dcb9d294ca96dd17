package handlers

import (
	"context"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Connector tests connections to vCenters that are not clouds yet.
type Connector interface {
	Certificate(ctx context.Context, url string) (models.Certificate, error)
	Check(ctx context.Context, login models.CloudLogin) (models.VCenter, error)
}

// Provider is the operators' side. Its nouns have a file each.
type Provider struct {
	frames
	connector   Connector
	invitations *identity.Invitations
}

// Home leads from the bare address to the overview.
func (h *Provider) Home(c echo.Context, _ *models.Provider) error {
	return c.Redirect(http.StatusSeeOther, views.ProviderURL)
}

// Show is the health of the clouds and the figures of the orgs.
func (h *Provider) Show(c echo.Context, provider *models.Provider) error {
	overview, err := provider.Overview(c.Request().Context())
	if err != nil {
		return err
	}
	frame, err := h.at(c, views.EntryOverview)
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.ProviderOverview(views.ProviderOverviewProps{Frame: frame, Overview: overview}))
}

// at is the frame of one of the operators' pages; a part of a page needs none.
func (h *Provider) at(c echo.Context, entry views.ProviderEntry) (views.Frame, error) {
	if views.Part(c.Request()) != "" {
		return views.Frame{Entry: entry}, nil
	}
	frame, err := h.user(c)
	frame.Entry = entry
	return frame, err
}

// typed is what came in the named fields, none longer than a line of a form.
func typed(in *input, names ...string) views.Form {
	f := views.Form{Values: map[string]string{}, Problems: in.problems}
	for _, name := range names {
		f.Values[name] = in.text(name, 500)
	}
	return f
}

// whole is a whole number of a form; what can't be read is beyond every limit.
func whole(f views.Form, name string) int {
	n, err := strconv.Atoi(strings.TrimSpace(f.Values[name]))
	if err != nil {
		f.Problems[name] = "Enter a whole number."
		return -1
	}
	return n
}

// micros is a price per hour of a form, in millionths.
func micros(f views.Form, name string) int64 {
	n, err := strconv.ParseFloat(strings.Replace(strings.TrimSpace(f.Values[name]), ",", ".", 1), 64)
	if err != nil || math.IsNaN(n) || n < 0 || n > 1e6 {
		f.Problems[name] = "Enter a price per hour, such as 0.014."
		return 0
	}
	return int64(math.Round(n * 1e6))
}

// refused says whether the form shall come back, with what was wrong put into
// it. A conflict has no field: it stands over the form.
func refused(c echo.Context, f views.Form, cause error, frame *views.Frame) (status int, again bool) {
	if scripted(c) {
		return 0, false
	}
	switch models.CodeOf(cause) {
	case models.CodeInvalid:
		maps.Copy(f.Problems, models.FieldsOf(cause))
		return http.StatusUnprocessableEntity, true
	case models.CodeConflict:
		frame.Flash = append(frame.Flash, ui.Message{Tone: ui.Bad, Text: sentence(cause)})
		return http.StatusConflict, true
	default: // not the form's matter: the error page
		return 0, false
	}
}

// faulty is the form's own mistakes, or nil.
func faulty(f views.Form) error {
	if len(f.Problems) == 0 {
		return nil
	}
	return models.Invalid(f.Problems)
}

// moved leads back after a change without a form of its own, or says why it
// was not done.
func (h *Provider) moved(c echo.Context, url, done string, err error) error {
	if err == nil {
		return h.leave(c, url, ui.Good, done)
	}
	if code := models.CodeOf(err); !scripted(c) && code == models.CodeConflict {
		return h.leave(c, url, ui.Bad, sentence(err))
	}
	return err
}
