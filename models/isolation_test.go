package models_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// What a method of Scope, Reader or Writer does when another org's ids are put
// into it. Whatever stands here, no method may hand out a trace of the other
// org, nor change a row of it: that is checked of all.
type promise string

const (
	absent promise = "absent" // ErrNotFound
	own    promise = "own"    // the scope's own rows, or none
	shared promise = "shared" // the menu: the same for every org
	plain  promise = "plain"  // no row at all
	writes promise = "writes" // refused, or changes nothing of the other org's
)

// promises is every method. A new one is one line here; where it takes an
// argument of a new type, that type's value is one line in foreign.
var promises = map[string]promise{
	"Scope.Actor": plain, "Scope.Can": plain, "Scope.Memberships": plain, "Scope.Org": plain, "Scope.Role": plain,
	"Scope.SessionID": plain, "Scope.UserID": plain,
	"Scope.Read": plain, "Scope.Change": plain, // the doors: everything below goes through them
	"Scope.Watch": plain, // TestWatchTellsOfOwnOrgOnly
	"Scope.Look":  plain, // whether an operator is looking, in whose name

	"ActiveTasks": own, "ChainHead": own, "CheckQuotas": own, "Checkpoints": own, "ConsoleOperators": own, "CountedQuota": own,
	"Cloud": shared, "CloudForNew": shared, "Clouds": shared, "InstanceType": shared, "InstanceTypes": shared,
	"OfferedInstanceType": shared, "OfferedTemplate": shared, "Template": shared, "TemplateImages": shared, "Templates": shared,
	"ArchivedEvent": absent, "Bodies": own, "Event": absent, "EventAndLink": absent, "Events": own, "EventsBehind": own, "Holds": own, "Invitations": own, "LastCheckpoint": own, "LastSegment": own, "LatestTask": absent,
	"Links": own, "Machine": absent, "MachineCounts": own, "MachineRecord": absent, "Machines": own, "Network": absent, "Networks": own,
	"ObjectEvents": own, "OpenConsole": absent, "OpenConsoles": own, "Org": plain, "OrgRecord": own, "Outbox": own, "People": own,
	"Person": absent, "Quotas": own, "Sealed": own, "Segments": own, "ShownLinks": own, "TakenNames": own, "Task": absent, "TaskState": absent, "Tasks": own, "Unlinked": own, "UnlinkedWithin": own, "CountWithin": own,

	"FirewallRule": absent, "FirewallRules": own, "Gateway": own, "MachineAddresses": own, "MachineChoices": own, "MachineNodes": own,
	"NetworkAddresses": absent, "NetworkRows": own, "NetworkState": own, "Topology": own, "Node": absent, "Peer": absent, "Peers": own, "PublicIP": absent,
	"PublicIPOffer": shared, "Facade": absent, "FacadeActs": own, "FacadeMachine": absent, "AbandonedNetwork": absent, "LatestClear": absent, "PortGroupGone": writes, "FacadeMachines": own, "FacadeOrders": own, "Probes": own, "ActFacade": writes, "AddFacadeMachine": writes, "DeleteFacade": writes, "LatchFacade": plain, "ProbeService": writes, "PutFacade": writes, "SetFacade": writes, "SetFacadeMachine": writes, "PublicIPs": own, "ReservedPorts": shared, "PortProblem": own, "Service": absent, "Services": own, "Uses": own,
	"VPN": absent, // globex has none

	"AddNode": writes, "AddPeer": writes, "AddRule": writes, "ChangeRule": writes, "ChangeService": writes,
	"CreateNetwork": writes, "CreateService": writes, "CreateVPN": writes, "DeleteNetwork": writes, "DeleteRule": writes, "DeleteVPN": writes,
	"DeleteService": writes, "MoveRule": writes, "ReleasePublicIP": writes, "RemoveNode": writes, "RevokePeer": writes, "SetNode": writes,
	"SetOutbound": writes, "StopOutbound": writes, "TakePublicIP": writes, "TakeThisAddress": writes,

	"Actor": plain, "Tx": plain, "Gorm": plain, // Gorm is the tests' own
	"ConsoleRoom": writes, "EndConsole": writes, "InsertAPIToken": writes, "InsertConsoleTicket": writes, "InsertInvitation": writes,
	"InsertMachine": writes, "InsertMail": writes, "InsertTask": writes, "LogTask": writes, "MoveMachine": writes, "MoveTask": writes,
	"Record": writes, "ReleaseMachine": writes, "RenewInvitation": writes, "ReserveMachine": writes, "ReturnQuota": writes,
	"SetMachine": writes, "SetStep": writes, "SetTask": writes, "TakeAddress": writes, "TakeQuota": writes, "WithdrawInvitation": writes,
}

// theirs is what acme has: what globex must not come by.
type theirs struct {
	org     models.OrgID
	machine models.Machine
	task    models.Task
	console models.ConsoleSession
	events  []models.AuditEvent
	user    models.User
	session models.SessionID
	mail    models.Invitation
	token   models.APIToken
	cloud   models.CloudID
	tmpl    models.TemplateID
	network acmesNetwork
}

func acmes(t *testing.T, w *testkit.World) theirs {
	t.Helper()
	ctx := context.Background()
	x := theirs{org: w.Acme.ID, machine: w.Machine(t, "acmes-secret-machine"), user: w.User("admin@acme.example"), cloud: w.Public.ID, tmpl: w.Template.ID}
	admin := w.Scope(t, "admin@acme.example", "acme")
	x.session = admin.SessionID()
	x.task = models.Task{MachineID: x.machine.ID, MachineName: x.machine.Name, Kind: models.TaskPower, Op: models.PowerStop}
	x.token = models.APIToken{Name: "acmes-secret-token", Role: models.RoleUser, TokenHash: "acmes-secret-hash", ExpiresAt: models.Now().AddDate(0, 0, 1)}
	err := admin.Change(ctx, func(tx *models.Writer) error {
		if err := tx.InsertTask(&x.task, []models.StepSpec{{Name: "power", Title: "Power off"}}); err != nil {
			return err
		}
		if err := tx.LogTask(&x.task, "acmes-secret-log"); err != nil {
			return err
		}
		var err error
		if x.mail, err = tx.InsertInvitation(w.Acme.ID, "new@acme.example", models.RoleUser, "acmes-secret-invitation"); err != nil {
			return err
		}
		return tx.InsertAPIToken(&x.token)
	})
	if err != nil {
		t.Fatal(err)
	}
	x.console, err = w.System.OpenConsole(ctx, models.ConsoleGrant{Machine: x.machine, Role: models.RoleAdmin, Actor: admin.Actor(),
		Ticket: models.ConsoleTicket{OrgID: w.Acme.ID, MachineID: x.machine.ID, UserID: x.user.ID, SessionID: x.session, Mode: models.ConsoleOperate},
	}, "node", models.ConsoleLimits{})
	if err != nil {
		t.Fatal(err)
	}
	x.network = acmesEdge(t, w, x.machine)
	err = w.System.Look(ctx, w.Acme.ID, func(r *models.Reader) error {
		page, err := r.Events(models.EventFilter{})
		x.events = page.Rows
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// foreign is a value of acme's for an argument of each type; several are tried
// one after the other.
func (x theirs) foreign(method string) map[reflect.Type][]any {
	set := map[string]any{"percent": 7}
	if strings.HasSuffix(method, "Machine") {
		set = map[string]any{"failure": "by globex"}
	}
	machine, task, token := x.machine, x.task, x.token
	list := map[reflect.Type][]any{}
	for _, values := range [][]any{
		{x.org}, {machine.ID}, {task.ID}, {machine.NetworkID}, {x.cloud}, {x.tmpl}, {x.console.ID}, {x.session}, {x.user.ID}, {x.mail.ID},
		{models.AuditSegment{OrgID: x.org, FirstSequence: 1, LastSequence: 1 << 40}}, {x.events[0].ID}, {x.events}, {x.mail}, {&machine}, {&task}, {&token},
		{string(machine.ID), machine.Name, string(x.org), "acme"}, {[]string{machine.Name}},
		{models.MachineFilter{}, models.MachineFilter{Search: "acmes"}, models.MachineFilter{Name: machine.Name}},
		{models.ConsoleFilter{}, models.ConsoleFilter{Search: "acme"}},
		{models.PeopleFilter{}, models.PeopleFilter{Search: "acme"}},
		{models.TaskFilter{}, models.TaskFilter{Machine: machine.ID}, models.TaskFilter{Search: "acmes"}},
		{models.EventFilter{}, models.EventFilter{Object: string(machine.ID)}, models.EventFilter{Actor: "acme"}},
		{models.Span{}, models.Span{UpTo: x.events[0].ID}},
		{models.Event{Action: models.ActionMachinePower, Object: machine.Object(), Outcome: models.OutcomeAccepted}},
		{models.MachineStopped, models.MachineDeleting, models.MachineFailed}, {models.TaskRunning, models.TaskCancelled}, {set},
		{models.Amounts{models.ResourceMachines: 1}}, {models.RoleAdmin}, {models.ConsoleAsk{Mode: models.ConsoleOperate}}, {models.ConsoleLimits{}},
		{x.network.service.ID}, {x.network.node.ID}, {x.network.rule.ID}, {x.network.peer}, {x.network.ip.ID}, {&x.network.node}, {&x.network.rule},
		{models.FacadePolicy{ServiceID: x.network.service.ID, AuthorID: x.user.ID, MinNodes: 1, MaxNodes: 1, TemplateID: x.tmpl, NetworkID: machine.NetworkID, NodePort: 80}},
		{models.FacadeMachine{MachineID: machine.ID, ServiceID: x.network.service.ID, State: models.FacadeJoined}}, {models.OutcomeSucceeded},
		{&models.ServiceRow{InternetService: x.network.service}}, {models.FacadeAct{ServiceID: x.network.service.ID, Action: models.ActionFacadeIn}},
		{x.network.rule}, {x.network.service}, {&x.network.service}, {models.ServiceEndpoint{PublicIPID: x.network.ip.ID, Port: 444}}, {&x.network.network},
		{[]models.StepSpec{{Name: "power", Title: "Power off"}}}, {true}, {100, 3}, {int64(1)}, {time.Minute}, {models.Now().Add(time.Hour)}, {models.OrgRead},
	} {
		list[reflect.TypeOf(values[0])] = values
	}
	return list
}

func TestEveryMethodKeepsToItsOrg(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		x := acmes(t, w)
		traces := []string{string(x.org), string(x.machine.ID), string(x.task.ID), string(x.machine.NetworkID), string(x.console.ID), string(x.user.ID),
			string(x.session), string(x.network.service.ID), string(x.network.node.ID), string(x.network.rule.ID), string(x.network.peer),
			string(x.network.ip.ID), x.network.ip.Address, string(x.mail.ID), string(x.token.ID), string(x.events[0].ID), "acmes-secret", "acme.example", "of acme"}
		scope := w.Scope(t, "admin@globex.example", "globex")
		before := dump(t, db, w)
		known := map[string]bool{}
		try := func(name string, receiver func(call func(reflect.Value) error) error, method reflect.Method) {
			known[name] = true
			want, listed := promises[name]
			switch {
			case !listed:
				t.Errorf("%s is not in the table of promises: say there what it does with another org's ids", name)
				return
			case want == plain:
				return
			}
			calls, missing := arguments(method.Type, x.foreign(method.Name))
			if missing != nil {
				t.Errorf("%s takes a %s: add one line with acme's value of that type", name, missing)
				return
			}
			for _, args := range calls {
				var results []reflect.Value
				err := receiver(func(on reflect.Value) error {
					results = method.Func.Call(append([]reflect.Value{on}, args...))
					err, _ := results[len(results)-1].Interface().(error)
					return err
				})
				if errors.Is(err, models.ErrUnrecorded) {
					err = nil
				}
				if want == absent && !errors.Is(err, models.ErrNotFound) {
					t.Errorf("%s: %v, want not found", name, err)
				}
				if want == own && err != nil || want == shared && err != nil && !errors.Is(err, models.ErrNotFound) {
					t.Errorf("%s: %v", name, err)
				}
				for _, result := range results {
					text := shown(result)
					for _, trace := range traces {
						if strings.Contains(text, trace) && !errors.Is(err, models.ErrNoScope) && want != writes {
							t.Errorf("%s hands out %q: %.300s", name, trace, text)
						}
					}
				}
			}
		}
		ctx := context.Background()
		reader, writer := reflect.TypeFor[*models.Reader](), reflect.TypeFor[*models.Writer]()
		for m := range reader.Methods() {
			try(m.Name, func(call func(reflect.Value) error) error {
				return scope.Read(ctx, func(r *models.Reader) error { return call(reflect.ValueOf(r)) })
			}, m)
		}
		for m := range writer.Methods() {
			if _, promoted := reader.MethodByName(m.Name); promoted {
				continue
			}
			try(m.Name, func(call func(reflect.Value) error) error {
				return scope.Change(ctx, func(tx *models.Writer) error {
					if err := call(reflect.ValueOf(tx)); err != nil {
						return err
					}
					return tx.Record(models.Event{Action: models.ActionMachinePower, Outcome: models.OutcomeAccepted})
				})
			}, m)
		}
		doors := reflect.TypeFor[*models.Scope]()
		for m := range doors.Methods() {
			try("Scope."+m.Name, nil, m)
		}
		for name := range promises {
			if !known[name] {
				t.Errorf("%s is in the table and nowhere else", name)
			}
		}
		after := dump(t, db, w)
		for table, rows := range before {
			if rows != after[table] {
				t.Errorf("%s: globex changed what isn't its own:\n%s\n%s", table, rows, after[table])
			}
		}
	})
}

// arguments makes every call: one argument varies at a time.
func arguments(f reflect.Type, values map[reflect.Type][]any) (calls [][]reflect.Value, missing reflect.Type) {
	first := []reflect.Value{}
	for i := 1; i < f.NumIn(); i++ {
		list := values[f.In(i)]
		if list == nil {
			return nil, f.In(i)
		}
		first = append(first, reflect.ValueOf(list[0]))
	}
	calls = append(calls, first)
	for i := 1; i < f.NumIn(); i++ {
		for _, other := range values[f.In(i)][1:] {
			call := slices.Clone(first)
			call[i-1] = reflect.ValueOf(other)
			calls = append(calls, call)
		}
	}
	return calls, nil
}

func shown(v reflect.Value) string {
	if err, is := v.Interface().(error); is {
		return err.Error()
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// tables lists all of ours, and whether they have an org_id.
func tables(t *testing.T, db *models.DB) map[string]bool {
	t.Helper()
	query := `SELECT m.name, EXISTS (SELECT 1 FROM pragma_table_info(m.name) c WHERE c.name = 'org_id') FROM sqlite_master m WHERE m.type = 'table'`
	if db.Kind() == models.PostgreSQL {
		query = `SELECT c.relname, EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'org_id' AND NOT a.attisdropped)
			FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace`
	}
	rows, err := db.SQL().QueryContext(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	list := map[string]bool{}
	for rows.Next() {
		var name string
		var has bool
		if err := rows.Scan(&name, &has); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(name, "river_") && !strings.HasPrefix(name, "goose_") && !strings.HasPrefix(name, "sqlite_") {
			list[name] = has
		}
	}
	if err := rows.Err(); err != nil || len(list) < 20 {
		t.Fatalf("%d tables: %v", len(list), err)
	}
	return list
}

// dump is every row that isn't globex's, as text, by table.
func dump(t *testing.T, db *models.DB, w *testkit.World) map[string]string {
	t.Helper()
	all := map[string]string{}
	for table, has := range tables(t, db) {
		query := "SELECT * FROM " + table
		if has {
			query += " WHERE org_id IS NULL OR org_id <> '" + string(w.Globex.ID) + "'"
		}
		all[table] = strings.Join(selected(t, db, "", query), "\n")
	}
	return all
}

// selected runs a query in a transaction of an org's, "" for background work.
func selected(t *testing.T, db *models.DB, org models.OrgID, query string) []string {
	t.Helper()
	ctx := context.Background()
	tx, err := db.SQL().BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if db.Kind() == models.PostgreSQL {
		setting := "SELECT set_config('millwright.system', 'on', true)"
		if org != "" {
			setting = "SELECT set_config('millwright.org', '" + string(org) + "', true)"
		}
		if _, err := tx.ExecContext(ctx, setting); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	return texts(t, rows)
}

func texts(t *testing.T, rows *sql.Rows) []string {
	t.Helper()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for rows.Next() {
		cells := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, c := range columns {
			row[c] = fmt.Sprint(cells[i])
		}
		var line []string
		for _, c := range slices.Sorted(maps.Keys(row)) {
			line = append(line, c+"="+row[c])
		}
		list = append(list, strings.Join(line, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}
