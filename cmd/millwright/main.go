// Command millwright is the portal: a self-service menu of virtual machines on
// VMware vSphere, for many orgs at once. This package only reads flags, builds
// each part once, wires them and stops them in order.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker for releases.
var version = "dev"

type cli struct {
	LogLevel slog.Level `help:"debug, info, warn or error." default:"info" env:"MILLWRIGHT_LOG_LEVEL"`

	Demo          demoCommand          `cmd:"" help:"Serve a portal with an embedded lab: two simulated vCenters, three orgs, some machines. Needs nothing else."`
	Serve         serveCommand         `cmd:"" help:"Serve the portal for the vCenters that a configuration file names."`
	Migrate       migrateCommand       `cmd:"" help:"Bring the database to the present tables."`
	Check         checkCommand         `cmd:"" help:"Compare what the portal keeps with what it is made of."`
	SetPassword   setPasswordCommand   `cmd:"" help:"Set an account's password, read from standard input."`
	Verify        verifyCommand        `cmd:"" help:"Check an exported history: says intact, or names the first event that was changed, removed, added or reordered."`
	Archive       archiveCommand       `cmd:"" help:"Move what is old of every history into signed files. What a file has, and nothing else, leaves the database."`
	CheckpointKey checkpointKeyCommand `cmd:"" help:"Print the public half of the key that signs the history."`
	Edge          edgeCommand          `cmd:"" help:"Be a gateway: carry public IPs, services, firewall and VPN as the portal wants them. Linux, as root."`
	EdgeTunnel    edgeTunnelCommand    `cmd:"" hidden:""`
	Console       consoleCommand       `cmd:"" help:"Open a machine's console outside the browser: print a ticket as JSON, or bridge it to a local port for a VNC viewer."`
	LabVcenter    labVCenterCommand    `cmd:"" help:"Run one simulated vCenter (the demo starts two of these)."`
	Version       versionCommand       `cmd:"" help:"Print the version."`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("millwright"),
		kong.Description("Self-service virtual machines on VMware vSphere."), kong.UsageOnError())
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel}))
	slog.SetDefault(log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	k.Bind(log)
	k.FatalIfErrorf(k.Run())
}

type versionCommand struct{}

func (versionCommand) Run(k *kong.Kong) error {
	_, err := k.Stdout.Write([]byte("millwright " + version + "\n"))
	return err
}
