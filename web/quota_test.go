package web

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// bars is the bar of every resource on a page, by name, with what it says in
// words: to the eye and to whoever doesn't see it.
func bars(t *testing.T, page string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, bar := range strings.Split(page, `<div class="meter`)[1:] {
		bar, _, _ = strings.Cut(bar, "</svg>")
		spoken := regexp.MustCompile(`role="img" aria-label="([^"]+): ([^"]+)"`).FindStringSubmatch(bar)
		if spoken == nil {
			continue // its head or value
		}
		for _, text := range spoken[1:] {
			if !strings.Contains(bar, ">"+text+"<") {
				t.Errorf("%q is said and not shown: %s", text, bar)
			}
		}
		found[spoken[1]] = spoken[2]
	}
	return found
}

// Dashboard and order form show every limit that the org has, with what is
// used of it in words; the order form with what the order would take.
func TestQuotaBarsTellUsedAndLimitOfEveryResource(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		if _, err := p.System.PutOrg(t.Context(), "acme", "Acme", models.Limits{models.ResourceMachines: 11, models.ResourceVCPUs: 22,
			models.ResourceMemory: 65536, models.ResourceStorage: 777, models.ResourcePublicIPs: 5, models.ResourceTasks: 66, models.ResourceConsoles: 7}); err != nil {
			t.Fatal(err)
		}
		p.order("web-1") // and its task is under way
		p.openConsole(p.MachineOf(t, "acme", "web-2"), "user@acme.example")
		size := p.Small
		memory := func(machines int) string { return fmt.Sprintf("%d of 64 GiB", machines*size.MemoryMiB/1024) }
		want := func(machines, tasks int) map[string]string {
			return map[string]string{
				"Machines": fmt.Sprintf("%d of 11", machines), "vCPUs": fmt.Sprintf("%d of 22", machines*size.VCPUs), "Memory": memory(machines),
				"Storage": fmt.Sprintf("%d of 777 GiB", machines*size.DiskGiB), "Public IPs": "0 of 5", "Running tasks": fmt.Sprintf("%d of 66", tasks), "Open consoles": "1 of 7",
			}
		}
		b := p.as("user@acme.example")
		order := "/orgs/acme/machines/new?" + url.Values{"template": {p.Template.Slug}, "instance_type": {size.Slug}, "count": {"3"}}.Encode()
		for path, expected := range map[string]map[string]string{"/orgs/acme/": want(2, 1), order: want(5, 4)} {
			answer := b.get(path)
			if answer.Code != http.StatusOK {
				t.Fatalf("%s: %d", path, answer.Code)
			}
			got := bars(t, answer.Body.String())
			if len(got) != len(models.Resources) {
				t.Errorf("%s shows %d bars: %v", path, len(got), got)
			}
			for resource, text := range expected {
				if got[resource] != text {
					t.Errorf("%s: %s is %q, want %q", path, resource, got[resource], text)
				}
			}
		}
	})
}
