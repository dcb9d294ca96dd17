package views

import (
	"net/url"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
)

// Addresses of the operators' side.
const (
	ProviderURL          = "/provider/" // the overview
	ProviderCloudsURL    = "/provider/clouds"
	ProviderMenuURL      = "/provider/menu"
	ProviderCatalogsURL  = "/provider/catalogs"
	ProviderTemplatesURL = "/provider/templates"
	ProviderNetworksURL  = "/provider/networks"
	ProviderOrgsURL      = "/provider/orgs"
	ProviderAccountsURL  = "/provider/accounts"
	ProviderTasksURL     = "/provider/tasks"
	ProviderHealthURL    = "/provider/health"
	ProviderEventsURL    = "/provider/events"

	ProviderPermissionsURL = "/provider/permissions"
)

// ProviderEntry is an entry of the operators' sidebar.
type ProviderEntry string

const (
	EntryOverview ProviderEntry = "overview"
	EntryClouds   ProviderEntry = "clouds"
	EntryMenu     ProviderEntry = "menu"
	EntryCatalogs ProviderEntry = "catalogs"
	EntryNetworks ProviderEntry = "networks"
	EntryEdges    ProviderEntry = "gateways"
	EntryOrgs     ProviderEntry = "orgs"
	EntryAccounts ProviderEntry = "accounts"
	EntryTasks    ProviderEntry = "tasks"
	EntryConsoles ProviderEntry = "consoles"
	EntryHistory  ProviderEntry = "history"
	EntryHealth   ProviderEntry = "health"
	EntryOutbox   ProviderEntry = "outbox"
)

// providerEntries is the sidebar, top to bottom.
var providerEntries = []struct {
	entry            ProviderEntry
	label, icon, url string
}{
	{EntryOverview, "Overview", "layout-dashboard", ProviderURL},
	{EntryClouds, "Clouds", "cloud", ProviderCloudsURL},
	{EntryMenu, "Menu", "cpu", ProviderMenuURL},
	{EntryCatalogs, "Catalogs", "stack-2", ProviderCatalogsURL},
	{EntryNetworks, "Networks", "network", ProviderNetworksURL},
	{EntryEdges, "Gateways", "router", EdgesURL},
	{EntryOrgs, "Orgs", "building", ProviderOrgsURL},
	{EntryAccounts, "Accounts", "user", ProviderAccountsURL},
	{EntryTasks, "Tasks", "list-check", ProviderTasksURL},
	{EntryConsoles, "Consoles", "terminal-2", ProviderConsolesURL},
	{EntryHistory, "History", "history", ProviderHistoryURL},
	{EntryHealth, "Health", "activity", ProviderHealthURL},
	{EntryOutbox, "Outbox", "arrow-right", OutboxURL},
}

func providerNav(current ProviderEntry) []ui.NavItem {
	list := make([]ui.NavItem, len(providerEntries))
	for i, e := range providerEntries {
		list[i] = ui.NavItem{Label: e.label, Icon: e.icon, URL: e.url, Current: e.entry == current}
	}
	return list
}

// ProviderCloudURL is a cloud's page.
func ProviderCloudURL(id models.CloudID) string { return ProviderCloudsURL + "/" + string(id) }

// ProviderTypeURL is an instance type's page.
func ProviderTypeURL(id models.InstanceTypeID) string { return ProviderMenuURL + "/" + string(id) }

// ProviderCatalogURL is a catalog's page.
func ProviderCatalogURL(id models.CatalogID) string { return ProviderCatalogsURL + "/" + string(id) }

// ProviderTemplateURL is a template's page.
func ProviderTemplateURL(id models.TemplateID) string { return ProviderTemplatesURL + "/" + string(id) }

// ProviderOrgURL is an org's page for operators.
func ProviderOrgURL(slug string) string { return ProviderOrgsURL + "/" + url.PathEscape(slug) }

// ProviderAccountURL is an account's page for operators.
func ProviderAccountURL(id models.UserID) string {
	return ProviderAccountsURL + "/" + url.PathEscape(string(id))
}
