package models_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// vpnOf turns acme's VPN on, on an address of its own.
func vpnOf(t *testing.T, w *testkit.World) models.OrgIP {
	t.Helper()
	offer(t, w, "198.51.100.1")
	p := takeIP(t, w, "acme")
	err := w.Scope(t, "admin@acme.example", "acme").Change(context.Background(), func(tx *models.Writer) error {
		_, err := tx.CreateVPN(p.ID, "public", "private")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// letIn lets a device of whose scope it is into the org's VPN.
func letIn(s *models.Scope, device string) error {
	return s.Change(context.Background(), func(tx *models.Writer) error {
		_, err := tx.AddPeer(s.UserID(), device, "key of "+device)
		return err
	})
}

// carried is what the gateway is told of acme.
func carried(t *testing.T, w *testkit.World) (st models.NetworkState, devices []string) {
	t.Helper()
	err := w.Scope(t, "admin@acme.example", "acme").Read(context.Background(), func(r *models.Reader) error {
		var err error
		st, err = r.NetworkState()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range st.Peers {
		devices = append(devices, p.Device)
	}
	return st, devices
}

// told counts acme's events of the action.
func told(t *testing.T, w *testkit.World, action models.Action) int {
	t.Helper()
	var n int
	err := w.Scope(t, "admin@acme.example", "acme").Read(context.Background(), func(r *models.Reader) error {
		page, err := r.Events(models.EventFilter{Action: action})
		n = len(page.Rows)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever takes the right to the VPN takes the way into it: the gateway is
// told to forget the person's devices, and nobody else's.
func TestLostRightShutsDevicesOut(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		vpnOf(t, w)
		admin := w.Scope(t, "admin@acme.example", "acme")
		if err := letIn(admin, "desk"); err != nil {
			t.Fatal(err)
		}
		user := w.User("user@acme.example").ID
		var sam models.User
		sso := func(groups ...string) error {
			var err error
			sam, err = w.System.EnterBySSO(ctx, models.SSOPerson{Issuer: "https://id.example", Subject: "s", Email: "sso@acme.example", Name: "Sam", Groups: groups},
				[]models.GroupRole{{Group: "users", Org: "acme", Role: models.RoleUser}, {Group: "auditors", Org: "acme", Role: models.RoleAuditor}}, models.Actor{})
			return err
		}
		again := func() error { return w.System.PutMember(ctx, w.Acme.ID, user, models.RoleUser) }
		for _, c := range []struct {
			name       string
			sso        bool
			lose, back func() error
		}{
			{"disabled", false, func() error { return w.System.DisableMember(ctx, admin, user) }, func() error { return w.System.EnableMember(ctx, admin, user) }},
			{"demoted", false, func() error { return w.System.SetMemberRole(ctx, admin, user, models.RoleAuditor) }, again},
			{"demoted by the configuration", false, func() error { return w.System.PutMember(ctx, w.Acme.ID, user, models.RoleAuditor) }, again},
			{"removed", false, func() error { return w.System.RemoveMember(ctx, admin, user) }, again},
			{"demoted by single sign-on", true, func() error { return sso("auditors") }, func() error { return sso("users") }},
			{"dropped by single sign-on", true, func() error {
				if err := sso(); !errors.Is(err, models.ErrForbidden) {
					return errors.Join(errors.New("let in without a group"), err)
				}
				return nil
			}, func() error { return sso("users") }},
		} {
			who := w.User("user@acme.example")
			if c.sso {
				if err := sso("users"); err != nil {
					t.Fatal(err)
				}
				who = sam
			}
			scope, err := w.System.Scope(ctx, models.SignedIn{User: who, Actor: models.Actor{Kind: models.ActorUser, ID: string(who.ID), Name: who.Name}}, "acme")
			if err != nil {
				t.Fatal(c.name, err)
			}
			for _, device := range []string{"laptop", "phone"} {
				if err := letIn(scope, device+" "+c.name); err != nil {
					t.Fatal(c.name, err)
				}
			}
			before, devices := carried(t, w)
			if len(devices) != 3 {
				t.Fatalf("%s: let in are %v", c.name, devices)
			}
			events := told(t, w, models.ActionVPNPeerRevoke)
			if err := c.lose(); err != nil {
				t.Fatal(c.name, err)
			}
			after, devices := carried(t, w)
			if !slices.Equal(devices, []string{"desk"}) {
				t.Errorf("%s: still let in are %v", c.name, devices)
			}
			if after.Gateway.Generation <= before.Gateway.Generation {
				t.Errorf("%s: the gateway isn't told", c.name)
			}
			if n := told(t, w, models.ActionVPNPeerRevoke) - events; n != 2 {
				t.Errorf("%s: %d events of 2 devices", c.name, n)
			}
			// The scope is from before, as a request under way has one.
			err = letIn(scope, "late")
			if !errors.Is(err, models.ErrForbidden) {
				t.Errorf("%s: a request from before lets a device in: %v", c.name, err)
			}
			if err := c.back(); err != nil {
				t.Fatal(c.name, err)
			}
			if _, devices := carried(t, w); !slices.Equal(devices, []string{"desk"}) {
				t.Errorf("%s: with the right come the old devices: %v", c.name, devices)
			}
		}
		// One that still may keeps its devices, and the gateway has no work.
		if err := letIn(w.Scope(t, "user@acme.example", "acme"), "kept"); err != nil {
			t.Fatal(err)
		}
		before, _ := carried(t, w)
		if err := w.System.SetMemberRole(ctx, admin, user, models.RoleAdmin); err != nil {
			t.Fatal(err)
		}
		after, devices := carried(t, w)
		if !slices.Equal(devices, []string{"desk", "kept"}) || after.Gateway.Generation != before.Gateway.Generation {
			t.Errorf("promoted: %v, generation %d after %d", devices, after.Gateway.Generation, before.Gateway.Generation)
		}
	})
}

// While a person is disabled they let devices in: none is left, whoever comes
// first.
func TestDeviceLetInAtThatMomentIsShutOut(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		vpnOf(t, w)
		user := w.User("user@acme.example").ID
		for range 5 {
			admin, theirs := w.Scope(t, "admin@acme.example", "acme"), w.Scope(t, "user@acme.example", "acme")
			errs := atOnce(4, func(i int) error {
				if i == 0 {
					return w.System.DisableMember(ctx, admin, user)
				}
				for range 4 { // the first ones before, the last ones after
					if err := letIn(theirs, string(models.NewID[models.PeerID]())); err != nil {
						return err
					}
				}
				return nil
			})
			if errs[0] != nil {
				t.Fatal(errs[0])
			}
			if _, devices := carried(t, w); len(devices) > 0 {
				t.Errorf("let in: %v (%v)", devices, errs)
			}
			if err := w.System.EnableMember(ctx, admin, user); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Turned off, the VPN leaves nothing: its address can go back, and it can be
// turned on again.
func TestVPNTurnedOffFreesItsAddress(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		p := vpnOf(t, w)
		for _, email := range []string{"admin@acme.example", "user@acme.example"} {
			if err := letIn(w.Scope(t, email, "acme"), "laptop of "+email); err != nil {
				t.Fatal(err)
			}
		}
		admin := w.Scope(t, "admin@acme.example", "acme")
		release := func() error {
			return admin.Change(ctx, func(tx *models.Writer) error { return tx.ReleasePublicIP(p.ID) })
		}
		off := func() error { return admin.Change(ctx, func(tx *models.Writer) error { return tx.DeleteVPN() }) }
		if err := release(); !errors.Is(err, models.ErrConflict) {
			t.Fatalf("in use, and released: %v", err)
		}
		before, _ := carried(t, w)
		if err := off(); err != nil {
			t.Fatal(err)
		}
		after, devices := carried(t, w)
		if after.VPN != nil || len(devices) > 0 || after.Gateway.Generation <= before.Gateway.Generation {
			t.Errorf("the gateway is told of %+v, %v, generation %d after %d", after.VPN, devices, after.Gateway.Generation, before.Gateway.Generation)
		}
		if n := told(t, w, models.ActionVPNDelete); n != 1 {
			t.Errorf("%d events of turning off", n)
		}
		if n := told(t, w, models.ActionVPNPeerRevoke); n != 2 {
			t.Errorf("%d events of 2 devices", n)
		}
		if err := off(); !errors.Is(err, models.ErrConflict) {
			t.Errorf("turned off twice: %v", err)
		}
		if err := letIn(w.Scope(t, "user@acme.example", "acme"), "phone"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("let in while it is off: %v", err)
		}
		// Again, with the same device and key; and off again.
		err := admin.Change(ctx, func(tx *models.Writer) error {
			_, err := tx.CreateVPN(p.ID, "public", "private")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := letIn(w.Scope(t, "user@acme.example", "acme"), "laptop of user@acme.example"); err != nil {
			t.Errorf("let in anew: %v", err)
		}
		if err := off(); err != nil {
			t.Fatal(err)
		}
		// It is the org's first, and so the one that its machines are seen from.
		stop := func() error { return admin.Change(ctx, func(tx *models.Writer) error { return tx.StopOutbound() }) }
		if err := errors.Join(stop(), release()); err != nil {
			t.Errorf("unused, and not released: %v", err)
		}
	})
}

func TestDeviceLacksNewerNetworks(t *testing.T) {
	t.Parallel()
	at := models.Now()
	p := models.PeerRow{VPNPeer: models.VPNPeer{CreatedAt: at}}
	network := func(name string, age time.Duration) models.NetworkRow {
		return models.NetworkRow{Network: models.Network{Name: name, CreatedAt: at.Add(-age)}}
	}
	got := p.Lacks([]models.NetworkRow{network("older", time.Hour), network("same", 0), network("newer", -time.Hour)})
	if len(got) != 1 || got[0].Name != "newer" {
		t.Errorf("lacks %+v", got)
	}
}
