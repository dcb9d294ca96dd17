package models_test

import (
	"context"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// offer gives the provider a range of public IPs, and Public its VLANs.
func offer(t *testing.T, w *testkit.World, addresses ...string) {
	t.Helper()
	if err := w.OfferPublicIPs(addresses...); err != nil {
		t.Fatal(err)
	}
}

// taken takes a public IP for acme.
func takeIP(t *testing.T, w *testkit.World, org string) models.OrgIP {
	t.Helper()
	var p models.OrgIP
	err := w.Scope(t, "admin@"+org+".example", org).Change(context.Background(), func(tx *models.Writer) error {
		var err error
		p, err = tx.TakePublicIP(1 << 40)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func webService(name string) models.InternetService {
	return models.InternetService{Name: name, Protocol: models.ServiceTCP, Enabled: true, Balancing: models.BalanceLeast,
		IdleTimeoutSeconds: 60, Sources: "0.0.0.0/0"}
}

func makeService(t *testing.T, w *testkit.World, name string, ip models.OrgIP, port int) models.InternetService {
	t.Helper()
	s := webService(name)
	err := w.Scope(t, "admin@acme.example", "acme").Change(context.Background(), func(tx *models.Writer) error {
		return tx.CreateService(&s, models.ServiceEndpoint{PublicIPID: ip.ID, Port: port})
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func generation(t *testing.T, w *testkit.World, org models.OrgID) int64 {
	t.Helper()
	var g models.OrgGateway
	err := w.System.Look(context.Background(), org, func(r *models.Reader) error {
		var err error
		g, err = r.Gateway()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return g.Generation
}
