package handlers

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// frames makes what stands around every page, and leads from one page to the
// next.
type frames struct {
	system *models.System
	store  *identity.Store
	lab    bool
}

// SignedInKey is where the door leaves, in the request, who it let in.
const SignedInKey = "signed in"

// who is behind the request, as the door found.
func (f frames) who(c echo.Context) (models.SignedIn, error) {
	if who, ok := c.Get(SignedInKey).(models.SignedIn); ok {
		return who, nil
	}
	return f.store.SignedIn(c.Request())
}

// byToken says whether an API token carries the request: there is no session
// then that a message could wait in, whatever cookie comes beside it.
func byToken(c echo.Context) bool {
	who, ok := c.Get(SignedInKey).(models.SignedIn)
	return ok && who.Token.ID != ""
}

// user is the frame of somebody signed in, outside any org.
func (f frames) user(c echo.Context) (views.Frame, error) {
	who, err := f.who(c)
	if err != nil {
		return views.Frame{}, err
	}
	orgs, err := f.system.Memberships(c.Request().Context(), who)
	if err != nil {
		return views.Frame{}, err
	}
	return f.frame(c, who.User, orgs)
}

func (f frames) frame(c echo.Context, user models.User, orgs []models.Membership) (views.Frame, error) {
	frame := views.Frame{User: user, Memberships: orgs, Lab: f.lab}
	if byToken(c) {
		return frame, nil
	}
	flashes, err := f.store.TakeFlashes(c.Response(), c.Request())
	if err != nil {
		return views.Frame{}, err
	}
	for _, m := range flashes {
		frame.Flash = append(frame.Flash, ui.Message{Tone: ui.Tone(m.Tone), Text: m.Text})
	}
	return frame, nil
}

// page reads what a page of the org shows, and its frame. A part of a page
// needs no frame: it gets the org and nothing else.
func (f frames) page(c echo.Context, scope *models.Scope, look func(r *models.Reader) error) (views.Frame, error) {
	frame := views.Frame{Lab: f.lab}
	whole := views.Part(c.Request()) == ""
	if whole {
		who, err := f.who(c)
		if err != nil {
			return frame, err
		}
		if frame, err = f.frame(c, who.User, scope.Memberships()); err != nil {
			return frame, err
		}
	}
	frame.Org, frame.Role, frame.Look = scope.Org(), scope.Role(), scope.Look()
	frame.Consoles = scope.Can(models.ConsoleManage)
	err := scope.Read(c.Request().Context(), func(r *models.Reader) error {
		if whole {
			var err error
			if frame.ActiveTasks, err = r.ActiveTasks(); err != nil {
				return err
			}
		}
		return look(r)
	})
	if err == nil && whole && frame.Look != nil { // the page doesn't outlast the look; what failed leaves no trace in the headers
		left := int(time.Until(frame.Look.ExpiresAt).Seconds()) + 1
		c.Response().Header().Set("Refresh", strconv.Itoa(max(left, 1))+"; url="+views.ProviderOrgURL(frame.Org.Slug))
	}
	return frame, err
}

// Frame is for the error page within an org; nil where it can't be had.
func (h Handlers) Frame(c echo.Context, scope *models.Scope) *views.Frame {
	frame, err := h.frames.page(c, scope, func(*models.Reader) error { return nil })
	if err != nil {
		return nil
	}
	return &frame
}

// leave sends the browser on, with a message for the page that it comes to.
func (f frames) leave(c echo.Context, url string, tone ui.Tone, text string) error {
	if text != "" && !byToken(c) {
		if err := f.store.AddFlash(c.Response(), c.Request(), identity.Flash{Tone: string(tone), Text: text}); err != nil {
			return err
		}
	}
	return c.Redirect(http.StatusSeeOther, url)
}

func place(scope *models.Scope) views.Place { return views.Place(scope.Org().Slug) }
