package identity_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func from(source, email, password string) identity.Attempt {
	a := attempt(email, password)
	a.Source = source
	return a
}

// Whoever knows an address must not be able to keep its owner out.
func TestStrangersGuessesDoNotLockTheOwnerOut(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	person(t, w, "petra@acme.example")
	s := identity.New(w.System, 0)
	ctx := context.Background()
	for range 12 {
		if err := identity.CountFailure(ctx, s, from("198.51.100.9", "PETRA@acme.example ", "guess")); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.SignIn(ctx, from("198.51.100.9", "petra@acme.example", "guess")); !errors.Is(err, models.ErrTooMany) {
		t.Errorf("the stranger: %v", err)
	}
	if _, _, err := s.SignIn(ctx, from("192.0.2.7", "petra@acme.example", "correct horse")); err != nil {
		t.Errorf("the owner: %v", err)
	}
	// Nor does the owner's sign-in give the stranger new guesses.
	if _, _, err := s.SignIn(ctx, from("198.51.100.9", "petra@acme.example", "guess")); !errors.Is(err, models.ErrTooMany) {
		t.Errorf("the stranger after that: %v", err)
	}
}

// A subscriber of IPv6 has 2^64 addresses: they are one source.
func TestNetworkOfIPv6IsOneSource(t *testing.T) {
	t.Parallel()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	s := identity.New(w.System, 0)
	ctx := context.Background()
	for i := range 10 {
		if err := identity.CountFailure(ctx, s, from(fmt.Sprintf("2001:db8:1:2:%x::%x", i, i), "nobody@acme.example", "x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.SignIn(ctx, from("2001:db8:1:2:ffff::1", "nobody@acme.example", "x")); !errors.Is(err, models.ErrTooMany) {
		t.Errorf("the eleventh of the network: %v", err)
	}
	if _, _, err := s.SignIn(ctx, from("2001:db8:1:3::1", "nobody@acme.example", "x")); !errors.Is(err, models.ErrInvalid) {
		t.Errorf("the network beside it: %v", err)
	}
}

func TestSourceIsANetworkOfOneSubscriber(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:DB8:1:2::9": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "": "", "not an address": "not an address",
	} {
		if got := models.SourceNetwork(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// Guesses from many sources at one account end as well.
func TestGuessesFromEverywhereEnd(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		s := identity.New(w.System, 0)
		ctx := context.Background()
		for i := range 99 {
			if err := identity.CountFailure(ctx, s, from(fmt.Sprintf("198.51.100.%d", i), "nobody@acme.example", "x")); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := s.SignIn(ctx, from("203.0.113.1", "nobody@acme.example", "x")); !errors.Is(err, models.ErrInvalid) {
			t.Errorf("the hundredth: %v", err)
		}
		if _, _, err := s.SignIn(ctx, from("203.0.113.2", "nobody@acme.example", "x")); !errors.Is(err, models.ErrTooMany) {
			t.Errorf("the one after it: %v", err)
		}
	})
}
