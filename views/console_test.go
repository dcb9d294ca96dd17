package views

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The menu of layouts is ours, the tables are the script's: each has what the
// other has.
func TestEveryPasteLayoutHasItsTable(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../static/console/layouts.js")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(source), "export const LAYOUTS = {")
	list, _, _ = strings.Cut(list, "};")
	var tables, menu []string
	for _, m := range regexp.MustCompile(`(?:^|[,\n])\s*"?([a-z-]+)"?\s*(?:[:,]|$)`).FindAllStringSubmatch(strings.ReplaceAll(list, ",", ",\n"), -1) {
		tables = append(tables, m[1])
	}
	for _, o := range pasteLayouts {
		menu = append(menu, o.Value)
	}
	slices.Sort(tables)
	slices.Sort(menu)
	if !slices.Equal(slices.Compact(tables), menu) {
		t.Errorf("tables %v, menu %v", tables, menu)
	}
}
