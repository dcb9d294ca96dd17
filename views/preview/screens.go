package main

import (
	"slices"
	"time"

	"github.com/a-h/templ"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

type screen struct {
	name      string
	component templ.Component
}

// screens is every page, and every page in the conditions that change its look.
func screens(now time.Time) []screen {
	r := records{now: now}
	f := r.frame()
	flashed := f
	flashed.Flash = []ui.Message{{Tone: ui.Good, Text: "web-1 is being started."}, {Tone: ui.Bad, Text: "staging-db could not be started: something is being done to it already."}}
	provider := operator()
	return append([]screen{
		{"sign-in", views.SignIn(views.SignInProps{DemoAccounts: []string{"admin@acme.example", "user@acme.example", "auditor@acme.example", "operator@provider.example"}, DemoPassword: "millwright"})},
		{"sign-in-refused", views.SignIn(views.SignInProps{Email: "user@acme.example", SSOLabel: "Acme ID", Error: "This email and password don't belong together."})},
		{"orgs", views.OrgChooser(views.OrgChooserProps{Frame: views.Frame{User: f.User, Memberships: f.Memberships}})},
		{"dashboard", views.Dashboard(views.DashboardProps{Frame: f, Quotas: r.quotas(), Tasks: r.tasks()[:3], Events: r.events(), CanOrder: true,
			Counts: map[models.MachineState]int{models.MachineBuilding: 1, models.MachineRunning: 8, models.MachineStopped: 3, models.MachineSuspended: 1, models.MachineFailed: 1}})},
		{"dashboard-empty", views.Dashboard(views.DashboardProps{Frame: f, CanOrder: true, Quotas: []models.Quota{{Resource: models.ResourceMachines, Ceiling: 50}, {Resource: models.ResourceVCPUs, Ceiling: 100}}})},
		{"catalog", views.Catalog(views.CatalogProps{Frame: f, Templates: r.templates(), CanOrder: true})},
		{"catalog-none", views.Catalog(views.CatalogProps{Frame: f, Search: "solaris", CanOrder: true})},
		{"task-scale-in", views.Task(views.TaskProps{Frame: f, Task: r.retiring(), CanControl: true})},
		{"task-network", views.Task(views.TaskProps{Frame: f, Task: r.clearing(), CanControl: true, MachineGone: true})},
		{"task", views.Task(views.TaskProps{Frame: f, Task: *r.running(), CanControl: true})},
		{"tasks", views.TaskList(views.TaskListProps{Frame: f, Page: models.Page[models.Task]{Rows: r.tasks(), Next: "n"}})},
		{"history", views.History(views.HistoryProps{Frame: f, Filter: models.EventFilter{Actor: "a"}, Page: models.Page[models.AuditEvent]{Rows: r.events(), Next: "n", Prev: "p"},
			Sealed: r.sealed(), Signed: models.AuditCheckpoint{Sequence: 1204, At: r.ago(time.Hour)}, CanExport: true})},
		{"history-verified", views.History(views.HistoryProps{Frame: f, Page: models.Page[models.AuditEvent]{Rows: r.events()}, Sealed: r.sealed(), CanExport: true,
			Verdict: &ui.Message{Tone: ui.Bad, Text: "Not intact. Event 1017 (0199a4c2-71e0-7c3a-9d1b-000000000077): changed. It is not what was sealed. Before it, everything is whole up to event 1016."}})},
		{"history-event", views.HistoryEvent(views.HistoryEventProps{Frame: f, Event: r.whole(), Link: models.AuditLink{Sequence: 1017, PreviousHash: hash("before"), Hash: hash("it")}})},
		{"history-archived", views.HistoryEvent(views.HistoryEventProps{Frame: f, Link: models.AuditLink{Sequence: 17, EventID: "0199a4c2-71e0-7c3a-9d1b-000000000077", PreviousHash: hash("before"), Hash: hash("it")},
			Archived: models.AuditSegment{FirstSequence: 1, LastSequence: 48213, File: "acme-0199a4c2-0000-7000-8000-000000000001-000000000001-000000048213.jsonl", SHA256: hash("file"), At: r.ago(time.Hour)}})},
		{"provider-history", views.History(views.HistoryProps{Frame: provider, Page: models.Page[models.AuditEvent]{Rows: r.events(), Next: "n"}, Sealed: r.sealed(),
			Provider: &views.ProviderHistoryProps{Orgs: []models.Org{f.Org, f.Memberships[1].Org}}})},
		{"provider", views.ProviderOverview(views.ProviderOverviewProps{Frame: provider, Overview: models.Overview{Clouds: r.clouds(), ActiveTasks: 3, Events: r.events()[:0],
			Orgs: []models.OrgSummary{{Org: f.Org, Machines: 14, Quotas: r.quotas()}, {Org: f.Memberships[1].Org}}}})},
		{"error-404", views.Error(views.ErrorProps{Frame: &f, Status: 404})},
		{"error-503", views.Error(views.ErrorProps{Status: 503, Message: "The database doesn't answer just now.", RetryAfterSeconds: 10, Reference: "7f3a9c21"})},
	}, slices.Concat(machineScreens(r, f, flashed), orderScreens(r, f), networkScreens(r, f), accountScreens(f, now), peopleScreens(r, f), providerScreens(r, f), providerAccountScreens(r, f))...)
}

func machineScreens(r records, f, flashed views.Frame) []screen {
	rows := models.Page[models.MachineRow]{Rows: r.machines(), Next: "n"}
	settled := views.MachineProps{Frame: f, Machine: r.machine(3, "web-1", models.MachineRunning), Tasks: r.tasks()[3:], Events: r.events()[1:4],
		CanOperate: true, CanConsole: true, CanDelete: true, CanControlTask: true}
	building := settled
	building.Machine, building.Task, building.CanConsole = r.machines()[0], r.running(), false
	failed := settled
	failed.Machine, failed.Task, failed.CanConsole = r.machine(10, "load-test-44", models.MachineFailed), r.failed(), false
	away := settled
	away.Machine = r.machine(4, "old-crm", models.MachineMissing)
	away.Machine.CloudStatus = models.CloudUnreachable
	auditor := views.MachineProps{Frame: f, Machine: settled.Machine, Events: settled.Events}
	refused := settled
	refused.DeleteTyped, refused.DeleteError = "web1", "This is not the machine's name."
	return []screen{
		{"machines", views.MachineList(views.MachineListProps{Frame: flashed, Filter: models.MachineFilter{Sort: models.SortNewest}, Page: rows, CanOrder: true, CanOperate: true, CanConsole: true})},
		{"machines-auditor", views.MachineList(views.MachineListProps{Frame: f, Filter: models.MachineFilter{Sort: models.SortName}, Page: rows})},
		{"machines-empty", views.MachineList(views.MachineListProps{Frame: f, CanOrder: true})},
		{"machine", views.Machine(settled)},
		{"machine-building", views.Machine(building)},
		{"machine-failed", views.Machine(failed)},
		{"machine-missing", views.Machine(away)},
		{"machine-auditor", views.Machine(auditor)},
		{"machine-delete", views.Machine(refused)},
		{"console-off", views.Console(consoleOff(r.now))},
	}
}

// consoleOff is the console of a machine that is stopped.
func consoleOff(now time.Time) views.ConsoleProps {
	r := records{now: now}
	return views.ConsoleProps{Frame: r.frame(), Machine: r.machine(6, "reporting", models.MachineStopped), CanOperate: true}
}

func orderScreens(r records, f views.Frame) []screen {
	size, q := r.types()[2], r.quotas()
	order := views.MachineNewProps{
		Frame: f, Form: views.OrderForm{Template: "ubuntu-24-04", InstanceType: "medium", Name: "web-3"},
		Templates: r.templates(), InstanceTypes: r.types(), Clouds: r.clouds(), Networks: r.networks(),
		Plan: views.PlanProps{
			Ready: true, TemplateName: "Ubuntu 24.04 LTS", TypeName: size.Name, VCPUs: size.VCPUs, MemoryMiB: size.MemoryMiB, DiskGiB: size.DiskGiB, Count: 1,
			PricePerHourMicros: size.PricePerHourMicros, CloudName: "Frankfurt", CloudClass: models.CloudPublic, CloudStatus: models.CloudConnected, NetworkName: "default · 10.20.0.0/22",
			Reason: "The cheapest cloud with room: 412 vCPU and 1.8 TiB of memory are free.",
			Quota:  []views.QuotaAfter{{Quota: q[0], More: 1}, {Quota: q[1], More: 2}, {Quota: q[2], More: 4096}, {Quota: models.Quota{Resource: models.ResourceStorage, Used: 1500, Ceiling: 2000}, More: 40}},
		},
	}
	refused := order
	refused.Form.Name, refused.Form.Template = "Web 3!", "windows-server-2025"
	refused.Errors = map[string]string{"name": "Use lower-case letters, digits and hyphens, beginning with a letter.", "instance_type": "Windows Server 2025 needs at least 4 GiB of memory. Choose a larger size."}
	refused.Plan = views.PlanProps{Problem: "Windows Server 2025 needs at least 4 GiB of memory. Choose a larger size."}
	full := order
	full.Problem = "This needs 40 GiB of storage, and 2000 of the org's 2000 are taken. Delete a machine, choose a smaller size, or ask your provider for more."
	full.Plan.Quota = []views.QuotaAfter{{Quota: q[0], More: 1}, {Quota: q[3], More: 40}}
	return []screen{{"order", views.MachineNew(order)}, {"order-refused", views.MachineNew(refused)}, {"order-full", views.MachineNew(full)}}
}
