package models

import "slices"

// Role is what a member may do in an org, or a user at the provider.
type Role string

const (
	RoleAdmin   Role = "admin"   // people, networks, everything in the org
	RoleUser    Role = "user"    // orders and operates machines, opens consoles
	RoleAuditor Role = "auditor" // reads everything of the org, changes nothing

	RoleOperator        Role = "operator"         // connects clouds, sets menu, prices and quotas
	RoleProviderAuditor Role = "provider_auditor" // reads what operators see
)

// Permission is one thing that a route asks for.
type Permission string

const (
	OrgRead        Permission = "org.read"        // dashboard, machines, tasks, network: look
	CatalogRead    Permission = "catalog.read"    // the menu
	HistoryRead    Permission = "history.read"    // who did what
	HistoryExport  Permission = "history.export"  // take it away, and have it verified
	MachineOrder   Permission = "machine.order"   // create a machine
	MachineOperate Permission = "machine.operate" // power, rename
	MachineDelete  Permission = "machine.delete"
	ConsoleOpen    Permission = "console.open"
	ConsoleManage  Permission = "console.manage" // see who has one open, and close it
	TaskControl    Permission = "task.control"   // cancel, retry
	PeopleRead     Permission = "people.read"    // who is in the org, as what
	PeopleManage   Permission = "people.manage"  // invite, change roles, disable, remove

	NetworkManage Permission = "network.manage" // networks, public IPs, services, firewall, everybody's devices
	NetworkProbe  Permission = "network.probe"  // have the gateway try a service's nodes
	VPNUse        Permission = "vpn.use"        // one's own devices
	VPNReadAll    Permission = "vpn.read_all"   // whose devices there are

	ProviderRead  Permission = "provider.read"
	ProviderWrite Permission = "provider.write"
	ProviderLook  Permission = "provider.look"     // into an org: for a reason, for a time
	AccountManage Permission = "provider.accounts" // disable and enable whole accounts
)

// permissions is the one table that says who may do what; nothing else decides.
var permissions = map[Permission][]Role{
	OrgRead:        {RoleAdmin, RoleUser, RoleAuditor},
	CatalogRead:    {RoleAdmin, RoleUser, RoleAuditor},
	HistoryRead:    {RoleAdmin, RoleUser, RoleAuditor},
	HistoryExport:  {RoleAdmin, RoleAuditor},
	MachineOrder:   {RoleAdmin, RoleUser},
	MachineOperate: {RoleAdmin, RoleUser},
	MachineDelete:  {RoleAdmin, RoleUser},
	ConsoleOpen:    {RoleAdmin, RoleUser},
	ConsoleManage:  {RoleAdmin},
	TaskControl:    {RoleAdmin, RoleUser},
	PeopleRead:     {RoleAdmin, RoleUser, RoleAuditor},
	PeopleManage:   {RoleAdmin},
	NetworkManage:  {RoleAdmin},
	NetworkProbe:   {RoleAdmin, RoleUser},
	VPNUse:         {RoleAdmin, RoleUser},
	VPNReadAll:     {RoleAdmin, RoleAuditor},
	ProviderRead:   {RoleOperator, RoleProviderAuditor},
	ProviderWrite:  {RoleOperator},
	ProviderLook:   {RoleOperator, RoleProviderAuditor},
	AccountManage:  {RoleOperator},
}

// strength puts an org's roles in order. A role without one is no member's.
var strength = map[Role]int{RoleAuditor: 1, RoleUser: 2, RoleAdmin: 3}

// WeakerRole is the one of two org roles that may do less; "" where either is
// none.
func WeakerRole(a, b Role) Role {
	switch {
	case strength[a] == 0 || strength[b] == 0:
		return ""
	case strength[a] < strength[b]:
		return a
	default:
		return b
	}
}

// RolesUpTo lists the org roles that are no stronger, strongest first.
func RolesUpTo(r Role) []Role {
	var list []Role
	for _, role := range []Role{RoleAdmin, RoleUser, RoleAuditor} {
		if strength[role] <= strength[r] {
			list = append(list, role)
		}
	}
	return list
}

// May says whether the role has the permission.
func (r Role) May(p Permission) bool {
	return slices.Contains(permissions[p], r)
}

// RolesWith lists who has the permission, for the table that people read.
func RolesWith(p Permission) []Role { return slices.Clone(permissions[p]) }

// OrgRoles and ProviderRoles list the roles in the order of a table.
var (
	OrgRoles      = []Role{RoleAdmin, RoleUser, RoleAuditor}
	ProviderRoles = []Role{RoleOperator, RoleProviderAuditor}
)

// PermissionsOf lists what at least one of the roles may, in the order of
// their names.
func PermissionsOf(roles []Role) []Permission {
	var list []Permission
	for p, with := range permissions {
		if slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(with, r) }) {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}
