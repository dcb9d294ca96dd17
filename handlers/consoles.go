package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Consoles is who has a screen open: an org's for its admins, all for the
// provider.
type Consoles struct{ frames }

// List shows a page of the org's open consoles. Search and page are in the
// address.
func (h *Consoles) List(c echo.Context, scope *models.Scope) error {
	p := views.ConsolesProps{CanClose: scope.Can(models.ConsoleManage)}
	var err error
	if p.Filter, err = consoleFilter(c); err != nil {
		return err
	}
	p.Frame, err = h.page(c, scope, func(r *models.Reader) (err error) {
		p.Page, err = r.OpenConsoles(p.Filter)
		return err
	})
	if err != nil {
		return err
	}
	return renderConsoles(c, p)
}

func consoleFilter(c echo.Context) (models.ConsoleFilter, error) {
	in := query(c)
	f := models.ConsoleFilter{Search: in.text("q", maxSearch), Page: in.paging()}
	return f, in.err()
}

// All shows a page of every org's open consoles.
func (h *Consoles) All(c echo.Context, provider *models.Provider) error {
	p, err := h.ofProvider(c, provider)
	if err != nil {
		return err
	}
	if p.Filter, err = consoleFilter(c); err != nil {
		return err
	}
	if p.Page, err = provider.OpenConsoles(c.Request().Context(), p.Filter); err != nil {
		return err
	}
	return renderConsoles(c, p)
}

func renderConsoles(c echo.Context, p views.ConsolesProps) error {
	if views.Part(c.Request()) == views.PartList {
		return Render(c, http.StatusOK, views.ConsoleRows(p))
	}
	return Render(c, http.StatusOK, views.Consoles(p))
}

func (h *Consoles) ofProvider(c echo.Context, provider *models.Provider) (views.ConsolesProps, error) {
	p := views.ConsolesProps{Provider: true, CanClose: provider.Can(models.ProviderWrite)}
	if views.Part(c.Request()) != "" {
		return p, nil // a part of a page has no frame
	}
	var err error
	p.Frame, err = h.user(c)
	return p, err
}

// Ask asks an org's admin before a console is closed.
func (h *Consoles) Ask(c echo.Context, scope *models.Scope) error {
	return h.ask(c, scope, http.StatusOK, "")
}

func (h *Consoles) ask(c echo.Context, scope *models.Scope, status int, problem string) error {
	console, err := id[models.ConsoleSessionID](c, "open console")
	if err != nil {
		return err
	}
	p := views.ConsoleCloseProps{Problem: problem}
	p.Frame, err = h.page(c, scope, func(r *models.Reader) (err error) {
		p.Row, err = r.OpenConsole(console)
		return err
	})
	if err != nil {
		return err
	}
	return Render(c, status, views.ConsoleClose(p))
}

// Close ends a console of the org.
func (h *Consoles) Close(c echo.Context, scope *models.Scope) error {
	console, err := id[models.ConsoleSessionID](c, "open console")
	if err != nil {
		return err
	}
	sure, err := confirmed(c)
	if err != nil {
		return err
	}
	if !sure {
		return h.ask(c, scope, http.StatusUnprocessableEntity, notConfirmed)
	}
	var row models.ConsoleRow
	err = scope.Change(c.Request().Context(), func(w *models.Writer) (err error) {
		row, err = w.EndConsole(console)
		return err
	})
	if err != nil {
		return err
	}
	return h.leave(c, place(scope).Consoles(), ui.Good, consoleClosed(row))
}

// AskAny asks an operator before a console is closed.
func (h *Consoles) AskAny(c echo.Context, provider *models.Provider) error {
	return h.askAny(c, provider, http.StatusOK, "")
}

func (h *Consoles) askAny(c echo.Context, provider *models.Provider, status int, problem string) error {
	console, err := id[models.ConsoleSessionID](c, "open console")
	if err != nil {
		return err
	}
	p := views.ConsoleCloseProps{Problem: problem}
	if p.ConsolesProps, err = h.ofProvider(c, provider); err != nil {
		return err
	}
	if p.Row, err = provider.OpenConsole(c.Request().Context(), console); err != nil {
		return err
	}
	return Render(c, status, views.ConsoleClose(p))
}

// CloseAny ends a console of any org.
func (h *Consoles) CloseAny(c echo.Context, provider *models.Provider) error {
	console, err := id[models.ConsoleSessionID](c, "open console")
	if err != nil {
		return err
	}
	sure, err := confirmed(c)
	if err != nil {
		return err
	}
	if !sure {
		return h.askAny(c, provider, http.StatusUnprocessableEntity, notConfirmed)
	}
	row, err := provider.EndConsole(c.Request().Context(), console)
	if err != nil {
		return err
	}
	return h.leave(c, views.ProviderConsolesURL, ui.Good, consoleClosed(row))
}

const notConfirmed = "Press the button to confirm; nothing was done yet."

func consoleClosed(row models.ConsoleRow) string {
	return "The console of " + row.MachineName + " is being closed. Its page says that it was you."
}

// confirmed says whether the form has confirm=yes.
func confirmed(c echo.Context) (bool, error) {
	in, err := form(c)
	if err != nil {
		return false, err
	}
	return in.text("confirm", maxName) == "yes", in.err()
}
