package web

import (
	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/static"
)

// orgPrefix is what every tenant's address begins with.
const orgPrefix = "/orgs/:org"

// What gateways speak to.
const (
	desiredPath = "/edge/v1/desired"
	statusPath  = "/edge/v1/status"
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
	root.GET("/sign-in/code", s.Anyone(h.Sessions.Code))
	root.POST("/sign-in/code", s.Anyone(s.oneByOne(h.Sessions.Answer)))
	root.GET("/sign-in/sso", s.Anyone(s.oneByOne(h.Sessions.StartSSO)))
	root.GET("/sign-in/sso/callback", s.Anyone(s.oneByOne(h.Sessions.FinishSSO)))
	root.POST("/sign-out", s.Anyone(h.Sessions.Delete))
	root.GET("/invitation", s.Anyone(h.Invitations.Show))
	root.POST("/invitation", s.Anyone(s.oneByOne(h.Invitations.Accept)))

	root.GET("/", s.SignedIn(h.Orgs.Start))
	root.GET("/console", s.Caller(h.Console.Socket))

	root.GET(desiredPath, s.Edge(h.Edge.Desired))
	root.POST(statusPath, s.Edge(h.Edge.Status))

	account := root.under("/account")
	account.GET("", s.SignedIn(h.Account.Show))
	account.POST("/password", s.SignedIn(h.Account.Password))
	account.POST("/sessions/revoke", s.SignedIn(h.Account.RevokeOthers))
	account.POST("/sessions/:id/revoke", s.SignedIn(h.Account.Revoke))
	account.POST("/second-factor", s.SignedIn(h.Account.BeginFactor))
	account.GET("/second-factor", s.SignedIn(h.Account.Factor))
	account.POST("/second-factor/confirm", s.SignedIn(h.Account.ConfirmFactor))
	account.POST("/second-factor/off", s.SignedIn(h.Account.EndFactor))
	account.POST("/sso", s.SignedIn(h.Account.ConnectSSO))
	account.POST("/sso/disconnect", s.SignedIn(h.Account.DisconnectSSO))
	account.POST("/tokens", s.SignedIn(h.Account.MakeToken))
	account.POST("/tokens/:id/revoke", s.SignedIn(h.Account.RevokeToken))

	org := root.under(orgPrefix)
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

	org.GET("/machines/:id/media", s.Org(models.MachineOperate, h.Machines.Media))
	org.POST("/machines/:id/media", s.Org(models.MachineOperate, h.Machines.ChangeMedia))

	org.GET("/machines/:id/console", s.Org(models.ConsoleOpen, h.Console.Show))
	org.POST("/machines/:id/console/ticket", s.Org(models.ConsoleOpen, h.Console.Ticket))

	org.GET("/consoles", s.Org(models.ConsoleManage, h.Consoles.List))
	org.GET("/consoles/:id/close", s.Org(models.ConsoleManage, h.Consoles.Ask))
	org.POST("/consoles/:id/close", s.Org(models.ConsoleManage, h.Consoles.Close))

	org.GET("/tasks", s.Org(models.OrgRead, h.Tasks.List))
	org.GET("/tasks/:id", s.Org(models.OrgRead, h.Tasks.Show))
	org.POST("/tasks/:id/cancel", s.Org(models.TaskControl, h.Tasks.Cancel))
	org.POST("/tasks/:id/retry", s.Org(models.TaskControl, h.Tasks.Retry))

	org.GET("/people", s.Org(models.PeopleRead, h.People.List))
	org.POST("/people/invitations", s.Org(models.PeopleManage, h.People.Invite))
	org.POST("/people/invitations/:id/resend", s.Org(models.PeopleManage, h.People.Resend))
	org.POST("/people/invitations/:id/withdraw", s.Org(models.PeopleManage, h.People.Withdraw))
	org.GET("/people/outbox", s.Org(models.PeopleManage, h.People.Outbox))
	org.GET("/people/:id", s.Org(models.PeopleRead, h.People.Show))
	org.POST("/people/:id/role", s.Org(models.PeopleManage, h.People.SetRole))
	org.POST("/people/:id/disable", s.Org(models.PeopleManage, h.People.Disable))
	org.POST("/people/:id/enable", s.Org(models.PeopleManage, h.People.Enable))
	org.POST("/people/:id/remove", s.Org(models.PeopleManage, h.People.Remove))
	org.GET("/permissions", s.Org(models.OrgRead, h.People.Permissions))

	org.GET("/history", s.Org(models.HistoryRead, h.History.List))
	org.GET("/history/export", s.Org(models.HistoryExport, h.History.Export))
	org.POST("/history/verify", s.Org(models.HistoryExport, h.History.Verify))
	org.GET("/history/:id", s.Org(models.HistoryRead, h.History.Show))

	net := org.under("/network")
	net.GET("", s.Org(models.OrgRead, h.Network.Show))
	net.GET("/topology", s.Org(models.OrgRead, h.Network.Topology))
	net.GET("/private/new", s.Org(models.NetworkManage, h.Network.NewPrivate))
	net.POST("/private", s.Org(models.NetworkManage, h.Network.CreatePrivate))
	net.GET("/private/:id", s.Org(models.OrgRead, h.Network.Private))
	net.POST("/private/:id/delete", s.Org(models.NetworkManage, h.Network.DeletePrivate))
	net.POST("/ips", s.Org(models.NetworkManage, h.Network.TakeIP))
	net.POST("/ips/:id/release", s.Org(models.NetworkManage, h.Network.ReleaseIP))
	net.POST("/ips/:id/outbound", s.Org(models.NetworkManage, h.Network.Outbound))
	net.POST("/outbound/stop", s.Org(models.NetworkManage, h.Network.StopOutbound))
	net.GET("/services/new", s.Org(models.NetworkManage, h.Network.NewService))
	net.POST("/services", s.Org(models.NetworkManage, h.Network.CreateService))
	net.GET("/services/:id", s.Org(models.OrgRead, h.Network.Service))
	net.GET("/services/:id/edit", s.Org(models.NetworkManage, h.Network.EditService))
	net.POST("/services/:id", s.Org(models.NetworkManage, h.Network.ChangeService))
	net.POST("/services/:id/delete", s.Org(models.NetworkManage, h.Network.DeleteService))
	net.GET("/services/:id/trace", s.Org(models.OrgRead, h.Network.Trace))
	net.POST("/services/:id/trace", s.Org(models.NetworkProbe, h.Network.Probe))
	net.GET("/services/:id/policy", s.Org(models.NetworkManage, h.Network.Policy))
	net.POST("/services/:id/policy", s.Org(models.NetworkManage, h.Network.SetPolicy))
	net.POST("/services/:id/policy/delete", s.Org(models.NetworkManage, h.Network.EndPolicy))
	net.GET("/services/:id/nodes/new", s.Org(models.NetworkManage, h.Network.NewNode))
	net.POST("/services/:id/nodes", s.Org(models.NetworkManage, h.Network.AddNode))
	net.POST("/nodes/:id/state", s.Org(models.NetworkManage, h.Network.NodeState))
	net.GET("/publish", s.Org(models.NetworkManage, h.Network.Publish))
	net.GET("/firewall", s.Org(models.OrgRead, h.Network.Firewall))
	net.POST("/firewall", s.Org(models.NetworkManage, h.Network.AddRule))
	net.GET("/firewall/:id/edit", s.Org(models.NetworkManage, h.Network.EditRule))
	net.POST("/firewall/:id", s.Org(models.NetworkManage, h.Network.ChangeRule))
	net.POST("/firewall/:id/move", s.Org(models.NetworkManage, h.Network.MoveRule))
	net.POST("/firewall/:id/delete", s.Org(models.NetworkManage, h.Network.DeleteRule))
	net.GET("/vpn", s.Org(models.OrgRead, h.Network.VPN))
	net.POST("/vpn", s.Org(models.NetworkManage, h.Network.TurnOnVPN))
	net.POST("/vpn/off", s.Org(models.NetworkManage, h.Network.TurnOffVPN))
	net.POST("/vpn/devices", s.Org(models.VPNUse, h.Network.AddDevice))
	net.POST("/vpn/devices/:id/revoke", s.Org(models.VPNUse, h.Network.RevokeDevice))

	provider := root.under("/provider")
	provider.GET("", s.Provider(models.ProviderRead, h.Provider.Home))
	provider.GET("/", s.Provider(models.ProviderRead, h.Provider.Show))
	provider.GET("/history", s.Provider(models.ProviderRead, h.History.All))
	provider.GET("/history/export", s.Provider(models.ProviderRead, h.History.ExportAny))
	provider.POST("/history/verify", s.Provider(models.ProviderRead, h.History.VerifyAny))
	provider.GET("/history/:id", s.Provider(models.ProviderRead, h.History.ShowAny))
	provider.GET("/edges", s.Provider(models.ProviderRead, h.Edges.List))
	provider.POST("/edges", s.Provider(models.ProviderWrite, h.Edges.Add))
	provider.GET("/edges/:id", s.Provider(models.ProviderRead, h.Edges.Show))
	provider.POST("/edges/:id/rotate", s.Provider(models.ProviderWrite, h.Edges.Rotate))
	provider.POST("/edges/:id/disable", s.Provider(models.ProviderWrite, h.Edges.Disable))
	provider.POST("/edges/:id/move", s.Provider(models.ProviderWrite, h.Edges.Move))
	provider.GET("/consoles", s.Provider(models.ProviderRead, h.Consoles.All))
	provider.GET("/consoles/:id/close", s.Provider(models.ProviderWrite, h.Consoles.AskAny))
	provider.GET("/machines/:id/vmrc", s.Provider(models.ProviderWrite, h.Console.AskVMRC))
	provider.POST("/machines/:id/vmrc", s.Provider(models.ProviderWrite, h.Console.VMRC))
	provider.POST("/consoles/:id/close", s.Provider(models.ProviderWrite, h.Consoles.CloseAny))
	provider.GET("/events", s.Provider(models.ProviderRead, s.providerEvents))
	s.mountProvider(provider, h.Provider)
	provider.GET("/permissions", s.Provider(models.ProviderRead, h.People.AllPermissions))
	provider.GET("/outbox", s.Provider(models.ProviderRead, h.People.AllMail))
}
