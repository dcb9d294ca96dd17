package views

import (
	"github.com/a-h/templ"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
)

// Section is an entry of the sidebar.
type Section string

const (
	SectionDashboard        Section = "dashboard"
	SectionMachines         Section = "machines"
	SectionCatalog          Section = "catalog"
	SectionTasks            Section = "tasks"
	SectionHistory          Section = "history"
	SectionConsoles         Section = "consoles"
	SectionProvider         Section = "provider"
	SectionProviderConsoles Section = "provider consoles"
	SectionProviderHistory  Section = "provider history"
	SectionNetwork          Section = "network"
	SectionEdges            Section = "gateways"
	SectionNone             Section = ""
	SectionPeople           Section = "people"
)

func (s Section) ofProvider() bool {
	return s == SectionProvider || s == SectionProviderConsoles || s == SectionProviderHistory || s == SectionEdges
}

// Frame is what every page of somebody who is signed in shows around its own
// matter. Org is zero outside an org.
type Frame struct {
	User        models.User
	Org         models.Org
	Role        models.Role // in Org
	Memberships []models.Membership
	Flash       []ui.Message
	ActiveTasks int  // of the org, for the sidebar
	Consoles    bool // may see who has a console open
	Lab         bool // the clouds are simulated
	// Look is what an operator looks into the org by; nil for its members.
	Look *models.Look
	// Entry is the page's own entry among the operators'.
	Entry ProviderEntry
}

// Place makes the org's addresses.
func (f Frame) Place() Place { return Place(f.Org.Slug) }

func (f Frame) inOrg() bool { return f.Org.Slug != "" }

// live says which pages listen for changes.
func (f Frame) shell(title string, section Section, live bool) ui.Shell {
	s := ui.Shell{
		Title: title, HomeURL: "/", UserName: f.User.Name, UserEmail: f.User.Email, Role: roleName(f.Role), Flash: f.Flash,
	}
	if f.Lab {
		s.Foot = "Lab: simulated clouds"
	}
	for _, m := range f.Memberships {
		s.Orgs = append(s.Orgs, ui.OrgLink{
			Name: m.Org.Name, URL: Place(m.Org.Slug).Home(), Role: roleName(m.Role), Current: m.Org.Slug == f.Org.Slug,
		})
	}
	provider := f.User.ProviderRole != ""
	if provider {
		s.Orgs = append(s.Orgs, ui.OrgLink{
			Name: "Provider", URL: ProviderURL, Role: roleName(f.User.ProviderRole), Current: section.ofProvider(),
		})
	}
	switch {
	case f.inOrg():
		p := f.Place()
		s.HomeURL, s.Place = p.Home(), f.Org.Name
		s.Nav = []ui.NavItem{
			{Label: "Dashboard", Icon: "layout-dashboard", URL: p.Home(), Current: section == SectionDashboard},
			{Label: "Machines", Icon: "server-2", URL: p.Machines(), Current: section == SectionMachines},
			{Label: "Network", Icon: "network", URL: p.Network(), Current: section == SectionNetwork},
			{Label: "Catalog", Icon: "stack-2", URL: p.Catalog(), Current: section == SectionCatalog},
			f.tasksItem(section, live),
			{Label: "People", Icon: "user", URL: p.People(), Current: section == SectionPeople},
			{Label: "History", Icon: "history", URL: p.History(), Current: section == SectionHistory},
		}
		if f.Consoles {
			s.Nav = append(s.Nav, ui.NavItem{Label: "Consoles", Icon: "terminal-2", URL: p.Consoles(), Current: section == SectionConsoles})
		}
		if live {
			s.EventsURL = p.Events()
		}
		if f.Look != nil {
			s.Place, s.Role = f.Org.Name, "Looking in, as an auditor"
			s.Banner = lookBanner(f.Org, *f.Look)
		}
	case section.ofProvider():
		s.HomeURL, s.Place, s.Role = ProviderURL, "Provider", roleName(f.User.ProviderRole)
		s.Nav = providerNav(f.entry(section))
		if live {
			s.EventsURL = ProviderEventsURL
		}
	}
	return s
}

// tasksItem counts the Tasks that are under way, and goes on counting on a page
// that listens. A Task that runs tells of itself several times a second; the
// number waits for a pause.
func (f Frame) tasksItem(section Section, live bool) ui.NavItem {
	item := ui.NavItem{Label: "Tasks", Icon: "list-check", URL: f.Place().Tasks(), Current: section == SectionTasks, Count: f.ActiveTasks}
	if live {
		item.CountURL = withQuery(f.Place().Tasks(), "part", PartCount)
		item.CountOn = "mw:task from:body delay:300ms, mw:all from:body"
	}
	return item
}

// TaskCount is the number beside "Tasks" alone. Only Frame's Org and
// ActiveTasks count.
func TaskCount(f Frame) templ.Component { return ui.SideCount(f.tasksItem(SectionNone, true)) }

// ProviderHistoryURL is the history of all orgs, and the provider's own.
const ProviderHistoryURL = ProviderURL + "history"

// ProviderConsolesURL lists the open consoles of every org.
const ProviderConsolesURL = ProviderURL + "consoles"

// entry is where a page of the operators' stands in their sidebar.
func (f Frame) entry(section Section) ProviderEntry {
	switch section {
	case SectionProviderConsoles:
		return EntryConsoles
	case SectionProviderHistory:
		return EntryHistory
	case SectionEdges:
		return EntryEdges
	default:
		return f.Entry
	}
}
