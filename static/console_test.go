package static

import (
	"os/exec"
	"testing"
)

// The console's modules by themselves: layouts, rate, retries, silence. Node is
// what lays the assets, so it is there.
func TestConsoleModulesKeepTheirPromises(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "node", "--test", "testdata/console/").CombinedOutput()
	if err != nil {
		t.Errorf("node --test: %v\n%s", err, out)
	}
}
