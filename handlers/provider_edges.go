package handlers

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Edges is the operators' list of gateways.
type Edges struct{ frames }

// List shows the gateways, and the form that registers one.
func (h *Edges) List(c echo.Context, provider *models.Provider) error {
	return h.list(c, provider, http.StatusOK, views.EdgesProps{})
}

func (h *Edges) list(c echo.Context, provider *models.Provider, status int, p views.EdgesProps) error {
	var err error
	ctx := c.Request().Context()
	if p.Edges, err = provider.Edges(ctx); err != nil {
		return err
	}
	overview, err := provider.Overview(ctx)
	if err != nil {
		return err
	}
	p.Clouds, p.CanWrite = overview.Clouds, provider.Can(models.ProviderWrite)
	if views.Part(c.Request()) == views.PartList {
		return Render(c, http.StatusOK, views.EdgeRows(p))
	}
	if p.Frame, err = h.user(c); err != nil {
		return err
	}
	return Render(c, status, views.EdgeList(p))
}

// Add registers a gateway and shows its token, once.
func (h *Edges) Add(c echo.Context, provider *models.Provider) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	p := views.EdgesProps{Name: in.text("name", maxName), Chosen: in.values["cloud"]}
	if p.Name == "" {
		in.problems["name"] = "Enter a name, such as “gw-fra-1”."
	}
	clouds := make([]models.CloudID, 0, len(p.Chosen))
	for _, id := range p.Chosen {
		clouds = append(clouds, models.CloudID(id))
	}
	if err = in.err(); err == nil {
		p.Made, p.Token, err = provider.AddEdge(c.Request().Context(), p.Name, clouds)
	}
	if errors.Is(err, models.ErrInvalid) {
		p.Errors = models.FieldsOf(err)
		return h.list(c, provider, http.StatusUnprocessableEntity, p)
	}
	if err != nil {
		return err
	}
	return h.token(c, provider, p.Made, p.Token)
}

// token is the page that a token is seen on, once.
func (h *Edges) token(c echo.Context, provider *models.Provider, e models.Edges, token string) error {
	return h.show(c, provider, e.ID, views.EdgeProps{Token: token})
}

// Show is one gateway.
func (h *Edges) Show(c echo.Context, provider *models.Provider) error {
	edge, err := id[models.EdgeID](c, "gateway")
	if err != nil {
		return err
	}
	return h.show(c, provider, edge, views.EdgeProps{})
}

func (h *Edges) show(c echo.Context, provider *models.Provider, edge models.EdgeID, p views.EdgeProps) error {
	ctx := c.Request().Context()
	all, err := provider.Edges(ctx)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.ID == edge {
			p.Edge = e
		} else {
			p.Others = append(p.Others, e)
		}
	}
	if p.Edge.ID == "" {
		return models.NotFound("gateway")
	}
	overview, err := provider.Overview(ctx)
	if err != nil {
		return err
	}
	p.Clouds, p.CanWrite = overview.Clouds, provider.Can(models.ProviderWrite)
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.EdgeLive(p))
	}
	if p.Frame, err = h.user(c); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	status := http.StatusOK
	if len(p.Errors) > 0 {
		status = http.StatusUnprocessableEntity
	}
	return Render(c, status, views.Edge(p))
}

// Rotate gives a gateway another token; with old=refuse the one before is
// refused at once.
func (h *Edges) Rotate(c echo.Context, provider *models.Provider) error {
	edge, err := id[models.EdgeID](c, "gateway")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	e, token, err := provider.RotateEdge(c.Request().Context(), edge, in.values.Get("old") == "refuse")
	if err != nil {
		return err
	}
	return h.token(c, provider, e, token)
}

// Disable refuses a gateway's tokens, or takes them again (disabled=no).
func (h *Edges) Disable(c echo.Context, provider *models.Provider) error {
	edge, err := id[models.EdgeID](c, "gateway")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	off := in.values.Get("disabled") != "no"
	if err := provider.DisableEdge(c.Request().Context(), edge, off); err != nil {
		return err
	}
	text := "The gateway is refused from now on. What it serves, it goes on serving."
	if !off {
		text = "The gateway may ask again."
	}
	return h.leave(c, views.EdgeURL(edge), ui.Good, text)
}

// Move gives all orgs of a gateway to another one.
func (h *Edges) Move(c echo.Context, provider *models.Provider) error {
	edge, err := id[models.EdgeID](c, "gateway")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	p := views.EdgeProps{MoveTo: in.text("to", maxID), Off: in.values.Get("off") == "yes"}
	moved, target, err := provider.MoveOrgs(c.Request().Context(), edge, models.EdgeID(p.MoveTo), p.Off)
	if errors.Is(err, models.ErrInvalid) {
		p.Errors = models.FieldsOf(err)
		return h.show(c, provider, edge, p)
	}
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d orgs are %s's now.", moved, target.Name)
	if moved == 1 {
		text = "One org is " + target.Name + "'s now."
	}
	return h.leave(c, views.EdgeURL(edge), ui.Good, text)
}
