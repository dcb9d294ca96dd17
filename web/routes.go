package web

import (
	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/static"
)

// mount is the whole table of routes. Each row names who may pass; a tenant
// handler takes a *models.Scope, so that it can't be mounted any other way.
// testdata/routes.txt shows it with the roles that pass.
func (s *Server) mount(h handlers.Handlers) {
	root := group{server: s}
	root.GET("/healthz", s.Anyone(s.healthy))
	root.HEAD("/healthz", s.Anyone(s.healthy))
	root.GET("/readyz", s.Anyone(s.ready))
	root.HEAD("/readyz", s.Anyone(s.ready))
	root.GET("/static/*", s.Anyone(echo.WrapHandler(static.Handler())))
	root.HEAD("/static/*", s.Anyone(echo.WrapHandler(static.Handler())))

	root.GET("/sign-in", s.Anyone(h.Sessions.New))
	root.POST("/sign-in", s.Anyone(s.oneByOne(h.Sessions.Create)))
	root.POST("/sign-out", s.Anyone(h.Sessions.Delete))

	root.GET("/", s.SignedIn(h.Orgs.Start))
	root.GET("/console", s.SignedIn(h.Console.Socket))

	org := root.under("/orgs/:org")
	org.GET("", s.Org(models.OrgRead, h.Orgs.Home))
	org.GET("/", s.Org(models.OrgRead, h.Dashboard.Show))
	org.GET("/events", s.Org(models.OrgRead, s.events))
	org.GET("/catalog", s.Org(models.CatalogRead, h.Catalog.Show))

	org.GET("/machines", s.Org(models.OrgRead, h.Machines.List))
	org.POST("/machines", s.Org(models.MachineOrder, h.Machines.Create))
	org.GET("/machines/new", s.Org(models.MachineOrder, h.Machines.New))
	org.POST("/machines/power", s.Org(models.MachineOperate, h.Machines.PowerAll))
	org.GET("/machines/:id", s.Org(models.OrgRead, h.Machines.Show))
	org.POST("/machines/:id/power", s.Org(models.MachineOperate, h.Machines.Power))
	org.POST("/machines/:id/delete", s.Org(models.MachineDelete, h.Machines.Delete))

	org.GET("/machines/:id/console", s.Org(models.ConsoleOpen, h.Console.Show))
	org.POST("/machines/:id/console/ticket", s.Org(models.ConsoleOpen, h.Console.Ticket))

	org.GET("/tasks", s.Org(models.OrgRead, h.Tasks.List))
	org.GET("/tasks/:id", s.Org(models.OrgRead, h.Tasks.Show))
	org.POST("/tasks/:id/cancel", s.Org(models.TaskControl, h.Tasks.Cancel))
	org.POST("/tasks/:id/retry", s.Org(models.TaskControl, h.Tasks.Retry))

	org.GET("/history", s.Org(models.HistoryRead, h.History.List))
	org.GET("/history/export", s.Org(models.HistoryExport, h.History.Export))
	org.POST("/history/verify", s.Org(models.HistoryExport, h.History.Verify))

	provider := root.under("/provider")
	provider.GET("", s.Provider(models.ProviderRead, h.Provider.Home))
	provider.GET("/", s.Provider(models.ProviderRead, h.Provider.Show))
}
