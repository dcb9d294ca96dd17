package host

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
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
	// A test here mostly waits, for what must not come or what a gateway does by
	// its clock: more of them at once than there are cores.
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
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
