package web

import (
	"context"
	"fmt"
	"strings"

	"github.com/millwright/millwright/models"
)

// The table that a new route is entered in when its address has a parameter
// of a new kind: how to make one real thing of that kind, and return its id.
//
// The key is what stands before the parameter ("machines" for
// /orgs/:org/machines/:id), with the room before it outside an org
// ("account/tokens", "provider/clouds"). whose is the org's slug within an
// org, the account's address under /account, and "" elsewhere.
var nouns = map[string]func(m *matrix, whose string) string{
	"machines": func(m *matrix, org string) string { return string(m.p.MachineOf(m.p.t, org, m.name()).ID) },
	"tasks":    func(m *matrix, org string) string { return m.task(org) },

	"private":  func(m *matrix, org string) string { return m.edge(org).network },
	"ips":      func(m *matrix, org string) string { return m.edge(org).ip },
	"services": func(m *matrix, org string) string { return m.edge(org).service },
	"nodes":    func(m *matrix, org string) string { return m.edge(org).node },
	"firewall": func(m *matrix, org string) string { return m.edge(org).rule },
	"devices":  func(m *matrix, org string) string { return m.edge(org).device },
	"provider/edges": func(m *matrix, _ string) string {
		e, _, err := m.operator().AddEdge(context.Background(), m.name(), nil)
		return m.made(e.ID, err)
	},

	"consoles":          func(m *matrix, org string) string { return m.console(org) },
	"provider/machines": func(m *matrix, _ string) string { return string(m.p.MachineOf(m.p.t, "acme", m.name()).ID) },
	"provider/consoles": func(m *matrix, _ string) string { return m.console("acme") },
	"people":            func(m *matrix, org string) string { return m.p.member(org) },
	"invitations":       func(m *matrix, org string) string { return m.p.invitation(org) },

	"provider/clouds":    func(m *matrix, _ string) string { return string(m.p.Public.ID) },
	"provider/menu":      func(m *matrix, _ string) string { return string(m.p.Small.ID) },
	"provider/templates": func(m *matrix, _ string) string { return string(m.p.Template.ID) },
	"provider/accounts":  func(m *matrix, _ string) string { return m.p.member("acme") },
	"provider/orgs":      func(*matrix, string) string { return "acme" },
	"provider/invitations": func(m *matrix, _ string) string {
		var i models.Invitation
		_, err := m.operator().AddOrg(context.Background(), m.name(), "Some", models.Limits{}, func(w *models.Writer, org models.Org) (err error) {
			i, err = w.InsertInvitation(org.ID, m.name()+"@people.example", models.RoleAdmin, models.NewID[string]())
			return err
		})
		return m.made(i.ID, err)
	},
	"provider/catalogs": func(m *matrix, _ string) string {
		d, err := m.operator().PutCatalog(context.Background(), models.CatalogDetail{Catalog: models.Catalog{Slug: m.name(), Name: "Some"}})
		return m.made(d.ID, err)
	},
	"provider/vlans": func(m *matrix, _ string) string {
		m.names++
		if err := m.p.OfferVLANs(networkVLANs()); err != nil { // before the cloud has any
			m.p.t.Fatal(err)
		}
		v, err := m.operator().AddVLANRange(context.Background(), models.VLANRange{CloudID: m.p.Public.ID, FirstVLAN: m.names%4000 + 1, LastVLAN: m.names%4000 + 1})
		return m.made(v.ID, err)
	},
	"provider/ranges": func(m *matrix, _ string) string {
		m.names++
		a := fmt.Sprintf("198.51.%d.%d", 100+m.names/250, m.names%250+1)
		r, err := m.operator().AddPublicIPRange(context.Background(), models.PublicIPRange{Name: m.name(), FirstAddress: a, LastAddress: a})
		return m.made(r.ID, err)
	},
	"history":          func(m *matrix, org string) string { return m.event(org) },
	"provider/history": func(m *matrix, _ string) string { return m.event("acme") },

	"account/sessions": func(m *matrix, email string) string {
		who, _ := m.sessionOf(email, models.Now(), models.Now().AddDate(0, 0, 1))
		return string(who.Session.ID)
	},
	"account/tokens": func(m *matrix, email string) string { return m.tokenOf(email) },
}

// fileParam stands for the name of an asset, which is the same for everybody.
const fileParam = "x"

// task orders a machine and returns its task, which no worker takes.
func (m *matrix) task(org string) string {
	t := m.p.t
	t.Helper()
	made, err := m.p.factory.Order(context.Background(), m.p.Scope(t, "user@"+org+".example", org),
		models.Order{Name: m.name(), Template: m.p.Template.Slug, InstanceType: m.p.Small.Slug})
	if err != nil {
		t.Fatal(err)
	}
	var id models.TaskID
	err = m.p.System.Look(context.Background(), made[0].OrgID, func(r *models.Reader) error {
		task, err := r.LatestTask(made[0].ID)
		id = task.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(id)
}

// event is one of the org's history.
func (m *matrix) event(org string) string {
	m.p.t.Helper()
	id := m.p.Acme.ID
	if org == "globex" {
		id = m.p.Globex.ID
	}
	if m.telling[id] != "" {
		return m.telling[id]
	}
	m.p.MachineOf(m.p.t, org, m.name())
	var event string
	err := m.p.System.Look(context.Background(), id, func(r *models.Reader) error {
		page, err := r.Events(models.EventFilter{Page: models.Paging{Limit: 1}})
		if err == nil {
			event = string(page.Rows[0].ID)
		}
		return err
	})
	if err != nil {
		m.p.t.Fatal(err)
	}
	m.telling[id] = event
	return event
}

// console opens one of a fresh machine in the records; no node carries it.
func (m *matrix) console(org string) string {
	return m.p.openConsole(m.p.MachineOf(m.p.t, org, m.name()), "user@"+org+".example")
}

func (p *portal) openConsole(machine models.Machine, email string) string {
	p.t.Helper()
	who := p.SignedIn(p.t, email)
	grant := models.ConsoleGrant{Machine: machine, Role: models.RoleUser, Actor: who.Actor, Ticket: models.ConsoleTicket{
		OrgID: machine.OrgID, MachineID: machine.ID, UserID: who.User.ID, SessionID: who.Session.ID, Mode: models.ConsoleView}}
	open, err := p.System.OpenConsole(context.Background(), grant, "node-1", models.ConsoleLimits{})
	if err != nil {
		p.t.Fatal(err)
	}
	return string(open.ID)
}

// tokenOf makes a token of the account in one of its orgs; accounts without an
// org have none, and their own is one that nobody has.
func (m *matrix) tokenOf(email string) string {
	org := m.orgOf(email)
	if org == "" {
		return m.invented()
	}
	_, id := m.token(email, org, models.RoleAuditor, models.Now().AddDate(0, 0, 1))
	return string(id)
}

// name is one that no machine has yet.
func (m *matrix) name() string {
	m.names++
	return fmt.Sprintf("m-%d", m.names)
}

// invented is an id that nothing has.
func (m *matrix) invented() string { return models.NewID[string]() }

// parameters lists a route's, each with its key in the table above.
func parameters(path string) map[string]string {
	prefix := ""
	rest, tenant := strings.CutPrefix(path, orgPrefix)
	if !tenant {
		if first, _, more := strings.Cut(strings.TrimPrefix(path, "/"), "/"); more {
			prefix = first + "/"
		}
	}
	list := map[string]string{}
	before := ""
	for part := range strings.SplitSeq(rest, "/") {
		if strings.HasPrefix(part, ":") {
			list[part] = strings.TrimPrefix(prefix, before+"/") + before
			continue
		}
		before = part
	}
	return list
}

// operator is the provider's way in.
func (m *matrix) operator() *models.Provider {
	m.p.t.Helper()
	who, _ := m.sessionOf("operator@provider.example", models.Now(), models.Now().AddDate(0, 0, 1))
	provider, err := m.p.System.Provider(who)
	if err != nil {
		m.p.t.Fatal(err)
	}
	return provider
}

// made is an id of whatever kind, once there is one.
func (m *matrix) made(id any, err error) string {
	m.p.t.Helper()
	if err != nil {
		m.p.t.Fatal(err)
	}
	return fmt.Sprint(id)
}
