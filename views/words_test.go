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
