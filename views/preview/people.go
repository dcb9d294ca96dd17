package main

import (
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

func (r records) people() []models.Person {
	return []models.Person{
		{UserID: "u-1", Name: "Ada Administrator", Email: "admin@acme.example", Role: models.RoleAdmin, CreatedAt: r.ago(9000 * time.Hour), LastSignInAt: r.at(4 * time.Minute)},
		{UserID: "u-2", Name: "Uma User", Email: "user@acme.example", Role: models.RoleUser, SSO: true, CreatedAt: r.ago(800 * time.Hour), LastSignInAt: r.at(3 * time.Hour)},
		{UserID: "u-3", Name: "Wolfeschlegelsteinhausenbergerdorff von und zu Hohenlohe", Email: "first.middle.last+millwright-portal@subsidiary.manufacturing.acme.example", Role: models.RoleAuditor, CreatedAt: r.ago(700 * time.Hour)},
		{UserID: "u-4", Name: "Otto Oldham", Email: "otto@acme.example", Role: models.RoleUser, CreatedAt: r.ago(6000 * time.Hour), DisabledAt: r.at(30 * time.Hour), LastSignInAt: r.at(900 * time.Hour)},
	}
}

func (r records) invitations() []models.InvitationRow {
	row := func(id, email string, role models.Role, left time.Duration) models.InvitationRow {
		return models.InvitationRow{Mailed: true, Invitation: models.Invitation{ID: models.InvitationID(id), Email: email, Role: role,
			InviterName: "Ada Administrator", CreatedAt: r.ago(time.Hour), ExpiresAt: r.now.Add(left)}}
	}
	list := []models.InvitationRow{row("i-1", "nina@people.example", models.RoleUser, 160*time.Hour), row("i-2", "a.rather.long.address.of.somebody@consultants.example", models.RoleAuditor, 20*time.Hour),
		row("i-3", "late@people.example", models.RoleUser, -2*time.Hour)}
	list[0].MailSentAt = r.at(time.Hour)
	list[1].MailProblem = "The mail server refused this address: no such mailbox."
	list[2].MailSentAt = r.at(170 * time.Hour)
	return list
}

// peopleScreens are an org's people, and what they may do.
func peopleScreens(r records, f views.Frame) []screen {
	list := views.PeopleProps{Frame: f, Self: "u-1", Page: models.Page[models.Person]{Rows: r.people(), Next: "n"}, Invitations: r.invitations(),
		CanManage: true, Outbox: true, Role: models.RoleAuditor}
	refused, user, alone, none := list, list, list, list
	refused.Email, refused.Role, refused.Problems = "user@acme.example", models.RoleUser, map[string]string{"email": "This person is in the org already."}
	user.CanManage, user.Self = false, "u-2"
	alone.Page, alone.Invitations = models.Page[models.Person]{Rows: r.people()[:1]}, nil
	none.Filter, none.Page, none.Invitations = models.PeopleFilter{Search: "zaphod"}, models.Page[models.Person]{}, nil
	link := "https://portal.example/invitation?token=" + strings.Repeat("x4Qz", 10) + "abc"
	letter := models.Letter{Mail: models.Mail{ID: "l-1", Recipient: "nina@people.example", Subject: "Ada Administrator invites you to Acme Robotics", CreatedAt: r.ago(time.Hour)},
		Text: "Hello,\n\nAda Administrator invites you to Acme Robotics, as user.\n\n" + link + "\n\nThe link works once, until Friday.\n"}
	looking := f
	looking.Role, looking.User, looking.Memberships = models.RoleAuditor, operator().User, nil
	looking.Look = &models.Look{ID: "k-1", Reason: "Ticket 4711: orders fail since this morning, and they ask why.", StartedAt: r.ago(20 * time.Minute), ExpiresAt: r.now.Add(10 * time.Minute)}
	return []screen{
		{"people", views.People(list)},
		{"people-refused", views.People(refused)},
		{"people-user", views.People(user)},
		{"people-alone", views.People(alone)},
		{"people-none", views.People(none)},
		{"people-invited", views.InvitationMade(views.InvitedProps{Frame: f, Email: "nina@people.example", Role: models.RoleUser, Link: link})},
		{"person", views.Person(views.PersonProps{Frame: f, Person: r.people()[3], CanManage: true})},
		{"person-self", views.Person(views.PersonProps{Frame: f, Person: r.people()[0], CanManage: true, Self: true})},
		{"outbox", views.Outbox(views.OutboxProps{Frame: f, Letters: []models.Letter{letter}, Demo: true})},
		{"outbox-empty", views.Outbox(views.OutboxProps{Frame: f, Demo: true})},
		{"permissions", views.Permissions(views.PermissionsProps{Frame: f})},
		{"invitation", views.Invitation(views.InvitationProps{Org: "Acme Robotics", Inviter: "Ada Administrator", Email: "nina@people.example", Role: "user", PasswordMinChars: 12,
			Name: "Nina", Problems: map[string]string{"again": "The two differ."}})},
		{"look", views.Dashboard(views.DashboardProps{Frame: looking, Quotas: r.quotas(), Tasks: r.tasks()[:2], Events: r.events(), Counts: map[models.MachineState]int{models.MachineRunning: 8}})},
		{"look-machines", views.MachineList(views.MachineListProps{Frame: looking, Filter: models.MachineFilter{Sort: models.SortName}, Page: models.Page[models.MachineRow]{Rows: r.machines()}})},
	}
}

func operator() views.Frame {
	return views.Frame{User: models.User{Name: "Olga Operator", Email: "operator@provider.example", ProviderRole: models.RoleOperator}, Lab: true}
}

// providerAccountScreens are the operators' pages of whoever can sign in.
func providerAccountScreens(r records, f views.Frame) []screen {
	at := operator()
	at.Entry = views.EntryAccounts
	row := func(i int, orgs int, role models.Role) models.AccountRow {
		p := r.people()[i]
		return models.AccountRow{ID: p.UserID, Name: p.Name, Email: p.Email, ProviderRole: role, Orgs: orgs, CreatedAt: p.CreatedAt, DisabledAt: p.DisabledAt, LastSignInAt: p.LastSignInAt}
	}
	olga := models.AccountRow{ID: "u-9", Name: at.User.Name, Email: at.User.Email, ProviderRole: models.RoleOperator, CreatedAt: r.ago(9000 * time.Hour), LastSignInAt: r.at(time.Minute)}
	list := views.AccountListProps{Frame: at, Page: models.Page[models.AccountRow]{Rows: []models.AccountRow{row(0, 2, ""), olga, row(3, 1, ""), row(1, 12, models.RoleProviderAuditor), row(2, 0, "")}, Next: "n"}}
	none := views.AccountListProps{Frame: at, Filter: models.AccountFilter{Search: "zaphod", Disabled: true}}
	initech := models.Org{Slug: "initech", Name: "Initech"}
	page := views.ProviderAccountProps{Frame: at, CanManage: true, Changes: r.events()[:2], Form: views.Form{Values: map[string]string{}, Problems: map[string]string{}},
		Account: models.AccountDetail{AccountRow: row(0, 2, ""), Sessions: 3, Tokens: 2, Memberships: []models.AccountOrg{
			{Org: f.Org, Role: models.RoleAdmin, OnlyAdmin: true}, {Org: initech, Role: models.RoleAuditor, DisabledAt: r.at(40 * time.Hour)}}}}
	refused, disabled, self, auditor := page, page, page, page
	refused.Asked, refused.Form.Problems = true, map[string]string{"reason": "Say why, for the other operators."}
	disabled.Account = models.AccountDetail{AccountRow: row(3, 1, ""), Memberships: []models.AccountOrg{{Org: f.Org, Role: models.RoleUser}}}
	disabled.Account.DisabledReason = "Laptop stolen on the train, ticket 4711. Its owner is told and comes by on Monday."
	self.Self, self.Account = true, models.AccountDetail{AccountRow: olga, Sessions: 1}
	auditor.CanManage = false
	return []screen{
		{"provider-accounts", views.AccountList(list)},
		{"provider-accounts-none", views.AccountList(none)},
		{"provider-account", views.ProviderAccount(page)},
		{"provider-account-refused", views.ProviderAccount(refused)},
		{"provider-account-disabled", views.ProviderAccount(disabled)},
		{"provider-account-self", views.ProviderAccount(self)},
		{"provider-account-auditor", views.ProviderAccount(auditor)},
	}
}

// providerScreens are the operators' pages of orgs and addresses.
func providerScreens(r records, f views.Frame) []screen {
	at := operator()
	org := f.Org
	org.CreatedAt = r.ago(9000 * time.Hour)
	detail := models.OrgDetail{OrgSummary: models.OrgSummary{Org: org, Machines: 14, Quotas: r.quotas()}, Members: r.people(), MemberCount: 23,
		Networks: []models.Network{{Name: "default", CIDR: "10.20.0.0/22"}, {Name: "backend", CIDR: "10.20.4.0/24"}}, Catalogs: []models.Catalog{{Name: "Default"}, {Name: "Licensed"}}}
	limits := func(extra map[string]string) views.Form {
		form := views.Form{Values: map[string]string{"name": org.Name}, Problems: map[string]string{}}
		for _, q := range r.quotas() {
			form.Values["quota_"+string(q.Resource)] = strconv.FormatInt(q.Ceiling, 10)
		}
		maps.Copy(form.Problems, extra)
		return form
	}
	page := views.ProviderOrgProps{Frame: at, Org: detail, Form: limits(nil), LookForm: views.Form{Values: map[string]string{"minutes": "30"}}, Changes: r.events()[:3], CanWrite: true, CanLook: true, CanInvite: true}
	look := models.LookRow{UserName: "Olga Operator", Org: org, Look: models.Look{ID: "k-1", Reason: "Ticket 4711: orders fail since this morning.", StartedAt: r.ago(20 * time.Minute), ExpiresAt: r.now.Add(10 * time.Minute)}}
	looking, refused, fresh, auditor := page, page, page, page
	looking.MyLook, looking.Org.Looks = &look, []models.LookRow{look}
	refused.Form = limits(map[string]string{"quota_vcpus": "86 are in use. Free some first, or enter at least as many."})
	refused.LookForm.Problems = map[string]string{"reason": "Say why, in 5 to 500 characters. The org reads it in its history."}
	fresh.Org = models.OrgDetail{OrgSummary: models.OrgSummary{Org: org, Quotas: []models.Quota{{Resource: models.ResourceMachines, Ceiling: 10}}}, AdminLacking: true, Invitations: r.invitations()[2:]}
	fresh.Org.Org.SuspendedAt, fresh.Changes = r.at(time.Hour), nil
	auditor.CanWrite, auditor.CanInvite = false, false
	ranges := []models.PublicIPRangeUse{
		{PublicIPRange: models.PublicIPRange{ID: "r-1", Name: "East, main", FirstAddress: "203.0.113.1", LastAddress: "203.0.113.62", PricePerHourMicros: 4000}, Addresses: 62, Free: 17, Resting: 2},
		{PublicIPRange: models.PublicIPRange{ID: "r-2", Name: "Old block", FirstAddress: "198.51.100.1", LastAddress: "198.51.100.14", DisabledAt: r.at(time.Hour)}, Addresses: 14, Resting: 1},
	}
	networks := views.ProviderNetworksProps{Frame: at, Clouds: r.clouds(), Ranges: ranges, CanWrite: true,
		VLANs: []models.VLANRange{{ID: "v-1", CloudID: r.clouds()[0].ID, FirstVLAN: 1000, LastVLAN: 1999}, {ID: "v-2", CloudID: r.clouds()[1].ID, FirstVLAN: 200, LastVLAN: 299}}}
	priced := networks
	priced.Priced, priced.PriceForm = "r-1", views.Form{Values: map[string]string{"price": "a lot"}, Problems: map[string]string{"price": "Enter a price per hour, such as 0.014."}}
	suspended := models.OrgSummary{Org: models.Org{Slug: "initech", Name: "Initech", SuspendedAt: r.at(time.Hour)}, Quotas: r.quotas()}
	return []screen{
		{"provider-orgs", views.OrgList(views.OrgListProps{Frame: at, Orgs: []models.OrgSummary{detail.OrgSummary, suspended}, CanWrite: true})},
		{"provider-permissions", views.Permissions(views.PermissionsProps{Frame: at})},
		{"provider-orgs-empty", views.OrgList(views.OrgListProps{Frame: at, CanWrite: true})},
		{"provider-org", views.ProviderOrg(page)},
		{"provider-org-looking", views.ProviderOrg(looking)},
		{"provider-org-refused", views.ProviderOrg(refused)},
		{"provider-org-fresh", views.ProviderOrg(fresh)},
		{"provider-org-auditor", views.ProviderOrg(auditor)},
		{"provider-org-new", views.OrgNew(views.OrgNewProps{Frame: at, Form: limits(nil), CanInvite: true})},
		{"provider-networks", views.ProviderNetworks(networks)},
		{"provider-networks-price", views.ProviderNetworks(priced)},
		{"provider-networks-empty", views.ProviderNetworks(views.ProviderNetworksProps{Frame: at, Clouds: r.clouds(), CanWrite: true})},
		{"history-intact", views.History(views.HistoryProps{Frame: f, Page: models.Page[models.AuditEvent]{Rows: r.events()}, Sealed: r.sealed(), CanExport: true,
			Verdict: &ui.Message{Tone: ui.Good, Text: "Intact up to event 1204. Signed up to event 1180 on 2026-11-27 at 14:32:05 UTC. Newest events without a seal yet: 1."}})},
		{"history-none", views.History(views.HistoryProps{Frame: f, Filter: models.EventFilter{Text: "zaphod"}, CanExport: true})},
	}
}
