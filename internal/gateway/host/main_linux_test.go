package host

import (
	"fmt"
	"os"
	"testing"
)

// TestMain says in one line where the host can't make network namespaces, and
// fails in CI: there a suite that doesn't run would look like one that passed.
func TestMain(m *testing.M) {
	if err := canMakeNamespaces(); err != nil {
		fmt.Printf("network namespaces can't be made here, so the gateway's suite does not run: %v\n", err)
		if os.Getenv("CI") == "true" {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func canMakeNamespaces() error {
	ns := namespaceOf("probe-" + randomName())
	_, err := ns.ensure()
	if err == nil {
		_, err = ns.settle()
		_ = ns.remove()
	}
	return err
}
