package identity_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// The first sign-in after a start takes one hash, as every other: to an
// account that there is not, to one without a password, and to one that has
// it. Hashes are counted by the 64 MiB that each takes, for the service's own
// counter could forget one. Not parallel: the memory is the process's.
func TestFirstSignInTakesOneHashWhoeverItIs(t *testing.T) { //nolint:paralleltest // measures the process
	w := testkit.NewWorld(t, testkit.SQLite(t))
	person(t, w, "petra@acme.example")
	for _, email := range []string{"nobody@acme.example", "user@acme.example", "petra@acme.example"} {
		s := identity.New(w.System, 1) // has just started
		for _, turn := range []string{"first", "second"} {
			counted, before := s.Hashed(), allocatedMiB()
			_, _, err := s.SignIn(context.Background(), attempt(email, "guess"))
			if !errors.Is(err, models.ErrInvalid) {
				t.Fatal(err)
			}
			if hashes := (allocatedMiB() - before) / 64; hashes != 1 || s.Hashed()-counted != 1 {
				t.Errorf("%s, %s sign-in: %d hashes, %d counted", email, turn, hashes, s.Hashed()-counted)
			}
		}
	}
}

func allocatedMiB() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc >> 20
}
