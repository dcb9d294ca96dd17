package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/config"
	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/models"
)

type demoCommand struct {
	Addr           string        `help:"Where to serve." default:"127.0.0.1:8080"`
	Data           string        `help:"Folder for the database and the lab." default:"millwright-data" type:"path"`
	SeedMachines   int           `help:"Machines that are there at the first start." default:"14"`
	CloneDelay     time.Duration `help:"How long the lab takes to clone a machine." default:"2s"`
	CertFile       string        `help:"Certificate to serve by TLS with, in PEM; with --key-file." type:"existingfile" optional:""`
	KeyFile        string        `help:"Its key, in PEM." type:"existingfile" optional:""`
	OneAddress     bool          `help:"Carry public IPs on ports of 127.0.0.1, as on a system that has no other loopback address."`
	GuestBootDelay time.Duration `help:"How long a lab machine takes to boot." default:"1500ms"`
}

// seedMachinesMost keeps a lab within what its networks and orgs hold.
const seedMachinesMost = 350

func (d demoCommand) Run(ctx context.Context, log *slog.Logger) error {
	if d.SeedMachines < 0 || d.SeedMachines > seedMachinesMost {
		return fmt.Errorf("--seed-machines must be from 0 to %d", seedMachinesMost)
	}
	if (d.CertFile == "") != (d.KeyFile == "") {
		return errors.New("--cert-file and --key-file go together")
	}
	if err := os.MkdirAll(d.Data, 0o700); err != nil {
		return err
	}
	sealingKey, err := demoKey(filepath.Join(d.Data, "key"))
	if err != nil {
		return err
	}
	checkpointKey := filepath.Join(d.Data, "checkpoint.key")
	if _, err := audit.ReadOrMakeKey(checkpointKey); err != nil {
		return err
	}
	// The plan needs the clouds' names only; their addresses come with the lab.
	seed, err := loadSeed(d.Data, demoConfig([]lab.Cloud{{Slug: lab.CloudPublic}, {Slug: lab.CloudPrivate}}), d.SeedMachines)
	if err != nil {
		return err
	}
	store := database{Database: "sqlite://" + filepath.Join(d.Data, "portal.db")}
	migrated := make(chan error, 1)
	go func() { migrated <- store.migrate(ctx) }() // while the vCenters start
	simulated, err := lab.Start(ctx, lab.StartOptions{
		Dir: filepath.Join(d.Data, "lab"), CloneDelay: d.CloneDelay, GuestBootDelay: d.GuestBootDelay, Logger: log,
		Seed: map[string]string{
			lab.CloudPublic:  filepath.Join(d.Data, "lab-seed-public.json"),
			lab.CloudPrivate: filepath.Join(d.Data, "lab-seed-private.json"),
		},
	})
	if err != nil {
		return errors.Join(fmt.Errorf("start the lab: %w", err), <-migrated)
	}
	defer simulated.Close()
	if err := <-migrated; err != nil {
		return err
	}
	c := demoConfig(simulated.Clouds())
	c.Portal = config.Portal{Listen: d.Addr, TLS: config.TLS{CertFile: d.CertFile, KeyFile: d.KeyFile}, Node: "demo", Workers: 100,
		CheckpointKeyFile: checkpointKey, CheckpointFile: filepath.Join(d.Data, "checkpoints.jsonl")}
	return servePortal(ctx, log, portalOptions{
		config: c, database: store, key: sealingKey, lab: true, guests: simulated.Guests(), gatewayDir: d.Data, oneAddress: d.OneAddress, demoAccounts: demoAccounts, demoPassword: demoPassword,
		prepare: func(ctx context.Context, system *models.System, a applied) error {
			if err := seedRecords(ctx, system, a, seed); err != nil {
				return err
			}
			if err := labEdge(ctx, system, a); err != nil {
				return err
			}
			return demoPasswords(ctx, system)
		},
		ready: func() {
			fmt.Println("\nDemo accounts, password " + demoPassword + ":")
			for _, email := range demoAccounts {
				fmt.Println("  " + email)
			}
		},
	})
}

// demoKey reads the folder's sealing key, or makes it.
func demoKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- in our own folder
	if err == nil {
		return config.Key(string(text), "")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails
	// In one step: half a key would keep every later start from succeeding.
	half := path + ".new"
	if err := os.WriteFile(half, []byte(base64.StdEncoding.EncodeToString(fresh)+"\n"), 0o600); err != nil {
		return nil, err
	}
	return fresh, os.Rename(half, path)
}

// demoPasswords gives accounts without a password the demo's. One hash serves
// them all: the password is printed at start anyway, and hashing seven times
// would take longer than everything else.
func demoPasswords(ctx context.Context, system *models.System) error {
	hash := ""
	for _, email := range demoAccounts {
		user, err := system.UserByEmail(ctx, email)
		if err != nil {
			return err
		}
		if user.PasswordHash != "" {
			continue
		}
		if hash == "" {
			if hash, err = identity.HashPassword(demoPassword); err != nil {
				return err
			}
		}
		if err := system.SetPassword(ctx, user.ID, hash); err != nil {
			return err
		}
	}
	return nil
}
