package views

import (
	"testing"

	"github.com/millwright/millwright/models"
)

func TestEveryActionHasItsWords(t *testing.T) {
	t.Parallel()
	for _, a := range models.Actions {
		if actionNames[a] == "" || actionWords[a] == "" {
			t.Errorf("%s has no name or no words", a)
		}
	}
}

func TestAmountsNameTheirUnitOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		resource models.Resource
		n, of    int64
		want     string
	}{
		{models.ResourceMachines, 3, 50, "3 of 50"},
		{models.ResourceMemory, 512, 262144, "512 MiB of 256 GiB"},
		{models.ResourceMemory, 1536, 262144, "1.5 of 256 GiB"},
		{models.ResourceStorage, 40, 2000, "40 of 2000 GiB"},
	} {
		if got := amountOf(c.resource, c.n, c.of); got != c.want {
			t.Errorf("%d of %d %s: %q, want %q", c.n, c.of, c.resource, got, c.want)
		}
	}
}

func TestPricesKeepTheirSmallDigits(t *testing.T) {
	t.Parallel()
	if got := hourlyPrice(4200); got != "€0.0042" {
		t.Error(got)
	}
	if got := monthlyPrice(24000); got != "€17.52" {
		t.Error(got)
	}
}

func TestAddressesSayOnlyWhatNarrows(t *testing.T) {
	t.Parallel()
	list := MachineListProps{Frame: Frame{Org: models.Org{Slug: "acme"}}, Filter: models.MachineFilter{Search: "a&b", Sort: models.SortNewest}}
	if got := list.at(list.Filter.Sort, "", "", ""); got != "/orgs/acme/machines?q=a%26b" {
		t.Error(got)
	}
	list.Filter.Search = ""
	if got := list.at(models.SortName, "cursor", "", PartList); got != "/orgs/acme/machines?after=cursor&part=list&sort=name" {
		t.Error(got)
	}
}

func TestBrowsersAreCalledByTheirNames(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                  "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36 Edg/139.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36":                            "Chrome on Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"curl/8.14.1": "curl", "": "Unknown browser", "<script>": "Unknown browser",
	} {
		if got := browserName(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}

func TestEveryPermissionHasItsWords(t *testing.T) {
	t.Parallel()
	for _, roles := range [][]models.Role{models.OrgRoles, models.ProviderRoles} {
		for _, p := range models.PermissionsOf(roles) {
			if permissionWords[p] == "" {
				t.Errorf("%s has no words", p)
			}
		}
	}
}
