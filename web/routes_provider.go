package web

import (
	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/models"
)

// mountProvider is the operators' part of the table of routes. What changes
// something asks for ProviderWrite; its form does too, so that nobody fills in
// what they can't send.
func (s *Server) mountProvider(provider group, h *handlers.Provider) {
	read, write, look := models.ProviderRead, models.ProviderWrite, models.ProviderLook

	clouds := provider.under("/clouds")
	clouds.GET("", s.Provider(read, h.Clouds))
	clouds.POST("", s.Provider(write, h.AddCloud))
	clouds.GET("/new", s.Provider(write, h.NewCloud))
	clouds.POST("/certificate", s.Provider(write, h.CloudCertificate))
	clouds.GET("/:id", s.Provider(read, h.Cloud))
	clouds.POST("/:id", s.Provider(write, h.EditCloud))
	clouds.POST("/:id/certificate", s.Provider(write, h.CloudReconnect))
	clouds.POST("/:id/settings", s.Provider(write, h.CloudSettings))
	clouds.POST("/:id/disable", s.Provider(write, h.MoveCloud(models.ActionCloudDisable, "The cloud is disabled. The portal makes no calls to it.")))
	clouds.POST("/:id/enable", s.Provider(write, h.MoveCloud(models.ActionCloudEnable, "The cloud is enabled. The portal connects to it now.")))
	clouds.POST("/:id/drain", s.Provider(write, h.MoveCloud(models.ActionCloudDrain, "The cloud takes no new machines.")))
	clouds.POST("/:id/undrain", s.Provider(write, h.MoveCloud(models.ActionCloudUndrain, "The cloud takes new machines again.")))

	menu := provider.under("/menu")
	menu.GET("", s.Provider(read, h.Menu))
	menu.POST("", s.Provider(write, h.AddType))
	menu.GET("/new", s.Provider(write, h.NewType))
	menu.GET("/:id", s.Provider(read, h.Type))
	menu.POST("/:id", s.Provider(write, h.EditType))
	menu.POST("/:id/retire", s.Provider(write, h.RetireType(true)))
	menu.POST("/:id/restore", s.Provider(write, h.RetireType(false)))
	menu.POST("/:id/up", s.Provider(write, h.MoveType(true)))
	menu.POST("/:id/down", s.Provider(write, h.MoveType(false)))

	catalogs := provider.under("/catalogs")
	catalogs.GET("", s.Provider(read, h.Catalogs))
	catalogs.POST("", s.Provider(write, h.PutCatalog))
	catalogs.GET("/new", s.Provider(write, h.NewCatalog))
	catalogs.GET("/:id", s.Provider(read, h.CatalogPage))
	catalogs.POST("/:id", s.Provider(write, h.PutCatalog))
	catalogs.POST("/:id/remove", s.Provider(write, h.RemoveCatalog))

	templates := provider.under("/templates")
	templates.POST("", s.Provider(write, h.PutTemplate))
	templates.GET("/new", s.Provider(write, h.NewTemplate))
	templates.GET("/:id", s.Provider(read, h.TemplatePage))
	templates.POST("/:id", s.Provider(write, h.PutTemplate))
	templates.POST("/:id/retire", s.Provider(write, h.RetireTemplate(true)))
	templates.POST("/:id/restore", s.Provider(write, h.RetireTemplate(false)))

	networks := provider.under("/networks")
	networks.GET("", s.Provider(read, h.Networks))
	networks.POST("/vlans", s.Provider(write, h.AddVLANs))
	networks.POST("/vlans/:id/remove", s.Provider(write, h.RemoveVLANs))
	networks.POST("/ranges", s.Provider(write, h.AddRange))
	networks.POST("/ranges/:id", s.Provider(write, h.PriceRange))
	networks.POST("/ranges/:id/disable", s.Provider(write, h.SwitchRange(true)))
	networks.POST("/ranges/:id/enable", s.Provider(write, h.SwitchRange(false)))
	networks.POST("/ranges/:id/remove", s.Provider(write, h.RemoveRange))

	orgs := provider.under("/orgs")
	orgs.GET("", s.Provider(read, h.Orgs))
	orgs.POST("", s.Provider(write, h.AddOrg))
	orgs.GET("/new", s.Provider(write, h.NewOrg))
	orgs.GET("/:id", s.Provider(read, h.Org))
	orgs.POST("/:id", s.Provider(write, h.EditOrg))
	orgs.POST("/:id/suspend", s.Provider(write, h.SuspendOrg(true)))
	orgs.POST("/:id/resume", s.Provider(write, h.SuspendOrg(false)))
	orgs.POST("/:id/look", s.Provider(look, h.StartLook))
	orgs.POST("/:id/look/end", s.Provider(look, h.EndLook))

	orgs.POST("/:id/invite", s.Provider(write, h.InviteAdmin))
	provider.POST("/invitations/:id/resend", s.Provider(write, h.ResendAdmin))
	provider.POST("/invitations/:id/withdraw", s.Provider(write, h.WithdrawAdmin))

	accounts := provider.under("/accounts")
	accounts.GET("", s.Provider(read, h.Accounts))
	accounts.GET("/:id", s.Provider(read, h.Account))
	accounts.POST("/:id/disable", s.Provider(models.AccountManage, h.DisableAccount))
	accounts.POST("/:id/enable", s.Provider(models.AccountManage, h.EnableAccount))

	provider.GET("/tasks", s.Provider(read, h.Tasks))
	provider.GET("/health", s.Provider(read, h.Health))
}
