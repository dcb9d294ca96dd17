package e2e_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/console"
	"github.com/millwright/millwright/internal/factory"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/web"
)

// screenPortal is a portal in this process, with one running machine whose
// screen comes from wherever a test says.
type screenPortal struct {
	*testkit.World
	url     string
	machine models.Machine
}

func newScreenPortal(t *testing.T, screens console.Screens) screenPortal {
	t.Helper()
	return newLoggedScreenPortal(t, screens, testkit.Quiet())
}

func newLoggedScreenPortal(t *testing.T, screens console.Screens, logger *slog.Logger) screenPortal {
	t.Helper()
	w := testkit.NewWorld(t, testkit.SQLite(t))
	hash, err := identity.HashPassword(testkit.SitePassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.System.SetPassword(context.Background(), w.User("user@acme.example").ID, hash); err != nil {
		t.Fatal(err)
	}
	queue, err := jobs.New(w.DB, jobs.Options{NodeID: "screens", Logger: testkit.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	room := console.New(w.System, screens, console.Options{Node: "screens", Logger: logger})
	server, err := web.New(web.Options{Logger: logger}, w.System, identity.New(w.System, 2), handlers.Rooms{
		Factory: factory.New(w.System, queue, factory.NewClouds(), factory.Options{Logger: testkit.Quiet()}), Console: room,
		Audit: audit.New(w.System, audit.Options{Logger: testkit.Quiet()})})
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(server.Handler())
	t.Cleanup(site.Close)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = room.Run(ctx) }()
	t.Cleanup(func() {
		patience, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		_ = room.Drain(patience)
		cancel()
		<-ended
	})
	return screenPortal{World: w, url: site.URL, machine: w.Machine(t, "real-1")}
}

// openConsoles is how many consoles of acme's count as open.
func (p screenPortal) openConsoles(t *testing.T) int {
	t.Helper()
	open := 0
	err := p.System.Look(context.Background(), p.Acme.ID, func(r *models.Reader) error {
		page, err := r.OpenConsoles(models.ConsoleFilter{})
		open = len(page.Rows)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return open
}
