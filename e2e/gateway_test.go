package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// The demo's own gateway takes up every org, and keeps what it carries in the
// data folder for the next start.
func TestDemoHasAGatewayThatCarriesItsOrgs(t *testing.T) {
	t.Parallel()
	url, dir, p := demo(t, "--seed-machines", "9")
	testkit.NewVisitor(t, url).SignIn(t, "admin@acme.example", "millwright")
	deadline := time.Now().Add(20 * time.Second)
	for {
		kept, err := filepath.Glob(filepath.Join(dir, "gateway", "good", "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		if len(kept) == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the gateway carries %d of three orgs:\n%s", len(kept), p.Log())
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !p.Stop(20 * time.Second) {
		t.Error("the demo does not end by itself")
	}
	if _, err := os.Stat(filepath.Join(dir, "gateway", "ledger.json")); err != nil {
		t.Error(err)
	}
}
