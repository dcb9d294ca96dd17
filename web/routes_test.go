package web

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

var allRoles = []models.Role{models.RoleAdmin, models.RoleUser, models.RoleAuditor, models.RoleOperator, models.RoleProviderAuditor}

// The table in testdata is what people review: who gets where. Write it anew
// with UPDATE_GOLDEN=1.
func TestRouteTableIsTheReviewedOne(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	var b strings.Builder
	line := func(cells ...any) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-5s %-40s %-10s %-16s %-6s %-5s %-8s %-9s %s", cells...), " ") + "\n")
	}
	line("", "route", "door", "permission", "admin", "user", "auditor", "operator", "provider_auditor")
	for _, r := range p.server.routes {
		cells := []any{r.method, r.path, r.door, r.permission}
		for _, role := range allRoles {
			mark := "-"
			if r.permission == "" || role.May(r.permission) {
				mark = "yes"
			}
			cells = append(cells, mark)
		}
		line(cells...)
	}
	const file = "testdata/routes.txt"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the route table changed; look at who gets where, then UPDATE_GOLDEN=1:\n%s", b.String())
	}
}

func TestNothingIsMountedBesideTheTable(t *testing.T) {
	t.Parallel()
	p := newPortal(t, testkit.SQLite(t))
	if mounted := p.server.echo.Routes(); len(mounted) != len(p.server.routes) {
		t.Errorf("%d routes are mounted, %d are in the table", len(mounted), len(p.server.routes))
	}
}

// address puts values into a route's path.
func address(path, org, id string) string {
	return strings.NewReplacer(":org", org, ":id", id, "*", "x").Replace(path)
}

// orgRoutes are the tenant rows of the table.
func (p *portal) orgRoutes() []route {
	return slices.DeleteFunc(slices.Clone(p.server.routes), func(r route) bool { return r.door != doorOrg })
}

// ids returns one id of acme for each noun, and an invented one.
func (p *portal) ids() (byNoun map[string]string, invented string) {
	building, machine := p.order("building"), p.Machine(p.t, "web-1")
	machine.OrgID = p.Acme.ID
	edge := p.edge("acme", "edge-1", machine)
	return map[string]string{
		"machines": string(machine.ID), "tasks": string(p.activeTask(building)), "consoles": p.openConsole(machine, "user@acme.example"),
		"history": string(p.events(models.EventFilter{})[0].ID),
		"people":  string(p.User("user@acme.example").ID),
		"private": edge.network, "ips": edge.ip, "services": edge.service, "nodes": edge.node, "firewall": edge.rule, "vpn": edge.device,
	}, string(models.NewID[models.MachineID]())
}

func noun(path string) string {
	return strings.Split(strings.TrimPrefix(strings.TrimPrefix(path, "/orgs/:org/"), "network/"), "/")[0]
}

func TestStrangerSeesNothing(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		ids, invented := p.ids()
		stranger := p.as("admin@globex.example")
		want := stranger.get("/there/is/no/such/page").Body.String()
		for _, r := range p.orgRoutes() {
			own := ids[noun(r.path)]
			urls := []string{
				address(r.path, "acme", own),                              // another org
				address(r.path, "acme", invented),                         // an invented id in it
				address(r.path, "nosuchorg", own),                         // an invented org
				address(r.path, "ACME", own), address(r.path, "%27", own), // no org's name
			}
			if strings.Contains(r.path, ":id") {
				urls = append(urls, address(r.path, "globex", own), address(r.path, "globex", invented),
					address(r.path, "globex", strings.Repeat("a", 300)), address(r.path, "globex", "a%00b"))
			}
			for _, u := range urls {
				form := url.Values{"op": {"stop"}, "confirm": {"web-1"}}
				answer := stranger.send(stranger.request(r.method, u, form))
				if answer.Code != http.StatusNotFound || answer.Body.String() != want {
					t.Errorf("%s %s: %d, %d bytes", r.method, u, answer.Code, answer.Body.Len())
				}
			}
		}
	})
}

func TestLackingPermissionIsRefusedAndTold(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		ids, _ := p.ids()
		auditor := p.as("auditor@acme.example")
		refused := 0
		for _, r := range p.orgRoutes() {
			if models.RoleAuditor.May(r.permission) {
				continue
			}
			answer := auditor.send(auditor.request(r.method, address(r.path, "acme", ids[noun(r.path)]), url.Values{"op": {"stop"}}))
			refused++
			if answer.Code != http.StatusForbidden {
				t.Errorf("%s %s: %d", r.method, r.path, answer.Code)
			}
		}
		told := p.events(models.EventFilter{Action: models.ActionAccessRefused})
		if refused < 8 || len(told) != refused {
			t.Fatalf("%d refused, %d told", refused, len(told))
		}
		for _, e := range told {
			if e.Outcome != models.OutcomeRefused || e.ActorName != "Auditor of acme" || !strings.Contains(e.ObjectName, " /orgs/acme/") {
				t.Errorf("event %+v", e)
			}
		}
	})
}

// Every page that a role may see opens, as a page and as the parts of it.
func TestEveryPageOpens(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		ids, _ := p.ids()
		for _, email := range []string{"admin@acme.example", "user@acme.example", "auditor@acme.example"} {
			b := p.as(email)
			role := models.Role(strings.Split(email, "@")[0])
			for _, r := range p.orgRoutes() {
				if r.method != http.MethodGet || !role.May(r.permission) || strings.HasSuffix(r.path, "/events") || strings.HasSuffix(r.path, "/export") || r.path == "/orgs/:org" ||
					strings.HasSuffix(r.path, "/publish") { // leads on to what can be published
					continue
				}
				path := address(r.path, "acme", ids[noun(r.path)])
				if answer := b.get(path); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "</html>") {
					t.Errorf("%s as %s: %d", path, role, answer.Code)
				}
				for _, part := range []string{"live", "row", "list", "plan"} {
					answer := b.get(path+"?part="+part, "HX-Request", "true")
					if answer.Code != http.StatusOK {
						t.Errorf("%s?part=%s as %s: %d", path, part, role, answer.Code)
					}
				}
			}
		}
		operator := p.as("operator@provider.example")
		if answer := operator.get("/provider/"); answer.Code != http.StatusOK {
			t.Errorf("/provider/: %d", answer.Code)
		}
		if answer := p.as("user@acme.example").get("/provider/"); answer.Code != http.StatusNotFound {
			t.Errorf("/provider/ for a tenant: %d", answer.Code)
		}
	})
}
