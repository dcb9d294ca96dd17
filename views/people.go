package views

import (
	"net/url"
	"slices"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
)

// Addresses of an org's people.
func (p Place) People() string                         { return p.url("/people") }
func (p Place) Permissions() string                    { return p.url("/permissions") }
func (p Place) PeopleOutbox() string                   { return p.url("/people/outbox") }
func (p Place) Invite() string                         { return p.url("/people/invitations") }
func (p Place) Person(id models.UserID) string         { return p.url("/people/" + url.PathEscape(string(id))) }
func (p Place) Resend(id models.InvitationID) string   { return p.invitation(id) + "/resend" }
func (p Place) Withdraw(id models.InvitationID) string { return p.invitation(id) + "/withdraw" }
func (p Place) invitation(id models.InvitationID) string {
	return p.Invite() + "/" + url.PathEscape(string(id))
}

// OutboxURL is the operators' view of the mail.
const OutboxURL = "/provider/outbox"

// PeopleProps is who is in the org, and who is invited.
type PeopleProps struct {
	Frame       Frame
	Self        models.UserID // whose page this is
	Filter      models.PeopleFilter
	Page        models.Page[models.Person]
	Invitations []models.InvitationRow
	CanManage   bool
	Outbox      bool // the demo's: mails are shown, not sent
	// Email and Role are what was typed to invite, Problems what is wrong with it.
	Email    string
	Role     models.Role
	Problems map[string]string
}

func (p PeopleProps) filtered() bool { return p.Filter.Search != "" || p.Filter.Role != "" }

// at is the list's address with a change to it.
func (p PeopleProps) at(after, before, part string) string {
	return withQuery(p.Frame.Place().People(), "q", p.Filter.Search, "role", string(p.Filter.Role), "after", after, "before", before, "part", part)
}

func (p PeopleProps) pageURL(after, before string) string {
	if after == "" && before == "" {
		return ""
	}
	return p.at(after, before, "")
}

func (p PeopleProps) clearURL() string {
	if p.filtered() {
		return p.Frame.Place().People()
	}
	return ""
}

// shownInvitations are those that the page has room for.
func (p PeopleProps) shownInvitations() []models.InvitationRow {
	return p.Invitations[:min(len(p.Invitations), models.InvitationsMost)]
}

func anyRoleOptions() []ui.Option {
	list := []ui.Option{{Label: "Any role"}}
	for _, r := range models.OrgRoles {
		list = append(list, ui.Option{Value: string(r), Label: roleName(r)})
	}
	return list
}

// PersonProps is one member's page.
type PersonProps struct {
	Frame     Frame
	Person    models.Person
	Self      bool
	CanManage bool
}

// InvitedProps shows an invitation's link, once.
type InvitedProps struct {
	Frame Frame
	Email string
	Role  models.Role
	Link  string
}

// OutboxProps lists mails. Frame is an org's or the provider's.
type OutboxProps struct {
	Frame   Frame
	Letters []models.Letter
	Demo    bool
}

// orgRoleOptions is the menu of an org's roles, the least first.
func orgRoleOptions() []ui.Option {
	list := []ui.Option{}
	for _, r := range slices.Backward(models.RolesUpTo(models.RoleAdmin)) {
		list = append(list, ui.Option{Value: string(r), Label: roleName(r) + ": " + roleWords[r]})
	}
	return list
}

// roleWords says what a role is for, short enough for a menu on a phone.
var roleWords = map[models.Role]string{
	models.RoleAdmin: "everything", models.RoleUser: "orders and runs machines",
	models.RoleAuditor: "reads, changes nothing", models.RoleOperator: "runs the portal: clouds, menu, orgs",
	models.RoleProviderAuditor: "sees what operators see, changes nothing",
}

func personLook(p models.Person) ui.Look {
	switch {
	case p.AccountDisabled:
		return ui.Look{Tone: ui.Bad, Icon: "ban", Label: "Account disabled"}
	case p.DisabledAt != nil:
		return ui.Look{Tone: ui.Warn, Icon: "ban", Label: "Disabled"}
	default:
		return ui.Look{Tone: ui.Good, Icon: "check", Label: "Active"}
	}
}

func invitationLook(i models.InvitationRow) ui.Look {
	switch {
	case i.Expired():
		return ui.Look{Tone: ui.Idle, Icon: "clock", Label: "Expired"}
	case i.Mailed && i.MailSentAt == nil && i.MailProblem != "":
		return ui.Look{Tone: ui.Warn, Icon: "alert-triangle", Label: "Mail is stuck"}
	case i.Mailed && i.MailSentAt == nil:
		return ui.Look{Tone: ui.Busy, Icon: "clock", Label: "Mail on its way"}
	default:
		return ui.Look{Tone: ui.Accent, Icon: "clock", Label: "Invited"}
	}
}

func letterLook(l models.Letter, demo bool) ui.Look {
	switch {
	case demo && l.Text == "":
		return ui.Look{Tone: ui.Idle, Icon: "ban", Label: "Used or over"}
	case demo:
		return ui.Look{Tone: ui.Accent, Icon: "clock", Label: "Kept here"}
	case l.SentAt != nil:
		return ui.Look{Tone: ui.Good, Icon: "check", Label: "Sent"}
	case l.DroppedAt != nil && l.Problem != "":
		return ui.Look{Tone: ui.Bad, Icon: "alert-circle", Label: "Given up"}
	case l.DroppedAt != nil:
		return ui.Look{Tone: ui.Idle, Icon: "ban", Label: "Not needed any more"}
	case l.Problem != "":
		return ui.Look{Tone: ui.Warn, Icon: "alert-triangle", Label: "Tried again soon"}
	default:
		return ui.Look{Tone: ui.Busy, Icon: "clock", Label: "On its way"}
	}
}

// permissionWords says what each permission lets one do; a test holds that
// none is without.
var permissionWords = map[models.Permission]string{
	models.OrgRead: "See the dashboard, machines, tasks and networks", models.CatalogRead: "See the catalog and its prices",
	models.HistoryRead: "Read the history", models.HistoryExport: "Export and verify the history",
	models.MachineOrder: "Order machines", models.MachineOperate: "Start, stop and change machines", models.MachineDelete: "Delete machines",
	models.ConsoleOpen: "Open a machine's screen", models.ConsoleManage: "See who has a screen open, and close it",
	models.TaskControl: "Cancel and retry tasks", models.PeopleRead: "See who is in the org",
	models.PeopleManage:  "Invite people, change roles, disable and remove",
	models.NetworkProbe:  "Have the gateway try a service's machines",
	models.NetworkManage: "Change networks, public IPs, services, firewall and everybody's VPN devices", models.VPNUse: "Let one's own devices into the VPN",
	models.VPNReadAll:   "See everybody's VPN devices",
	models.ProviderLook: "Look into an org, for a reason and a time", models.AccountManage: "Disable and enable whole accounts, in every org",
	models.ProviderRead: "See clouds, orgs and tasks of the whole portal", models.ProviderWrite: "Change clouds, menu, quotas and orgs",
}

// permissionName is the words, or the permission itself where it has none yet.
func permissionName(p models.Permission) string {
	if words := permissionWords[p]; words != "" {
		return words
	}
	return string(p)
}

func roleHas(r models.Role, p models.Permission) bool { return r.May(p) }
